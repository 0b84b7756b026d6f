// Pointer and keys. One finger, pen or mouse paints; two fingers, the middle button, space or the hand move the picture.
// Shares the names of canvas.js, which calls `listen` once everything stands.

const DEFECT_BRUSHES = ["scratch", "crack", "pits", "blob", "flakes"];
const SPANS = ["line", "rectangle", "ellipse"];
const SIZED = ["brush", "eraser", "line", ...DEFECT_BRUSHES];
const CLOSING_PX = 10;

function at(event) {
  const [x, y] = view.point(event), pressure = event.pointerType === "pen" ? Math.max(0.1, event.pressure) : 1;
  return [Math.round(x * 8) / 8, Math.round(y * 8) / 8, Math.round(pressure * 100) / 100];
}

function follow_pointer(event) {
  const frame = stage.getBoundingClientRect();
  pointer = [event.clientX - frame.left, event.clientY - frame.top];
}

// Which pointer draws or moves the picture: {id, type} of the one that came first, {id: "keys"} for the crosshair, or null.
let holder = null;

function press(event) {
  if (!picture || event.target.closest("button") || event.button > 1) return;
  event.preventDefault();
  root.focus({ preventScroll: true });
  if (event.pointerType === "touch") {
    if (holder && holder.type === "pen") return; // the palm of the hand that holds the pen
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
  }
  if (event.pointerType === "pen" && holder && holder.type === "touch") { take_back(); gesture = holder = null; fingers.clear(); } // the palm came first
  stage.setPointerCapture(event.pointerId);
  if (holder && holder.id === "keys") return;
  put_cross_away();
  follow_pointer(event);
  if (fingers.size === 2 && holder && holder.type === "touch") return start_pinch();
  if (gesture) return;
  holder = { id: event.pointerId, type: event.pointerType };
  if (event.button === 1 || spare || tool === "hand") { gesture = "pan"; root.dataset.pan = "2"; return; }
  put_down(at(event));
}

// The tool touches the picture.
function put_down(point) {
  if (tool === "polygon") return corner(point);
  gesture = "paint";
  if (tool === "brush" || tool === "eraser") return redraw("ink", strokes.begin({ tool, size, area: active, points: [point] }));
  draft = { tool, size, points: SPANS.includes(tool) ? [point, point] : [point] };
  redraw("ink", null);
}

// What was begun never was: nothing painted, no corner set, no shape drawn.
function take_back() {
  strokes.abandon();
  if (gesture === "corner") corner_back();
  else if (tool !== "polygon") draft = null;
  redraw("all");
}

function start_pinch() {
  take_back();
  gesture = "pinch";
}

function move(event) {
  if (event.pointerType === "touch" && !fingers.has(event.pointerId)) return;
  if (gesture === "pinch") return fingers.size > 1 && fingers.has(event.pointerId) ? pinch(event) : undefined;
  if (holder && holder.id !== event.pointerId) return;
  if (cross && event.movementX === 0 && event.movementY === 0) return; // a browser also tells of a pointer that rests
  put_cross_away();
  const before = pointer;
  follow_pointer(event);
  if (gesture === "pan") return view.pan(pointer[0] - before[0], pointer[1] - before[1]);
  if (draft && draft.tool === "polygon") { draft.open = at(event); return redraw("ink", null); }
  if (gesture === "paint") return drag_to(moves(event).map(at), event.shiftKey);
  place_ring();
}

// The tool, put down before, goes along these points; `even` keeps its shape straight or square.
function drag_to(points, even) {
  if (draft) stretch(points, even);
  else for (const point of points) redraw("ink", strokes.extend(point));
  redraw("ink", null);
}

// Every place the pointer passed since the last frame.
function moves(event) {
  const found = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  return found.length ? found : [event];
}

function stretch(way, even) {
  const points = draft.points;
  if (SPANS.includes(draft.tool)) { points[1] = even ? straight(draft.tool, points[0], way.at(-1)) : way.at(-1); return; }
  const apart = draft.tool === "lasso" ? 0.5 / view.zoom : Math.max(0.5, draft.size / 16);
  for (const point of way) if (Math.hypot(point[0] - points.at(-1)[0], point[1] - points.at(-1)[1]) >= apart) points.push(point);
}

// Shift holds a line to the nearest of the eight directions, a rectangle to a square and an ellipse to a circle.
function straight(kind, from, to) {
  const dx = to[0] - from[0], dy = to[1] - from[1], side = Math.max(Math.abs(dx), Math.abs(dy));
  if (kind !== "line") return [from[0] + Math.sign(dx) * side, from[1] + Math.sign(dy) * side, 1];
  const turn = Math.round(Math.atan2(dy, dx) / (Math.PI / 4)) * (Math.PI / 4), far = Math.hypot(dx, dy);
  return [from[0] + far * Math.cos(turn), from[1] + far * Math.sin(turn), 1];
}

