// The tour: a card beside what a step points at, and a light round it. It goes on when the step was done, or by Next. The page
// stays as usable as it was; when the tour is left nothing of it remains but that it was seen. Shares the names of tour.js.

const SEEN = "flawsmith-tour", LOOK_MS = 200, GAP_PX = 14, EDGE_PX = 8;
const PRESSES = ["INPUT", "SELECT", "TEXTAREA"];
let at = -1, before = null, looking = null, opener = null, hand_down = false, by_keys = false, idle = false, stood = "";

function step_now() { return at < 0 ? null : STEPS[at] || END; }

function seen_before() {
  try { return localStorage.getItem(SEEN); } catch (refused) { return null; }
}

function remember_tour(how) {
  try { localStorage.setItem(SEEN, how); } catch (refused) { /* a browser that keeps nothing offers it again */ }
  document.dispatchEvent(new Event(SEEN));
}

function begin(from) {
  opener = from;
  light.showPopover();
  card.showPopover();
  for (const [name, hear] of HEARD) addEventListener(name, hear, { capture: true, passive: true });
  document.addEventListener("keydown", key);
  looking = setInterval(look_round, LOOK_MS);
  enter(0);
}

function leave(how) {
  if (at < 0) return;
  clearInterval(looking);
  for (const [name, hear] of HEARD) removeEventListener(name, hear, { capture: true });
  document.removeEventListener("keydown", key);
  const focused = card.contains(document.activeElement);
  card.hidePopover();
  light.hidePopover();
  at = -1;
  remember_tour(how);
  if (focused) (in_sight(opener) ? opener : find(".tour-open")).focus();
}

// One past the last step is the end, which waits for nothing.
function enter(next) {
  const by_itself = !card.contains(document.activeElement), started = at < 0;
  at = next;
  const step = step_now(), ended = step === END, words = ended ? props.words.end : props.words.steps[step.name];
  find(".tour-place").textContent = ended ? "" : props.words.place.replace("{n}", at + 1).replace("{all}", STEPS.length);
  find("#tour-do").textContent = words.do;
  find("#tour-how").textContent = words.how;
  go("back").disabled = at === 0;
  go("leave").hidden = ended;
  go("next").textContent = ended ? props.words.close : props.words.next;
  if (!pointed(step)) bring(step);
  // Who paints with the mouse keeps the keys of what the hand is on; who works with the keys is led to the card.
  if (started || by_keys || !by_itself) card.focus({ preventScroll: true });
  before = seen();
  stood = "";
  // A result that has just come puts its handle in place by the frame after next: nobody has moved it by that.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    if (step_now() !== step) return;
    before.look = seen().look;
    pointed(step)?.scrollIntoView({ block: "nearest" });
    place();
  }));
  place();
}

function turn(by) {
  if (by > 0 && step_now() === END) leave("seen");
  else enter(at + by);
}

// A stroke, a slider, a word being typed: the step is done when the hand is off it.
function at_work() { return hand_down || (by_keys && PRESSES.includes(document.activeElement?.tagName)); }

function look_round() {
  const step = step_now();
  if (step !== END && !at_work() && step.done(seen(), before)) enter(at + 1);
  place();
}

// Beside what the step points at, on the side with room; within it where there is none; in the middle when it is not there.
function place() {
  if (at < 0) return;
  const target = pointed(step_now()), box = target?.getBoundingClientRect();
  const wide = card.offsetWidth, high = card.offsetHeight, now = JSON.stringify([box, wide, high, innerWidth, innerHeight]);
  if (now === stood) return;
  stood = now;
  light.style.visibility = box ? "visible" : "hidden";
  if (!box) return put((innerWidth - wide) / 2, (innerHeight - high) / 2);
  Object.assign(light.style, { left: `${box.left - 4}px`, top: `${box.top - 4}px`, width: `${box.width + 8}px`, height: `${box.height + 8}px` });
  const middle = box.top + box.height / 2 - high / 2;
  const beside = [[box.right + GAP_PX, middle], [box.left - GAP_PX - wide, middle], [box.left, box.bottom + GAP_PX], [box.left, box.top - GAP_PX - high]];
  const room = ([x, y], side) => (side < 2 ? x >= EDGE_PX && x + wide <= innerWidth - EDGE_PX : y >= EDGE_PX && y + high <= innerHeight - EDGE_PX);
  put(...(beside.find(room) || [box.right - GAP_PX - wide, box.bottom - GAP_PX - high]));
}

function put(x, y) {
  const within = (value, size, whole) => Math.max(EDGE_PX, Math.min(value, whole - size - EDGE_PX));
  card.style.left = `${within(x, card.offsetWidth, innerWidth)}px`;
  card.style.top = `${within(y, card.offsetHeight, innerHeight)}px`;
}

// -- keys: Tab goes from the card to what it points at and back; other keys pressed on the card are meant for that.
function first_of(target) {
  const hand = step_now().hand && on_page(step_now().hand);
  return hand || [target, ...target.querySelectorAll("button, a[href], input, select, textarea, [tabindex]")].find((one) => one.matches("button, a[href], input, select, textarea, [tabindex]") && one.tabIndex >= 0 && !one.disabled && in_sight(one));
}

function key(event) {
  if (event.key === "Escape") return escape(event);
  const target = pointed(step_now()), there = target && first_of(target), here = document.activeElement;
  if (event.defaultPrevented || event.ctrlKey && event.key === "Tab") return;
  const last = go("next");
  if (event.key === "Tab" && there && here === (event.shiftKey ? there : last)) {
    event.preventDefault();
    (event.shiftKey ? last : there).focus();
  } else if (there && step_now().hand && card.contains(here) && hands_on(event)) {
    event.preventDefault();
    there.focus({ preventScroll: true });
    there.dispatchEvent(new KeyboardEvent("keydown", { key: event.key, code: event.code, ctrlKey: event.ctrlKey, metaKey: event.metaKey, shiftKey: event.shiftKey, bubbles: true, cancelable: true }));
    there.dispatchEvent(new KeyboardEvent("keyup", { key: event.key, code: event.code, bubbles: true }));
  }
}

// Enter and Space press the card's buttons; the browser's own shortcuts stay its own.
function hands_on(event) {
  const button = document.activeElement !== card && ["Enter", " "].includes(event.key);
  return !button && !event.altKey && !["Tab", "Shift", "Control", "Meta", "Alt"].includes(event.key) && !/^F\d/.test(event.key);
}

// What lies nearer is closed first: a list, a sheet, a polygon under way. A key that is taken where it leads nowhere is ours.
const IDLE = '#compare .cmp:not([data-look="tiles"]), .grd[data-chosen="0"]';

function escape(event) {
  const nearer = [...document.querySelectorAll("dialog[open], [popover]:popover-open")].some((one) => one !== card && one !== light);
  if (nearer || (event.defaultPrevented && !idle)) return;
  event.preventDefault();
  leave(step_now() === END ? "seen" : "left");
}

const HEARD = [
  ["pointerdown", () => { hand_down = true; by_keys = false; }],
  ["pointerup", () => { hand_down = false; }],
  ["pointercancel", () => { hand_down = false; }],
  ["keydown", (event) => { by_keys = true; idle = Boolean(event.target.closest?.(IDLE)); }],
  ["input", heed],
  ["resize", () => place()],
  ["scroll", () => place()],
];
