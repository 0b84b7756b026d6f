// The mask canvas: pointer, keys and buttons. Pixels are raster.js, strokes.js and view.js; the file that goes back is png.js.
// The picture comes by URL and stays on the server. `root.canvas.read()` gives what was painted; nothing is sent before that.
// element, props, trigger and watch come from gr.HTML.

const root = element.querySelector(".mc"), stage = root.querySelector(".mc-stage"), ring = root.querySelector(".mc-ring");
const find = (selector) => root.querySelector(selector), all = (selector) => root.querySelectorAll(selector);
const view = new View(stage, find(".mc-picture"), find(".mc-ink"));
const MOST_AREAS = 8;
let strokes = new Strokes(1, 1), picture = null, tool = "brush", size = 16, active = 1;
let gesture = null, start = null, end = null, pointer = null, spare = false, dirty = null, waiting = false;
const fingers = new Map();

// -- drawing, once a frame
function redraw(what, area) {
  if (what === "all") { waiting = "all"; } else { dirty = joined(dirty, area); waiting = waiting || "ink"; }
  if (redraw.asked) return;
  redraw.asked = true;
  requestAnimationFrame(() => {
    redraw.asked = false;
    if (waiting === "all") { view.draw_picture(); view.draw_ink(strokes.layers(active), null); }
    else if (waiting && (dirty || start)) view.draw_ink(strokes.layers(active), start ? null : dirty);
    waiting = dirty = null;
    if (start && end) draft();
    place_ring();
  });
}

// A line or rectangle before the button is let go.
function draft() {
  const pen = view.ink.getContext("2d"), scale = view.zoom * view.ratio, rgb = INKS[(active - 1) % INKS.length].join(",");
  pen.save();
  pen.setTransform(scale, 0, 0, scale, view.x * view.ratio, view.y * view.ratio);
  pen.strokeStyle = pen.fillStyle = `rgba(${rgb},0.7)`;
  pen.lineWidth = size;
  pen.lineCap = "round";
  pen.beginPath();
  if (tool === "rectangle") { pen.rect(start[0], start[1], end[0] - start[0], end[1] - start[1]); pen.fill(); }
  else { pen.moveTo(start[0], start[1]); pen.lineTo(end[0], end[1]); pen.stroke(); }
  pen.restore();
}

function place_ring() {
  const shown = pointer && picture && !gesture_is_pan() && ["brush", "eraser", "line"].includes(tool) && !spare;
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
  if (!picture) { find(".mc-facts").replaceChildren(); return; }
  if (root.dataset.ready === "1") autosave();
  const share = (100 * sum) / (view.width * view.height), shown = share && share < 0.01 ? "< 0.01" : share.toFixed(share < 1 ? 2 : 1);
  const about = document.createElement("i");
  about.textContent = `${picture.name} · ${picture.width} × ${picture.height} · `;
  find(".mc-facts").replaceChildren(about, sum ? words.painted.replace("%", `${shown} %`) : words.nothing);
  find(".mc-facts").title = about.textContent + find(".mc-facts").lastChild.textContent;
  redraw("all");
}

// A refresh must not cost what was painted. What belongs to another picture is painted over; a full store loses only this.
const STORE = "flawsmith-strokes";
function autosave() {
  try { sessionStorage.setItem(STORE, JSON.stringify({ picture: picture.url, ...strokes.saved() })); }
  catch (full) { sessionStorage.removeItem(STORE); }
}

