// Painting without a pointer: the arrow keys move a crosshair over the picture, Enter puts the tool down and lifts it. What the
// tool draws is pointer.js's; the view follows when the crosshair leaves it. Shares the names of canvas.js.

const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
const STEP_PX = 6, FAR_PX = 48; // on the screen; never less than a pixel of the picture
const MARGIN_PX = 24, SAY_MS = 400;
let cross = null, lately = null; // [x, y], the middle of a pixel of the view; where it was put away

// Whether the key was the crosshair's.
function cross_key(event, key, control) {
  const arrow = ARROWS[key];
  if (arrow && !control) { step(arrow, event.shiftKey ? FAR_PX : STEP_PX); return true; }
  if (!cross) return false;
  if (key === "enter") { if (!event.repeat) enter(control); return true; }
  if (key !== "escape") return false;
  if (by_keys()) { take_back(); gesture = holder = null; say(props.words.given_up); }
  else if (draft) { cancel(); say(props.words.given_up); }
  else put_cross_away();
  hint();
  return true;
}

function by_keys() { return Boolean(holder && holder.id === "keys"); }

function step([dx, dy], far) {
  if (gesture && !by_keys()) return; // a pointer paints just now
  if (tool === "hand") return view.pan(-dx * far, -dy * far);
  const pace = Math.max(1, Math.round(far / view.zoom)), [x, y] = cross || first_place();
  const within = (value, end) => Math.min(Math.max(value, 0.5), end - 0.5);
  cross = [within(x + dx * pace, view.width), within(y + dy * pace, view.height)];
  keep_in_sight();
  if (draft && draft.tool === "polygon") draft.open = [...cross, 1];
  else if (by_keys()) drag_to([[...cross, 1]], false);
  hint();
  redraw("ink", null);
  const full = cross.map((value) => Math.floor(value / shrink()));
  say(worded(props.words.cross_at, ...full), SAY_MS);
}

// Where the pointer is, or where the crosshair was put away, or the middle of what is in sight.
function first_place() {
  if (!pointer && lately) return lately;
  const [x, y] = pointer || [stage.clientWidth / 2, stage.clientHeight / 2];
  return [(x - view.x) / view.zoom, (y - view.y) / view.zoom].map((value) => Math.floor(value) + 0.5);
}

function keep_in_sight() {
  const beyond = (value, end) => Math.max(MARGIN_PX - value, 0) + Math.min(end - MARGIN_PX - value, 0);
  const [x, y] = view.screen(cross), dx = beyond(x, stage.clientWidth), dy = beyond(y, stage.clientHeight);
  if (dx || dy) view.pan(dx, dy);
}

function enter(close) {
  if (draft && draft.tool === "polygon" && close) return close_polygon();
  if (by_keys()) { lift(); say(props.words.cross_up); return hint(); }
  if (gesture) return;
  put_down([...cross, 1]);
  if (gesture === "corner") { gesture = null; say(draft ? worded(props.words.cross_corner, draft.points.length) : props.words.cross_up); }
  else holder = { id: "keys" };
  hint();
}

function put_cross_away() {
  if (!cross || by_keys()) return;
  lately = cross;
  cross = pointer = null;
  hint();
  place_ring();
}

// The crosshair stands where it is in the picture, however the view moves; the ring of the brush goes with it.
function place_cross() {
  const mark = find(".mc-cross");
  mark.hidden = !cross;
  if (!cross) return;
  pointer = view.screen(cross);
  mark.style.transform = `translate(${pointer[0]}px, ${pointer[1]}px)`;
}

// To people who hear the page; after `rest_ms` without another, so that a walk is one sentence.
function say(sentence, rest_ms = 0) {
  clearTimeout(say.waiting);
  say.waiting = setTimeout(() => { find(".mc-said").textContent = sentence; }, rest_ms);
}

// Each % of `text` is one of the values, in their order.
function worded(text, ...values) { return text.replace(/%/g, () => values.shift()); }
