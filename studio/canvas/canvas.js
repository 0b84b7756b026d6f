// The mask canvas: what is on it, what its buttons do, and what the page says of it. Pointer and keys are pointer.js, files and
// masks in and out files.js; pixels are raster.js, strokes.js and view.js; the file that goes back is png.js.
// The picture comes by URL and stays on the server. `root.canvas.read()` gives what was painted; nothing is sent before that.
// element, props, trigger and watch come from gr.HTML.

const root = element.querySelector(".mc"), stage = root.querySelector(".mc-stage"), ring = root.querySelector(".mc-ring");
const find = (selector) => root.querySelector(selector), all = (selector) => root.querySelectorAll(selector);
const view = new View(stage, find(".mc-picture"), find(".mc-ink"));
const MOST_AREAS = 8, MOST_STAMP_POINTS = 1000;
const THIN_PX = 2, VAST_SHARE = 25, MEASURE_MS = 120;
const overlay = new Draft(view, find(".mc-draft")), fingers = new Map(), settling = new Set();
const saved = new Saved(() => trigger("refuse", { sentence: props.words.not_kept }), props.memory);
const sizes = { plain: 16, defect: 64 };
let strokes = new Strokes(1, 1), picture = null, tool = "brush", size = 16, active = 1, narrow = 0, measuring = null;
let home = "", loading = 0, filled = ""; // where the server keeps drafts, which load is the latest, which areas were filled in
let gesture = null, draft = null, pointer = null, spare = false, dirty = null, waiting = false;

// -- drawing, once a frame
function redraw(what, area) {
  if (what === "all") { waiting = "all"; } else { dirty = joined(dirty, area); waiting = waiting || "ink"; }
  if (redraw.asked) return;
  redraw.asked = true;
  requestAnimationFrame(() => {
    redraw.asked = false;
    if (waiting === "all") { view.draw_picture(); view.draw_ink(strokes.layers(active), null); }
    else if (waiting && dirty) view.draw_ink(strokes.layers(active), dirty);
    waiting = dirty = null;
    const drafts = strokes.waiting().concat(draft || []);
    overlay.draw(drafts.map((one) => ({ ...one, rgb: INKS[((one.area || active) - 1) % INKS.length] })));
    place_ring();
  });
}

function place_ring() {
  place_cross();
  const shown = pointer && picture && !gesture_is_pan() && SIZED.includes(tool) && !spare;
  ring.style.visibility = shown ? "visible" : "hidden";
  if (!shown) return;
  const wide = Math.max(size * view.zoom, 2);
  ring.style.width = ring.style.height = `${wide}px`;
  ring.classList.toggle("fine", wide < 12);
  ring.style.transform = `translate(${pointer[0] - wide / 2}px, ${pointer[1] - wide / 2}px)`;
}

function gesture_is_pan() { return gesture === "pan" || gesture === "pinch"; }

view.onmove = () => {
  find(".mc-zoom").textContent = `${Math.round(view.zoom * shrink() * 100)} %`;
  redraw("all");
};

// Screen pixels per pixel of the full picture is zoom times this; the view copy of a large picture is smaller.
function shrink() { return picture ? view.width / picture.width : 1; }

// -- state on the page
function tell() {
  const areas = strokes.areas(), words = props.words;
  if (!areas.includes(active)) { active = areas[areas.length - 1]; trigger("select"); }
  find("[data-act=undo]").disabled = !strokes.done.length;
  find("[data-act=redo]").disabled = !strokes.undone.length;
  find("[data-act=add]").disabled = areas.length >= MOST_AREAS;
  const chips = areas.map((area, index) => chip(area, index + 1, areas.length > 1));
  find(".mc-areas").replaceChildren(...chips);
  const sum = areas.reduce((total, number) => total + (strokes.masks.has(number) ? area(strokes.masks.get(number)) : 0), 0);
  root.dataset.painted = sum;
  document.dispatchEvent(new CustomEvent("flawsmith-canvas")); // for what is shown beside it
  if (!picture) { find(".mc-facts").replaceChildren(); return; }
  if (root.dataset.ready === "1") saved.keep(home, picture.asset, JSON.stringify(strokes.saved()), strokes.done.length > 0);
  facts(sum);
  clearTimeout(measuring);
  measuring = setTimeout(() => { narrow = sum ? thinnest_of_all(areas) / shrink() : 0; facts(sum); }, MEASURE_MS);
  redraw("all");
}

function thinnest_of_all(areas) {
  return Math.min(...areas.filter((one) => strokes.masks.has(one)).map((one) => thinnest(strokes.mask(one), view.width, view.height) || Infinity));
}

