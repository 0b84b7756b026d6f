// Before and after, and what to do with a result: keep, discard, paint on, send on. While a run has nothing finished yet, what it
// is drawing. Shows what the server said of each picture; decides nothing. element, props, trigger and watch come from gr.HTML;
// Pair, Changed and stencil from compare_looks.js, Tiles and picture from compare_tiles.js,
// Verdicts from verdicts.js: what is judged, on its way.

const root = element.querySelector(".cmp"), stage = root.querySelector(".cmp-stage"), handle = root.querySelector(".cmp-split");
const find = (selector) => root.querySelector(selector), all = (selector) => root.querySelectorAll(selector);
const LOOK_MS = 150, CLICK_PX = 4;
const calm = matchMedia("(prefers-reduced-motion: reduce)"), verdicts = new Verdicts((changes) => trigger("judge", changes)), given = new Map();
const view = new Pair(stage, find(".cmp-picture"), find(".cmp-ink")), panes = find(".cmp-tiles"), menu = find(".cmp-menu"), gain = find(".cmp-gain input");
panes.id = `${root.closest("[id]").id}-tiles`;
const tiles = new Tiles(stage, panes);
let items = [], run = "", index = 0, look = "split", last = "split", layers = [], outlined = true, drag = null, asked = false, showing = "", live = false, playing = false, told = 0;

const id_of = (item) => `${item.run}/${item.stem}`;
const lens = () => (tiles.on ? tiles : view);

// A picture without what was there before can only be looked at as it is.
function effective() { return look !== "tiles" && (live || (items[index] && !items[index].before)) ? "after" : look; }

function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    find(".cmp-zoom").textContent = `${Math.round(lens().zoom * 100)} %`;
    if (tiles.on) { tiles.outlined = outlined; tiles.draw(); root.dataset.tiled = tiles.ready() ? "1" : "0"; return; }
    handle.style.left = `${view.split_x()}px`;
    handle.ariaValueNow = Math.round(view.share * 100);
    view.draw_picture();
    view.draw_ink(outlined && !live ? layers : [], null);
  });
}
view.onmove = tiles.onmove = redraw;

// The handle starts just left of the defect: the whole of it is seen at once, and a small move shows what was there before.
function beside() {
  const left = view.mask_box ? view.x + view.mask_box[0] * view.zoom - 24 : stage.clientWidth / 2;
  view.share = Math.min(0.96, Math.max(0.04, left / stage.clientWidth));
}

async function show(next) {
  index = next;
  tell();
  const item = items[index];
  if (!item) return;
  clearTimeout(told);
  told = setTimeout(() => trigger("look", { run: item.run, stem: item.stem }), LOOK_MS);
  if (showing === item.after) return;
  showing = item.after;
  root.dataset.ready = "0";
  try {
    const [before, after, mask] = await Promise.all([item.before, item.after, item.mask].map((url) => (url ? picture(url) : null)));
    if (showing !== item.after) return; // another one was chosen while this was on its way
    const wide = after.naturalWidth, high = after.naturalHeight, same = view.image && view.width === wide && view.height === high && view.before_url === item.before;
    const found = mask && stencil(mask, wide, high, Math.min(stage.clientWidth / wide, stage.clientHeight / high));
    layers = found ? [{ mask: found.mask, rgb: OUTLINE, strong: true }] : [];
    Object.assign(view, { before, mask_box: found ? found.box : null, before_url: item.before, changed: null });
    if (same) { view.image = after; view.onmove(); } else view.show(after, wide, high);
    if (!same) beside();
    root.dataset.ready = "1";
    await arrange();
  } catch { if (showing === item.after) find(".cmp-facts").textContent = props.words.broken; }
}

// What a run that has finished nothing yet is doing, on its way to the first result.
async function show_live(value) {
  live = true;
  tell();
  root.dataset.ready = "0";
  if (showing === value.preview) return;
  showing = value.preview;
  try {
    const image = await picture(value.preview);
    if (showing !== value.preview) return;
    Object.assign(view, { before: null, before_url: "", mask_box: null, changed: null });
    layers = [];
    view.show(image, image.naturalWidth, image.naturalHeight);
    root.dataset.shown = value.preview;
  } catch { /* it was drawn over or taken away meanwhile: the next one is on its way */ }
}

