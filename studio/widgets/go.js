// Generate: says what it will do, or what is missing before it can; Ctrl+Enter presses it from anywhere on its tab. Knows what
// the canvas and the card say of themselves; the server has the last word. element, props, trigger and watch come from gr.HTML.

const button = element.querySelector(".go-button"), many = element.querySelector(".go-many"), why = element.querySelector(".go-why"), failed = element.querySelector(".go-failed"), note = element.querySelector(".go-note");
const words = props.words, AGAIN_MS = 500;
let pressed = 0, seen = false;

const card_of = () => document.querySelector(`#${props.at}which .wh`)?.which;
const steer_of = () => document.querySelector(`#${props.at}steer .st`)?.steer; // where maps steer, nothing need be painted

function reason() {
  const canvas = document.querySelector(`#${props.painted} .mc`), card = card_of(), steer = steer_of();
  if (!canvas || canvas.dataset.empty === "1") return words.no_picture;
  if (!Number(canvas.dataset.painted) && !steer) return words.no_paint;
  return (steer || card)?.why() || "";
}

function draw() {
  const { busy = false, failed: sentence = "" } = props.value || {}, card = card_of(), said = steer_of()?.note() || "";
  const count = card ? card.read().common.num_images : 1, lacking = busy ? "" : reason();
  const text = count === 1 ? words.generate_one : words.generate_many.replace("%", Number(count).toLocaleString(document.documentElement.lang || undefined));
  button.firstElementChild.textContent = busy ? words.drawing : text;
  button.disabled = busy;
  button.classList.toggle("lacking", Boolean(lacking));
  button.title = `${lacking || text} (Ctrl+Enter)`;
  if (why.textContent !== lacking) why.textContent = lacking;
  note.hidden = !said || busy || Boolean(lacking);
  if (note.textContent !== said) note.textContent = said;
  many.hidden = busy || lacking === words.no_picture;
  failed.hidden = !sentence || busy;
  if (failed.textContent !== sentence) failed.textContent = sentence;
}

button.addEventListener("click", () => {
  if (performance.now() - pressed < AGAIN_MS) return;
  pressed = performance.now();
  trigger("generate");
});
many.addEventListener("click", () => {
  if (performance.now() - pressed < AGAIN_MS) return;
  pressed = performance.now();
  trigger("many");
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
// A tab that is drawn when it is first opened says so: before that, nothing may be sent to what stands in it.
if (props.at) new IntersectionObserver((found) => {
  if (!found.some((one) => one.isIntersecting)) return;
  trigger(seen ? "seen" : "arrive");
  seen = true;
}).observe(button);
draw();