function facts(sum) {
  const words = props.words, share = (100 * sum) / (view.width * view.height);
  const shown = share && share < 0.01 ? "< 0.01" : share.toFixed(share < 1 ? 2 : 1), about = document.createElement("i");
  about.textContent = `${picture.name} · ${picture.width} × ${picture.height} · `;
  const said = [sum ? words.painted.replace("%", `${shown} %`) : words.nothing];
  if (sum && narrow) said.push(words.thinnest.replace("%", Math.max(1, Math.round(narrow))));
  find(".mc-facts").replaceChildren(about, said.join(" · "));
  find(".mc-facts").title = about.textContent + said.join(" · ");
  root.dataset.thinnest = sum ? Math.round(narrow) : 0;
  hint(!sum ? "" : share > VAST_SHARE ? words.vast : narrow && Math.round(narrow) < THIN_PX ? words.thin : "");
}

// One line on the stage: what to do next with a polygon or the crosshair, or what may be wrong with the mask.
function hint(warning = hint.warning) {
  hint.warning = warning;
  const loop = draft && draft.tool === "polygon", line = find(".mc-hint"), words = props.words;
  root.dataset.loop = loop ? "1" : "";
  const how = loop ? (cross ? words.cross_loop : words.loop) : by_keys() ? words.cross_down : cross && !warning ? words.cross_how : "";
  line.textContent = how || warning || "";
  line.dataset.kind = how ? "how" : "warning";
}

function chip(number, place, removable) {
  const box = document.createElement("div"), pick = document.createElement("button"), dot = document.createElement("i");
  const note = strokes.note(number), on = number === active;
  box.className = on ? "mc-chip on" : "mc-chip";
  box.style.setProperty("--ink", `rgb(${INKS[(number - 1) % INKS.length].join(",")})`);
  pick.type = "button";
  pick.setAttribute("aria-pressed", on);
  pick.append(dot, `${place} ${props.titles[note.defect] || props.words.area}`);
  pick.onclick = () => { choose(number); };
  box.append(pick);
  if (removable) {
    const drop = document.createElement("button");
    drop.type = "button";
    drop.textContent = "×";
    drop.title = drop.ariaLabel = props.words.remove;
    drop.onclick = () => { strokes.apply({ tool: "remove", area: number }); tell(); };
    box.append(drop);
  }
  return box;
}

function choose(number) { active = number; tell(); trigger("select"); }

function pick(name) {
  if (draft) cancel();
  tool = root.dataset.tool = name;
  const defect = DEFECT_BRUSHES.includes(name);
  all("button[data-tool]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.tool === name));
  const opener = find("[data-menu=defects]");
  opener.setAttribute("aria-pressed", defect);
  opener.title = `${props.words.defects}${defect ? `: ${props.words[name]}` : ""} (D)`;
  find("input[name=size]").disabled = !SIZED.includes(name);
  resize_brush(sizes[defect ? "defect" : "plain"]);
}

function largest() { return Math.max(8, Math.round(Math.max(view.width, view.height) / 4)); }

function resize_brush(value) {
  const kind = DEFECT_BRUSHES.includes(tool) ? "defect" : "plain";
  size = sizes[kind] = Math.min(Math.max(kind === "defect" ? 4 : 1, Math.round(value)), largest());
  find("input[name=size]").value = (1000 * Math.log(size)) / Math.log(largest());
  find("output[name=size]").textContent = `${Math.max(1, Math.round(size / shrink()))} px`;
  place_ring();
}

const acts = {
  undo() { strokes.undo(); tell(); },
  redo() { strokes.redo(); tell(); },
  invert() { change("invert"); },
  grow() { move_edge(1); },
  shrink() { move_edge(-1); },
  clear() { change("clear"); },
  add() {
    if (strokes.areas().length >= MOST_AREAS) return;
    const area = strokes.unused();
    Object.assign(strokes.note(area), strokes.note(active));
    strokes.apply({ tool: "add", area });
    choose(area);
  },
  outline() { view.outline = !view.outline; find("[data-act=outline]").setAttribute("aria-pressed", view.outline); redraw("all"); },
  fit() { view.fit(); },
  actual() { zoom(1 / (view.zoom * shrink())); },
  in() { zoom(1.4); },
  out() { zoom(1 / 1.4); },
  open() { find("input[name=picture]").click(); },
  of_picture() { keep_of_picture(); },
  keep() { ask_name("", props.titles[strokes.note(active).defect] || ""); },
  import() { find(".mc-masks").hidePopover(); find("input[name=mask]").click(); },
  export() { find(".mc-masks").hidePopover(); export_mask(); },
  help() { find(".mc-help").showModal(); find(".mc-help").scrollTop = 0; },
};

// Grows or shrinks by a pixel of the full picture. Where the view is smaller, presses in a row add up: `net` of them so far,
// which the view's edge follows in whole steps of its own.
function move_edge(way) {
  const last = strokes.done.at(-1), before = last && last.area === active && last.net || 0, net = before + way;
  const steps = (count) => Math.sign(count) * Math.ceil(Math.abs(count) * shrink() - 1e-9), further = steps(net) - steps(before);
  strokes.apply({ tool: further < 0 ? "shrink" : "grow", area: active, steps: Math.abs(further), net });
  tell();
  trigger("input");
}

// What is done to the whole area at once is a stroke like any other.
function change(how) { strokes.apply({ tool: how, area: active }); tell(); trigger("input"); }

function zoom(factor) { view.zoom_at(stage.clientWidth / 2, stage.clientHeight / 2, factor); }

all("button[data-tool]").forEach((button) => button.addEventListener("click", () => {
  pick(button.dataset.tool);
  if (button.closest("[popover]")) find(".mc-defects").hidePopover();
  root.focus({ preventScroll: true }); // with a tool in hand the next key is the canvas's
}));
all("button[data-act]").forEach((button) => button.addEventListener("click", () => {
  if (picture || ["open", "help"].includes(button.dataset.act)) acts[button.dataset.act]();
}));
find("input[name=size]").addEventListener("input", (event) => resize_brush(largest() ** (event.target.value / 1000)));
find("input[name=opacity]").addEventListener("input", (event) => { view.opacity = event.target.value / 100; redraw("all"); });

// The value: the picture, the areas to fill in on it, and where its drafts are kept. What is there already stays as it is; what
// was painted on another picture is kept under that one.
async function load() {
  const value = props.value || {}, next = value.picture, next_home = value.drafts || props.drafts || "";
  if (!next) return;
  root.dataset.drawing = value.keep ? "1" : "";
  root.dataset.home = next_home ? "1" : "";
  const order = value.areas ? value.order || JSON.stringify(value.areas) : "", turn = ++loading;
  const open_already = picture && picture.url === next.url && home === next_home;
  if (open_already && (!order || order === filled)) { root.dataset.ready = "1"; return; }
  root.dataset.ready = "0";
  try {
    if (!open_already) {
      saved.send();
      const [image, text] = await Promise.all([decoded(next), saved.recall(next_home, next.asset)]);
      if (turn !== loading) return;
      home = next_home;
      show(next, image, text && JSON.parse(text));
    }
    if (order) await fill_areas(value.areas);
    if (turn !== loading) return;
    filled = order;
    root.dataset.ready = "1";
    tell();
    if (order) { trigger("select"); trigger("input"); }
  } catch (problem) { if (turn === loading) refuse(problem.message); }
}

function decoded(next) {
  return new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => failed(new Error(worded(props.words.broken, next.name)));
    image.src = next.url;
  });
}