function recall() {
  const saved = JSON.parse(sessionStorage.getItem(STORE) || "null");
  if (!saved || saved.picture !== picture.url) return;
  strokes.restore(saved);
  active = strokes.areas().at(-1);
  trigger("select");
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
  tool = root.dataset.tool = name;
  all(".mc-bar [data-tool]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.tool === name));
  place_ring();
}

function largest() { return Math.max(8, Math.round(Math.max(view.width, view.height) / 4)); }

function resize_brush(value) {
  size = Math.min(Math.max(1, Math.round(value)), largest());
  find("input[name=size]").value = (1000 * Math.log(size)) / Math.log(largest());
  find("output[name=size]").textContent = `${Math.max(1, Math.round(size / shrink()))} px`;
  place_ring();
}

const acts = {
  undo() { strokes.undo(); tell(); },
  redo() { strokes.redo(); tell(); },
  invert() { strokes.apply({ tool: "invert", area: active }); tell(); },
  clear() { strokes.apply({ tool: "clear", area: active }); tell(); },
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
  open() { find("input[type=file]").click(); },
};

function zoom(factor) { view.zoom_at(stage.clientWidth / 2, stage.clientHeight / 2, factor); }

all("button[data-tool]").forEach((button) => button.addEventListener("click", () => pick(button.dataset.tool)));
all("button[data-act]").forEach((button) => button.addEventListener("click", () => acts[button.dataset.act]()));
find("input[name=size]").addEventListener("input", (event) => resize_brush(largest() ** (event.target.value / 1000)));
find("input[name=opacity]").addEventListener("input", (event) => { view.opacity = event.target.value / 100; redraw("all"); });

// -- pointer: one finger, pen or mouse paints; two fingers, the middle button, space or the hand move the picture
function at(event) {
  const [x, y] = view.point(event), pressure = event.pointerType === "pen" ? Math.max(0.1, event.pressure) : 1;
  return [Math.round(x * 8) / 8, Math.round(y * 8) / 8, Math.round(pressure * 100) / 100];
}

function follow_pointer(event) {
  const frame = stage.getBoundingClientRect();
  pointer = [event.clientX - frame.left, event.clientY - frame.top];
}

stage.addEventListener("pointerdown", (event) => {
  if (!picture || event.target.closest("button") || event.button > 1) return;
  event.preventDefault();
  root.focus({ preventScroll: true });
  stage.setPointerCapture(event.pointerId);
  follow_pointer(event);
  if (event.pointerType === "touch") fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (fingers.size === 2) { strokes.abandon(); start = end = null; gesture = "pinch"; redraw("all"); return; }
  if (gesture) return;
  if (event.button === 1 || spare || tool === "hand") { gesture = "pan"; root.dataset.pan = "2"; return; }
  gesture = "paint";
  if (tool === "line" || tool === "rectangle") { start = end = at(event); return; }
  redraw("ink", strokes.begin({ tool, size, area: active, points: [at(event)] }));
});

stage.addEventListener("pointermove", (event) => {
  const before = pointer;
  follow_pointer(event);
  if (gesture === "pinch" && fingers.has(event.pointerId)) return pinch(event);
  if (gesture === "pan") return view.pan(pointer[0] - before[0], pointer[1] - before[1]);
  if (gesture === "paint" && start) { end = event.shiftKey && tool === "line" ? straight(start, at(event)) : at(event); return redraw("ink", null); }
  if (gesture === "paint" && strokes.current) {
    const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const move of moves.length ? moves : [event]) redraw("ink", strokes.extend(at(move)));
  }
  place_ring();
});

function pinch(event) {
  const [first, second] = [...fingers.values()], apart = Math.hypot(first[0] - second[0], first[1] - second[1]);
  const middle = [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2], frame = stage.getBoundingClientRect();
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  const [one, two] = [...fingers.values()], now = [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2];
  view.pan(now[0] - middle[0], now[1] - middle[1]);
  view.zoom_at(now[0] - frame.left, now[1] - frame.top, Math.hypot(one[0] - two[0], one[1] - two[1]) / Math.max(1, apart));
}

// Shift holds a line to the nearest of the eight directions.
function straight(from, to) {
  const turn = Math.round(Math.atan2(to[1] - from[1], to[0] - from[0]) / (Math.PI / 4)) * (Math.PI / 4), far = Math.hypot(to[0] - from[0], to[1] - from[1]);
  return [from[0] + far * Math.cos(turn), from[1] + far * Math.sin(turn), 1];
}

function release(event) {
  fingers.delete(event.pointerId);
  if (gesture === "pinch" && fingers.size) return;
  if (gesture === "paint" && start) strokes.apply({ tool, size, area: active, points: [start, end] });
  if (gesture === "paint") strokes.finish();
  start = end = null;
  if (gesture === "paint") { tell(); trigger("input"); }
  gesture = null;
  root.dataset.pan = spare ? "1" : "";
}
stage.addEventListener("pointerup", release);
stage.addEventListener("pointercancel", release);
stage.addEventListener("pointerleave", () => { pointer = null; place_ring(); });
stage.addEventListener("wheel", (event) => {
  if (!picture) return;
  event.preventDefault();
  follow_pointer(event);
  view.zoom_at(pointer[0], pointer[1], Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) * 0.0018));
}, { passive: false });