function pinch(event) {
  const [first, second] = [...fingers.values()], apart = Math.hypot(first[0] - second[0], first[1] - second[1]);
  const middle = [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2], frame = stage.getBoundingClientRect();
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  const [one, two] = [...fingers.values()], now = [(one[0] + two[0]) / 2, (one[1] + two[1]) / 2];
  view.pan(now[0] - middle[0], now[1] - middle[1]);
  view.zoom_at(now[0] - frame.left, now[1] - frame.top, Math.hypot(one[0] - two[0], one[1] - two[1]) / Math.max(1, apart));
}

function release(event) {
  fingers.delete(event.pointerId);
  if (gesture === "pinch" ? fingers.size : !holder || holder.id !== event.pointerId) return;
  lift();
}

// The tool leaves the picture: what it drew is a stroke now.
function lift() {
  const painted = gesture === "paint";
  gesture = holder = null;
  root.dataset.pan = spare ? "1" : "";
  if (!painted) return;
  const { tool: name, points } = draft || {};
  if (SPANS.includes(name)) strokes.apply({ tool: name, size: draft.size, area: active, points });
  else if (name === "lasso") { if (points.length > 2) strokes.apply({ tool: "polygon", area: active, points }); }
  else if (name) stamp_stroke(name, points, draft.size);
  else strokes.finish();
  draft = null;
  tell();
  trigger("input");
}

// -- the polygon, corner by corner
function corner(point) {
  gesture = "corner";
  const first = draft && draft.points[0];
  if (first && draft.points.length > 2 && Math.hypot(point[0] - first[0], point[1] - first[1]) * view.zoom < CLOSING_PX) return close_polygon();
  if (draft) draft.points.push(point); else draft = { tool: "polygon", points: [point], open: point };
  hint();
  redraw("ink", null);
}

function corner_back() {
  if (!draft) return;
  draft.points.pop();
  if (!draft.points.length) draft = null;
  hint();
  redraw("ink", null);
}

function close_polygon() {
  const points = draft.points;
  if (points.length < 3) return;
  draft = null;
  strokes.apply({ tool: "polygon", area: active, points });
  tell();
  trigger("input");
}

function cancel() { draft = null; hint(); redraw("ink", null); }

// Both presses have set a corner in one place; the first may have closed a polygon and the second begun another.
function double_press() {
  if (!draft || draft.tool !== "polygon") return;
  corner_back();
  if (draft) close_polygon();
}

// -- keys, when the canvas has the focus
const KEYS = {
  b: () => pick("brush"), e: () => pick("eraser"), l: () => pick("line"), r: () => pick("rectangle"), c: () => pick("ellipse"), p: () => pick("polygon"), f: () => pick("lasso"), h: () => pick("hand"),
  d: () => find(".mc-defects").togglePopover(true), i: () => acts.invert(), o: () => acts.outline(), n: () => acts.add(), ".": () => acts.grow(), ",": () => acts.shrink(), delete: () => acts.clear(),
  0: () => acts.fit(), 1: () => acts.actual(), "+": () => acts.in(), "=": () => acts.in(), "-": () => acts.out(), "?": () => acts.help(),
  "[": () => resize_brush(Math.min(size - 1, size / 1.2)), "]": () => resize_brush(Math.max(size + 1, size * 1.2)),
};
const LOOP_KEYS = { enter: close_polygon, escape: cancel, backspace: corner_back };

function key_down(event) {
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey, loop = draft && draft.tool === "polygon";
  if (event.altKey || event.target.closest("[popover], dialog") || !(picture || key === "?")) return;
  if (event.target === root && cross_key(event, key, control)) return event.preventDefault();
  let act = null;
  if (control && key === "z") act = loop ? corner_back : event.shiftKey ? acts.redo : acts.undo;
  else if (control && key === "y") act = acts.redo;
  else if (key === " " && event.target === root) act = () => { spare = true; if (!gesture) root.dataset.pan = "1"; place_ring(); };
  else if (!control) act = (loop && LOOP_KEYS[key]) || KEYS[key];
  if (!act || gesture === "paint") return;
  event.preventDefault();
  act();
}

function listen() {
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", release);
  stage.addEventListener("pointerleave", () => { if (!cross) pointer = null; place_ring(); });
  stage.addEventListener("dblclick", double_press);
  stage.addEventListener("wheel", (event) => {
    if (!picture) return;
    event.preventDefault();
    if (!cross) follow_pointer(event);
    view.zoom_at(pointer[0], pointer[1], Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) * 0.0018));
  }, { passive: false });
  root.addEventListener("keydown", key_down);
  root.addEventListener("keyup", (event) => { if (event.key === " ") { spare = false; root.dataset.pan = ""; place_ring(); } });
  root.addEventListener("blur", () => { spare = false; root.dataset.pan = ""; if (holder && holder.id === "keys") lift(); put_cross_away(); });
}