function show(next, image, kept) {
  const note = { ...strokes.note(active) };
  if (picture) remember_all();
  strokes.abandon();
  gesture = holder = draft = null;
  put_cross_away();
  lately = null;
  picture = next;
  strokes = new Strokes(image.naturalWidth, image.naturalHeight);
  Object.assign(strokes.note(1), note);
  active = 1;
  root.dataset.empty = "";
  view.show(image, image.naturalWidth, image.naturalHeight);
  sizes.plain = Math.max(3, Math.max(view.width, view.height) / 64);
  sizes.defect = Math.max(8, Math.max(view.width, view.height) / 16);
  pick(tool);
  if (!kept) return tell();
  strokes.restore(kept);
  strokes.waiting().forEach(settle);
  active = strokes.areas().at(-1);
  tell();
  trigger("select");
}

root.canvas = {
  // What goes back with Generate: the picture's id and one 8-bit PNG for each area that has paint.
  async read() {
    const areas = [];
    await Promise.all(settling);
    remember_all();
    for (const number of strokes.areas()) {
      const mask = strokes.masks.get(number);
      if (mask && area(mask)) areas.push({ ...strokes.note(number), mask: await png(mask, view.width, view.height) });
    }
    return { picture, areas };
  },
  assign(note) { Object.assign(strokes.note(active), note); tell(); },
  active() { return strokes.note(active); },
  settled() { return !settling.size; },
  // What tells this painting from another one: a picture, and the strokes on it.
  stamp() { return picture ? `${picture.asset} ${strokes.done.length} ${strokes.undone.length} ${root.dataset.painted}` : ""; },
  // Shows an image in the picture's place, and what is painted as outlines on it; null takes it away. `name` is said in the corner.
  lay(image, name) {
    view.over = image;
    find(".mc-tag").textContent = image ? name : "";
    redraw("all");
  },
  view,
};

watch("value", load);
new ResizeObserver(() => {
  if (!stage.clientWidth || !picture) return;
  view.resize();
  if (view.fitted) view.fit(); else view.onmove();
}).observe(stage);
addEventListener("pagehide", () => saved.send(true));
root.dataset.ready = "0";
Object.assign(strokes.note(1), props.start);
listen();
accept_files();
listen_to_library();
menu(find("[data-menu=defects]"), find(".mc-defects"), () => {});
menu(find("[data-menu=masks]"), find(".mc-masks"), () => { show_last(); open_library(); });
sheet(find(".mc-help"), props.words);
tell();
load();