// -- keys, when the canvas has the focus
const KEYS = { b: () => pick("brush"), e: () => pick("eraser"), l: () => pick("line"), r: () => pick("rectangle"), h: () => pick("hand"), i: acts.invert, o: acts.outline, n: acts.add, 0: acts.fit, 1: acts.actual, "+": acts.in, "=": acts.in, "-": acts.out, delete: acts.clear, "[": () => resize_brush(Math.min(size - 1, size / 1.2)), "]": () => resize_brush(Math.max(size + 1, size * 1.2)) };
root.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (!picture || event.altKey) return;
  let act = null;
  if (control && key === "z") act = event.shiftKey ? acts.redo : acts.undo;
  else if (control && key === "y") act = acts.redo;
  else if (key === " " && event.target === root) act = () => { spare = true; if (!gesture) root.dataset.pan = "1"; place_ring(); };
  else if (!control) act = KEYS[key];
  if (!act || gesture === "paint") return;
  event.preventDefault();
  act();
});
root.addEventListener("keyup", (event) => { if (event.key === " ") { spare = false; root.dataset.pan = ""; place_ring(); } });
root.addEventListener("blur", () => { spare = false; root.dataset.pan = ""; });

// -- a picture in: by the server's word, by the file dialogue, or dropped on the stage
async function send(file) {
  if (!file) return;
  const form = new FormData();
  form.append("file", file);
  root.dataset.ready = "0";
  try {
    const answer = await fetch(props.uploads, { method: "POST", body: form }), body = await answer.json();
    if (answer.ok && picture && picture.asset === body.asset) root.dataset.ready = "1"; // it is open already: what is painted stays
    else if (answer.ok) trigger("open", { asset: body.asset });
    else refuse(body.error.message);
  } catch (problem) { refuse(props.words.unreachable); }
}
function refuse(sentence) { root.dataset.ready = picture ? "1" : "0"; trigger("refuse", { sentence: String(sentence) }); }

find("input[type=file]").addEventListener("change", (event) => { send(event.target.files[0]); event.target.value = ""; });
root.addEventListener("dragover", (event) => { event.preventDefault(); root.dataset.drop = "1"; });
root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.dataset.drop = ""; });
root.addEventListener("drop", (event) => { event.preventDefault(); root.dataset.drop = ""; send(event.dataTransfer.files[0]); });

function load() {
  const next = props.value && props.value.picture;
  if (!next || (picture && picture.url === next.url)) return;
  root.dataset.ready = "0";
  const image = new Image();
  image.onload = () => {
    const note = { ...strokes.note(active) };
    picture = next;
    strokes = new Strokes(image.naturalWidth, image.naturalHeight);
    Object.assign(strokes.note(1), note);
    active = 1;
    root.dataset.empty = "";
    view.show(image, image.naturalWidth, image.naturalHeight);
    resize_brush(Math.max(3, Math.max(view.width, view.height) / 64));
    recall();
    tell();
    root.dataset.ready = "1";
  };
  image.onerror = () => refuse(props.words.broken.replace("%", next.name));
  image.src = next.url;
}

root.canvas = {
  // What goes back with Generate: the picture's id and one 8-bit PNG for each area that has paint.
  async read() {
    const areas = [];
    for (const number of strokes.areas()) {
      const mask = strokes.masks.get(number);
      if (mask && area(mask)) areas.push({ ...strokes.note(number), mask: await png(mask, view.width, view.height) });
    }
    return { picture, areas };
  },
  assign(note) { Object.assign(strokes.note(active), note); tell(); },
  active() { return strokes.note(active); },
  view,
};

watch("value", load);
new ResizeObserver(() => {
  if (!stage.clientWidth || !picture) return;
  view.resize();
  if (view.fitted) view.fit(); else view.onmove();
}).observe(stage);
root.dataset.ready = "0";
Object.assign(strokes.note(1), props.start);
tell();
load();
