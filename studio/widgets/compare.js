// Before and after: a handle to drag between the two, the mask's outline, keep and discard. Shows what the server said of
// each picture; decides nothing. element, props, trigger and watch come from gr.HTML; View and area from the canvas.

const root = element.querySelector(".cmp"), stage = root.querySelector(".cmp-stage"), handle = root.querySelector(".cmp-split");
const find = (selector) => root.querySelector(selector), all = (selector) => root.querySelectorAll(selector);

class Pair extends View {
  draw_picture() {
    super.draw_picture();
    if (!this.before || look === "after") return;
    const pen = this.picture.getContext("2d"), scale = this.zoom * this.ratio;
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.beginPath();
    pen.rect(0, 0, look === "before" ? this.picture.width : split_x() * this.ratio, this.picture.height);
    pen.clip();
    pen.setTransform(scale, 0, 0, scale, this.x * this.ratio, this.y * this.ratio);
    pen.drawImage(this.before, 0, 0, this.width, this.height);
    pen.restore();
  }
}

const view = new Pair(stage, find(".cmp-picture"), find(".cmp-ink"));
let items = [], run = "", index = 0, look = "split", share = 0.5, layers = [], outlined = true, drag = null, asked = false, showing = "";
Object.assign(view, { outline: true, before: null, mask_box: null });

function split_x() { return share * stage.clientWidth; }

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    handle.style.left = `${split_x()}px`;
    handle.ariaValueNow = Math.round(share * 100);
    view.draw_picture();
    view.draw_ink(outlined ? layers : [], null);
  });
}
view.onmove = () => { find(".cmp-zoom").textContent = `${Math.round(view.zoom * 100)} %`; redraw(); };

function picture(url) {
  return new Promise((done, failed) => { const image = new Image(); image.onload = () => done(image); image.onerror = failed; image.src = url; });
}

// The mask as the View wants it, at the size of the picture that is shown, and a little wider: the outline goes around the
// defect and does not cover its edge.
function stencil(image, width, height) {
  const room = Math.max(2, Math.round(Math.max(width, height) / 300));
  const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, width, height);
  const pixels = pen.getImageData(0, 0, width, height).data, mask = new Uint8Array(width * height);
  let box = null;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = y * width + x;
    if (pixels[4 * at] <= 127) continue;
    box = joined(box, [x, y, x + 1, y + 1]);
    const edge = !x || !y || x === width - 1 || y === height - 1 || pixels[4 * at - 4] <= 127 || pixels[4 * at + 4] <= 127 || pixels[4 * (at - width)] <= 127 || pixels[4 * (at + width)] <= 127;
    if (edge) capsule(mask, width, height, x + 0.5, y + 0.5, x + 0.5, y + 0.5, room, 255); else mask[at] = 255;
  }
  view.mask_box = box;
  return mask;
}

// The handle starts just left of the defect: the whole of it is seen at once, and a small move shows what was there before.
function beside() {
  const left = view.mask_box ? view.x + view.mask_box[0] * view.zoom - 24 : stage.clientWidth / 2;
  share = Math.min(0.96, Math.max(0.04, left / stage.clientWidth));
}

async function show(next) {
  index = next;
  tell();
  const item = items[index];
  if (!item || showing === item.after) return;
  showing = item.after;
  root.dataset.ready = "0";
  try {
    const [before, after, mask] = await Promise.all([picture(item.before), picture(item.after), picture(item.mask)]);
    if (showing !== item.after) return; // another one was chosen while this was on its way
    const same = view.image && view.width === after.naturalWidth && view.height === after.naturalHeight && view.before_url === item.before;
    layers = [{ mask: stencil(mask, after.naturalWidth, after.naturalHeight), rgb: [255, 214, 0], strong: true }];
    view.before = before;
    if (same) { view.image = after; view.onmove(); } else view.show(after, after.naturalWidth, after.naturalHeight);
    if (!same) beside();
    view.before_url = item.before;
    root.dataset.ready = "1";
  } catch (problem) { find(".cmp-facts").textContent = props.words.broken; }
}

function tell() {
  const item = items[index], strip = find(".cmp-strip");
  root.dataset.empty = items.length ? "" : "1";
  root.dataset.look = look;
  root.dataset.verdict = (item && item.verdict) || "";
  root.dataset.index = index;
  root.dataset.run = run;
  strip.style.display = items.length > 1 ? "" : "none";
  strip.replaceChildren(...items.map((one, place) => {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    button.setAttribute("aria-pressed", place === index);
    button.dataset.verdict = one.verdict || "";
    button.title = button.ariaLabel = `${props.words.variants} ${place + 1}`;
    image.src = one.thumb;
    image.alt = "";
    button.append(image);
    button.onclick = () => show(place);
    return button;
  }));
  const pressed = strip.children[index];
  if (pressed) strip.scrollLeft = pressed.offsetLeft - strip.offsetLeft - (strip.clientWidth - pressed.clientWidth) / 2;
  find(".cmp-facts").replaceChildren(...((item && item.facts) || []).map((fact) => {
    const line = document.createElement("span"), name = document.createElement("b"), code = document.createElement("small");
    name.textContent = fact.text;
    code.textContent = fact.name;
    line.dataset.tone = fact.tone;
    line.title = fact.help;
    line.append(name, code);
    return line;
  }));
  find(".cmp-verdict").textContent = item && item.verdict ? props.words[item.verdict] : "";
}

