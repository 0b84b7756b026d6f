// Generate: says what it will do, or what is missing before it can; Ctrl+Enter presses it from anywhere on its tab. Knows what
// the canvas and the card say of themselves; the server has the last word. element, props, trigger and watch come from gr.HTML.

const button = element.querySelector("#generate"), why = element.querySelector(".go-why"), failed = element.querySelector(".go-failed");
const words = props.words, AGAIN_MS = 500;
let pressed = 0;

function reason() {
  const canvas = document.querySelector(`#${props.painted} .mc`), card = document.querySelector("#which .wh")?.which;
  if (!canvas || canvas.dataset.empty === "1") return words.no_picture;
  if (!Number(canvas.dataset.painted)) return words.no_paint;
  return card ? card.why() : "";
}

function draw() {
  const { busy = false, failed: sentence = "" } = props.value || {}, card = document.querySelector("#which .wh")?.which;
  const count = card ? card.read().common.num_images : 1, lacking = busy ? "" : reason();
  const text = count === 1 ? words.generate_one : words.generate_many.replace("%", Number(count).toLocaleString(document.documentElement.lang || undefined));
  button.firstElementChild.textContent = busy ? words.drawing : text;
  button.disabled = busy;
  button.classList.toggle("lacking", Boolean(lacking));
  button.title = `${lacking || text} (Ctrl+Enter)`;
  if (why.textContent !== lacking) why.textContent = lacking;
  failed.hidden = !sentence || busy;
  if (failed.textContent !== sentence) failed.textContent = sentence;
}

button.addEventListener("click", () => {
  if (performance.now() - pressed < AGAIN_MS) return;
  pressed = performance.now();
  trigger("generate");
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !button.offsetParent || document.querySelector("dialog[open]")) return;
  if (event.target.closest(".mc[data-loop='1']")) return; // there it closes the polygon
  event.preventDefault();
  document.activeElement?.blur?.(); // what is being typed counts
  if (!button.disabled) button.click();
}, true);
document.addEventListener("flawsmith-form", draw);
new MutationObserver(draw).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["data-painted", "data-empty"] });
watch("value", draw);
draw();
