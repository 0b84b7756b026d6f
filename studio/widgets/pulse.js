// Hears the server's beat. The first one says that events may be sent. When beats stay away although the server answers,
// the stream they came by is dead (the server was started again, the machine slept): only a fresh page gets a new one.
// A file dropped where nobody takes it must not replace the page. props, trigger and watch come from gr.HTML.
const PATIENCE_MS = 1000 * props.beat_s * 4;
let heard = Date.now(), arrived = false;

watch("value", () => {
  heard = Date.now();
  if (arrived) return;
  arrived = true;
  trigger("arrive");
});

setInterval(async () => {
  if (!arrived || document.hidden || Date.now() - heard < PATIENCE_MS) return;
  const answer = await fetch(props.alive).catch(() => null);
  if (answer && answer.ok) location.reload();
}, PATIENCE_MS / 4);

for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });

// Chromium gives the focus to whatever scrolls. The list of a menu is walked by arrows and gone once the focus leaves its field: Tab
// from there led nowhere.
addEventListener("keydown", (event) => { if (event.key === "Tab") document.querySelectorAll("ul.option-list").forEach((list) => { list.tabIndex = -1; }); }, true);