// Everything that hangs on the look and on the picture: what is fetched for it, and what stands where.
async function arrange() {
  const now = effective(), item = items[index], siblings = items.filter((one) => item && one.run === item.run);
  tiles.on = now === "tiles" && view.image !== null;
  view.look = now;
  root.dataset.look = now;
  if (!live) all("[data-look]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.look === now));
  root.dataset.playing = now === "flicker" && playing ? "1" : "";
  if (now !== "flicker") view.flip = false;
  tags();
  if (tiles.on) { tiles.open(siblings, view.width, view.height); mark_tiles(); }
  if (now === "difference" && item && !view.changed) {
    root.dataset.ready = "0";
    const [before, after] = await Promise.all(item.exact.map(picture));
    if (items[index] !== item) return;
    view.changed = new Changed(before, after);
    view.changed.amplify(2 ** gain.value);
    root.dataset.ready = "1";
    tags();
  }
  redraw();
}

function tags() {
  const words = props.words, now = effective(), left = find(".cmp-tag.left"), times = 2 ** gain.value, item = items[index];
  find(".cmp-gain output").textContent = `× ${times}`;
  root.dataset.flip = now === "flicker" && view.flip ? "1" : "";
  left.textContent = words.before;
  if (now === "difference") left.textContent = view.changed && !view.changed.box ? words.nothing : words.changed.replace("%", times);
  else if (now === "flicker" && !playing) left.textContent = `${view.flip ? words.before : words.after} · ${words.paused}`;
  else if (now === "flicker") left.textContent = view.flip ? words.before : words.after;
  else if (now === "after") left.textContent = "";
  left.hidden = !left.textContent || tiles.on || !item;
  find(".cmp-tag.right").hidden = !["split", "after"].includes(now) || !item || !item.mask;
}

function mark_tiles() {
  const shown = tiles.items, words = props.words;
  tiles.mark(shown.indexOf(items[index]), (item, place) => `${words.variants} ${place + 1}${item.verdict ? `, ${words[item.verdict]}` : ""}`);
}

function thumb(one, place) {
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
}

function fact_line(fact) {
  const line = document.createElement("span"), name = document.createElement("b"), code = document.createElement("small");
  name.textContent = fact.text;
  code.textContent = fact.name;
  line.dataset.tone = fact.tone;
  line.title = fact.help;
  line.append(name, code);
  return line;
}

function tell() {
  const item = items[index], strip = find(".cmp-strip"), words = props.words, alone = item && !item.before;
  const lines = item ? [...(item.note ? [{ text: item.note, name: "", tone: "warn", help: "" }] : []), ...item.facts] : [];
  Object.assign(root.dataset, { empty: items.length || live ? "" : "1", live: live ? "1" : "", verdict: (item && item.verdict) || "", index, run });
  find(".cmp-doing").textContent = live ? (props.value || {}).doing : "";
  strip.style.display = items.length > 1 ? "" : "none";
  strip.replaceChildren(...items.map(thumb));
  const pressed = strip.children[index];
  if (pressed) strip.scrollLeft = pressed.offsetLeft - strip.offsetLeft - (strip.clientWidth - pressed.clientWidth) / 2;
  find(".cmp-facts").replaceChildren(...lines.map(fact_line));
  find(".cmp-verdict").textContent = item && item.verdict ? words[item.verdict] : "";
  find("[data-look=tiles]").hidden = !item || items.filter((one) => one.run === item.run).length < 2;
  for (const name of ["split", "before", "flicker", "difference"]) find(`[data-look=${name}]`).disabled = Boolean(alone);
  for (const name of ["outline", "defect"]) find(`[data-act=${name}]`).disabled = Boolean(item && !item.mask);
  if (look === "tiles" && find("[data-look=tiles]").hidden) set_look(last); else arrange().catch(broken);
}

function broken() { find(".cmp-facts").textContent = props.words.broken; }

function judge(verdict) {
  const item = items[index];
  if (!item) return;
  item.verdict = item.verdict === verdict ? "" : verdict;
  verdicts.say(id_of(item), item.verdict);
  given.set(id_of(item), item.verdict);
  const open = items.findIndex((one, place) => place > index && !one.verdict && (!tiles.on || one.run === item.run));
  if (item.verdict && open > 0) show(open); else tell();
}

function set_look(name) {
  if (live || !items.length || find(`[data-look=${name}]`).disabled || find(`[data-look=${name}]`).hidden) return;
  if (name === "flicker") { playing = look === "flicker" ? !playing : !calm.matches; view.flip = true; }
  if (look !== "tiles") last = look;
  look = name;
  all("[data-look]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.look === name));
  arrange().catch(broken);
  if (tiles.on) panes.focus({ preventScroll: true });
}

setInterval(() => {
  if (effective() !== "flicker" || !playing || document.hidden || !root.offsetParent) return;
  view.flip = !view.flip;
  tags();
  redraw();
}, FLIP_MS);

function step(by) {
  const place = tiles.on ? items.indexOf(tiles.items[tiles.items.indexOf(items[index]) + by]) : (index + by + items.length) % items.length;
  if (items[place]) show(place);
}

function zoom(factor) { lens().zoom_at(stage.clientWidth / 2, stage.clientHeight / 2, factor); }

const acts = {
  outline() { outlined = !outlined; find("[data-act=outline]").setAttribute("aria-pressed", outlined); redraw(); },
  fit() { lens().fit(); },
  actual() { zoom(1 / lens().zoom); },
  in() { zoom(1.4); },
  out() { zoom(1 / 1.4); },
  // As close as leaves the defect and some of its surroundings on the stage, with the handle beside it.
  defect() {
    const box = view.mask_box;
    if (!box) return;
    if (tiles.on) { tiles.show_box(box, 8); return; }
    const wanted = Math.min(stage.clientWidth / (2.2 * (box[2] - box[0])), stage.clientHeight / (2.2 * (box[3] - box[1])), 8);
    zoom(wanted / view.zoom);
    view.pan(stage.clientWidth / 2 - (((box[0] + box[2]) / 2) * view.zoom + view.x), stage.clientHeight / 2 - (((box[1] + box[3]) / 2) * view.zoom + view.y));
    beside();
  },
  start() { verdicts.flush(); trigger("start", { run: items[index].run, stem: items[index].stem }); },
  send() { menu.showPopover(); },
};
all("button[data-act]").forEach((button) => button.addEventListener("click", () => { if (items.length) acts[button.dataset.act](); }));
all("button[data-look]").forEach((button) => button.addEventListener("click", () => set_look(button.dataset.look)));
all("button[data-verdict]").forEach((button) => button.addEventListener("click", () => judge(button.dataset.verdict)));
gain.addEventListener("input", () => { if (view.changed) view.changed.amplify(2 ** gain.value); tags(); redraw(); });

menu.replaceChildren(...(props.targets || []).map((target) => {
  const button = document.createElement("button");
  button.type = "button";
  button.role = "menuitem";
  button.dataset.to = target.id;
  button.textContent = target.label;
  button.onclick = () => {
    menu.hidePopover();
    verdicts.flush();
    trigger("send", { to: target.id, run: items[index].run, stem: items[index].stem });
  };
  return button;
}));
find("[data-act=send]").hidden = !menu.children.length;
menu.addEventListener("toggle", (event) => {
  if (event.newState !== "open") return;
  const frame = find("[data-act=send]").getBoundingClientRect();
  Object.assign(menu.style, { left: `${Math.max(8, Math.min(frame.left, innerWidth - menu.offsetWidth - 8))}px`, top: `${frame.top - menu.offsetHeight - 6}px` });
  menu.firstElementChild.focus();
});
menu.addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key], all_of = [...menu.children];
  event.stopPropagation();
  if (!by) return;
  event.preventDefault();
  all_of[(all_of.indexOf(document.activeElement) + by + all_of.length) % all_of.length].focus();
});

