// The facts of one picture, and its request to copy. Shows what the server said; texts go in as text, never as HTML.
// element, props and watch come from gr.HTML.
const root = element.querySelector(".fct"), find = (selector) => root.querySelector(selector);
const SHOWN_MS = 1500;

function part(tag, text) { const made = document.createElement(tag); made.textContent = text; return made; }

function load() {
  const value = props.value || {};
  root.dataset.empty = value.id ? "" : "1";
  root.dataset.id = value.id || "";
  root.dataset.verdict = value.verdict || "";
  if (!value.id) return;
  find("strong").textContent = find("strong").title = value.title;
  find(".fct-verdict").textContent = props.words[value.verdict || "undecided"];
  find(".fct-scores").replaceChildren(...value.scores.map((score) => {
    const line = part("span", score.text);
    line.dataset.tone = score.tone;
    line.title = score.help;
    line.append(part("small", score.name));
    return line;
  }));
  find("dl").replaceChildren(...value.lines.flatMap((line) => { const text = part("dd", line.text); text.title = line.text; return [part("dt", line.name), text]; }));
  find("a").href = value.file;
}

// The clipboard is closed to pages that came over plain HTTP from another machine; an old way works there too.
async function copy(text) {
  if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

find("button").addEventListener("click", async () => {
  const text = JSON.stringify(props.value.request, null, 2), button = find("button");
  await copy(text);
  button.textContent = props.words.copied;
  setTimeout(() => { button.textContent = props.words.copy; }, SHOWN_MS);
});

watch("value", load);
load();
