// Puts a text on the clipboard and says so on the button for a moment.
const SHOWN_MS = 1500;

// The clipboard is closed to pages that came over plain HTTP from another machine; an old way works there too.
async function clip(text) {
  if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// `label` is what the button says before and after, `done` what it says meanwhile.
async function copied(button, text, label, done) {
  await clip(text);
  button.textContent = done;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => { button.textContent = label; }, SHOWN_MS);
}
