// What an empty studio offers on the empty canvas: sample parts to open with one click, and the tour to who has not seen it.
// Once anything was made the canvas is left as it is. Shares the names of tour.js.

async function offer(slot) {
  const answer = await fetch(`${props.runs}?limit=1`);
  if (!answer.ok || (await answer.json()).runs.length) return;
  const parts = document.createElement("div"), ways = slot.parentElement.querySelector(".mc-ways");
  parts.setAttribute("role", "group");
  parts.ariaLabel = props.words.offer;
  parts.append(...props.samples.map(part));
  slot.replaceChildren(parts);
  slot.closest(".mc-empty").dataset.offer = "1";
  const invite = document.createElement("button");
  invite.type = "button";
  invite.className = "mc-invite";
  invite.textContent = props.words.start;
  invite.onclick = () => begin(invite);
  const invited = () => { invite.hidden = Boolean(seen_before()); };
  document.addEventListener(SEEN, invited);
  invited();
  ways.append(invite);
}

function part(sample) {
  const button = document.createElement("button"), picture = document.createElement("img");
  button.type = "button";
  button.dataset.first = sample.id;
  Object.assign(picture, { src: sample.picture, alt: "" });
  button.append(picture, sample.title);
  button.onclick = () => on_page(`#samples [data-sample="${sample.id}"]`).click();
  return button;
}

// The canvas is drawn when its tab is first opened.
function when_there(selector, use) {
  const found = on_page(selector);
  if (found) { use(found); return; }
  const watcher = new MutationObserver(() => {
    const found = on_page(selector);
    if (!found) return;
    watcher.disconnect();
    use(found);
  });
  watcher.observe(document.body, { childList: true, subtree: true });
}