stage.addEventListener("pointerdown", (event) => {
  if (!items.length || event.button > 1 || event.target.closest(".cmp-gain")) return;
  const split = event.target.closest(".cmp-split") !== null;
  event.preventDefault();
  (tiles.on ? panes : split ? handle : root).focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  drag = { split, x: event.clientX, y: event.clientY, far: 0 };
});
stage.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (drag.split) { view.share = Math.min(1, Math.max(0, (event.clientX - stage.getBoundingClientRect().left) / stage.clientWidth)); redraw(); return; }
  drag.far += Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
  if (tiles.on && drag.far < CLICK_PX) return;
  lens().pan(event.clientX - drag.x, event.clientY - drag.y);
  Object.assign(drag, { x: event.clientX, y: event.clientY });
});
stage.addEventListener("pointerup", (event) => {
  const place = tiles.on && drag && drag.far < CLICK_PX ? tiles.at(event.clientX, event.clientY) : -1;
  drag = null;
  if (place >= 0) show(items.indexOf(tiles.items[place]));
});
stage.addEventListener("pointercancel", () => { drag = null; });
stage.addEventListener("dblclick", (event) => { if (tiles.on && tiles.at(event.clientX, event.clientY) >= 0) set_look("split"); });
stage.addEventListener("wheel", (event) => {
  if (!items.length) return;
  event.preventDefault();
  const frame = stage.getBoundingClientRect();
  lens().zoom_at(event.clientX - frame.left, event.clientY - frame.top, Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) * 0.0018));
}, { passive: false });