function judge(verdict) {
  const item = items[index];
  if (!item) return;
  item.verdict = item.verdict === verdict ? "" : verdict;
  trigger("judge", { run: item.run || run, stem: item.stem, verdict: item.verdict });
  const open = items.findIndex((one, place) => place > index && !one.verdict);
  if (item.verdict && open > 0) show(open); else tell();
}

function set_look(name) { look = name; all("[data-look]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.look === name)); root.dataset.look = name; redraw(); }
function step(by) { if (items.length) show((index + by + items.length) % items.length); }
function zoom(factor) { view.zoom_at(stage.clientWidth / 2, stage.clientHeight / 2, factor); }

const acts = {
  outline() { outlined = !outlined; find("[data-act=outline]").setAttribute("aria-pressed", outlined); redraw(); },
  fit() { view.fit(); },
  actual() { zoom(1 / view.zoom); },
  in() { zoom(1.4); },
  out() { zoom(1 / 1.4); },
  // As close as leaves the defect and some of its surroundings on the stage, with the handle beside it.
  defect() {
    const box = view.mask_box;
    if (!box) return;
    const wanted = Math.min(stage.clientWidth / (2.2 * (box[2] - box[0])), stage.clientHeight / (2.2 * (box[3] - box[1])), 8);
    zoom(wanted / view.zoom);
    view.pan(stage.clientWidth / 2 - (((box[0] + box[2]) / 2) * view.zoom + view.x), stage.clientHeight / 2 - (((box[1] + box[3]) / 2) * view.zoom + view.y));
    beside();
  },
};
all("button[data-act]").forEach((button) => button.addEventListener("click", () => { if (items.length) acts[button.dataset.act](); }));
all("button[data-look]").forEach((button) => button.addEventListener("click", () => set_look(button.dataset.look)));
all("button[data-verdict]").forEach((button) => { if (!button.closest(".cmp-strip")) button.addEventListener("click", () => judge(button.dataset.verdict)); });

stage.addEventListener("pointerdown", (event) => {
  if (!items.length || event.button > 1) return;
  event.preventDefault();
  root.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  drag = { split: event.target.closest(".cmp-split") !== null, x: event.clientX, y: event.clientY };
});
stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (drag.split) { share = Math.min(1, Math.max(0, (event.clientX - stage.getBoundingClientRect().left) / stage.clientWidth)); redraw(); return; }
  view.pan(event.clientX - drag.x, event.clientY - drag.y);
  Object.assign(drag, { x: event.clientX, y: event.clientY });
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => { drag = null; });
stage.addEventListener("wheel", (event) => {
  if (!items.length) return;
  event.preventDefault();
  const frame = stage.getBoundingClientRect();
  view.zoom_at(event.clientX - frame.left, event.clientY - frame.top, Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) * 0.0018));
}, { passive: false });

const KEYS = { a: () => judge("kept"), r: () => judge("discarded"), s: () => set_look("split"), b: () => set_look("before"), " ": () => set_look(look === "after" ? "before" : "after"), o: acts.outline, d: acts.defect, 0: acts.fit, 1: acts.actual, "+": acts.in, "=": acts.in, "-": acts.out, arrowright: () => step(1), arrowleft: () => step(-1), escape: () => trigger("leave") };
root.addEventListener("keydown", (event) => {
  const act = KEYS[event.key.toLowerCase()];
  if (!act || !items.length || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && event.target !== root)) return;
  event.preventDefault();
  act();
});

function load() {
  const value = props.value || {}, fresh = value.run !== run;
  run = value.run || "";
  items = (value.items || []).map((item) => ({ ...item }));
  if (fresh) { index = value.index || 0; showing = ""; view.before_url = ""; }
  show(Math.min(index, Math.max(0, items.length - 1)));
  if (fresh && items.length && root.offsetParent) root.focus({ preventScroll: true });
}

watch("value", load);
new ResizeObserver(() => {
  if (!stage.clientWidth || !view.image) return;
  view.resize();
  if (view.fitted) view.fit(); else view.onmove();
}).observe(stage);
set_look("split");
load();