const KEYS = {
  a: () => judge("kept"), r: () => judge("discarded"), s: () => set_look("split"), b: () => set_look("before"), f: () => set_look("flicker"), x: () => set_look("difference"),
  v: () => set_look(look === "tiles" ? last : "tiles"), " ": () => set_look(look === "after" ? "before" : "after"), o: acts.outline, d: acts.defect, 0: acts.fit, 1: acts.actual, "+": acts.in, "=": acts.in, "-": acts.out,
  arrowright: () => step(1), arrowleft: () => step(-1), escape: () => { if (tiles.on) set_look(last); else { verdicts.flush(); trigger("leave"); } },
};
const TILE_KEYS = { arrowdown: () => step(tiles.columns), arrowup: () => step(-tiles.columns), enter: () => set_look("split") };
const SPLIT_KEYS = { arrowright: 0.02, arrowleft: -0.02, arrowup: 0.02, arrowdown: -0.02, home: -1, end: 1 };

root.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase(), by = event.target === handle && SPLIT_KEYS[key], still = event.target === root || event.target === panes;
  if (!items.length || event.ctrlKey || event.metaKey || event.altKey) return;
  if (by) {
    event.preventDefault();
    view.share = Math.min(1, Math.max(0, view.share + by));
    redraw();
    return;
  }
  const act = (tiles.on && still && TILE_KEYS[key]) || KEYS[key];
  if (!act || (key === " " && !still) || (event.target === gain && key.startsWith("arrow"))) return;
  event.preventDefault();
  act();
});

// A verdict given here stands until the server has heard of it, whatever an older answer says.
function with_given(item) {
  const mine = given.get(id_of(item));
  if (mine === item.verdict) given.delete(id_of(item));
  return { ...item, verdict: given.has(id_of(item)) ? mine : item.verdict };
}

function load() {
  const value = props.value || {}, fresh = (value.run || "") !== run, first = fresh || !items.length;
  run = value.run || "";
  if (fresh) { index = value.index || 0; showing = ""; view.before_url = ""; verdicts.flush(); given.clear(); }
  items = (value.items || []).map(with_given);
  live = !items.length && Boolean(value.preview);
  if (live) show_live(value); else show(Math.min(index, Math.max(0, items.length - 1)));
  if (first && items.length && root.offsetParent) root.focus({ preventScroll: true });
}

watch("value", load);
new ResizeObserver(() => {
  if (!stage.clientWidth || !view.image) return;
  view.resize();
  if (view.fitted) view.fit();
  if (tiles.on) tiles.resize();
  redraw();
}).observe(stage);
load();
