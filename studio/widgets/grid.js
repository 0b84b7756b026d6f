// A page of thumbnails: one is "here", any number are chosen, also across pages. Tells the server of verdicts, and keeps what
// is needed to take them back; knows no file. element, props, trigger and watch come from gr.HTML. Verdicts from verdicts.js.

const root = element.querySelector(".grd"), tiles = root.querySelector(".grd-tiles"), find = (selector) => root.querySelector(selector);
const WAIT_MS = 150, outbox = new Verdicts((changes) => trigger("judge", changes));
let items = [], here = 0, anchor = 0, last = false, told = 0, sent = "", away = false, held = 0;
const chosen = new Map(), undone = []; // chosen: id -> verdict; undone: [[id, verdict before], ...] of each step

root.grid = { read: () => ({ ids: [...chosen.keys()], here: items[here] ? items[here].id : "" }) };

function visible(place) { const tile = tiles.children[place]; return tile && tile.offsetParent !== null; }

function draw() {
  tiles.replaceChildren(...items.map((item, place) => {
    const tile = document.createElement("div"), image = document.createElement("img"), text = document.createElement("div"), source = document.createElement("small");
    tile.className = "grd-tile";
    tile.id = `grd-${place}`;
    tile.role = "option";
    tile.title = tile.ariaLabel = `${item.title}, ${item.source}`;
    image.src = item.thumb;
    image.alt = "";
    image.loading = "lazy";
    text.textContent = item.title;
    source.textContent = item.source;
    text.append(source);
    tile.append(image, text);
    tile.onclick = (event) => pick(place, event.shiftKey, event.ctrlKey || event.metaKey);
    tile.ondblclick = () => { go(place); open(); };
    return tile;
  }));
  mark();
}

function mark() {
  items.forEach((item, place) => {
    const tile = tiles.children[place];
    tile.dataset.verdict = item.verdict;
    tile.dataset.here = place === here ? "1" : "";
    tile.ariaSelected = chosen.has(item.id);
  });
  if (items.length) tiles.setAttribute("aria-activedescendant", `grd-${here}`); else tiles.removeAttribute("aria-activedescendant");
  const value = props.value || {}, total = value.total || 0, words = props.words;
  root.dataset.empty = items.length ? "" : "1";
  root.dataset.trash = value.trash ? "1" : "";
  root.dataset.chosen = chosen.size;
  root.dataset.here = items.length ? items[here].id : "";
  find(".grd-count").textContent = (chosen.size > 1 ? words.chosen.replace("%", chosen.size.toLocaleString()) : (total === 1 ? words.one : words.many).replace("%", total.toLocaleString()));
  find(".grd-place").textContent = items.length ? `${(value.first + 1).toLocaleString()}–${(value.first + items.length).toLocaleString()} / ${total.toLocaleString()}` : "";
  const able = { empty: held, undo: undone.length, open: items.length, remove: items.length, restore: items.length, discard: items.length, keep: items.length, newer: value.newer, older: value.older };
  for (const [act, may] of Object.entries(able)) find(`[data-act=${act}]`).disabled = !may;
}

// Both wait a moment: holding an arrow key must not ask the server at every step.
function tell() {
  clearTimeout(told);
  told = setTimeout(() => {
    if (root.offsetParent) trigger("look"); // else another picture is looked at, closer
    const now = [...chosen.keys()].join();
    if (now !== sent) trigger("choose");
    sent = now;
  }, WAIT_MS);
}

function choose_only(place) { chosen.clear(); if (items[place]) chosen.set(items[place].id, items[place].verdict); }

function choose_to(place) {
  choose_only(place);
  for (let at = Math.min(anchor, place); at <= Math.max(anchor, place); at++) if (visible(at)) chosen.set(items[at].id, items[at].verdict);
}

function go(place) { here = anchor = place; chosen.clear(); settle(); }

function settle() {
  mark();
  const tile = tiles.children[here];
  if (tile) tile.scrollIntoView({ block: "nearest" });
  tell();
}

function pick(place, range, one) {
  tiles.focus({ preventScroll: true });
  if (range) { here = place; choose_to(place); }
  else if (one) {
    if (!chosen.size && here !== place) choose_only(here);
    here = anchor = place;
    const id = items[place].id;
    if (chosen.has(id)) chosen.delete(id); else chosen.set(id, items[place].verdict);
  } else { go(place); return; }
  settle();
}

function columns() { return getComputedStyle(tiles).gridTemplateColumns.split(" ").length; }

function step(by, range) {
  let place = here + by;
  while (items[place] && !visible(place)) place += Math.sign(by);
  if (!items[place]) {
    const value = props.value;
    if (Math.abs(by) === 1 && by < 0 && value.newer) turn("newer"); else if (by === 1 && value.older) turn("older");
    return;
  }
  if (range) { here = place; choose_to(place); settle(); } else go(place);
}

function turn(way) {
  const value = props.value || {};
  if (!value[way] || !items.length) return;
  outbox.flush();
  last = way === "newer";
  trigger("turn", way === "older" ? { before: items[items.length - 1].key } : { after: items[0].key });
}

// What an action is about: the chosen ones, or the one that is here.
function meant() { return chosen.size ? [...chosen] : items[here] ? [[items[here].id, items[here].verdict]] : []; }

function send(changes) {
  const verdicts = new Map(changes), before = new Map([...chosen, ...items.map((item) => [item.id, item.verdict])]);
  for (const [id, verdict] of changes) held += (verdict === "deleted") - (before.get(id) === "deleted");
  for (const item of items) if (verdicts.has(item.id)) item.verdict = verdicts.get(item.id);
  for (const id of chosen.keys()) if (verdicts.has(id)) chosen.set(id, verdicts.get(id));
  for (const [id, verdict] of changes) outbox.say(id, verdict);
}

function judge(verdict) {
  const about = meant();
  if (!about.length) return;
  // The key that gave a verdict takes it back, once all of them have it.
  const next = verdict !== "deleted" && about.every(([, before]) => before === verdict) ? "" : verdict;
  undone.push(about);
  send(about.map(([id]) => [id, next]));
  const gone = next === "deleted" || (props.value || {}).trash;
  if (gone) chosen.clear();
  const single = about.length === 1 && items[here] && items[here].id === about[0][0];
  if (single && next) { let place = here + 1; while (items[place] && !visible_after(place)) place++; if (items[place]) { chosen.clear(); here = anchor = place; } }
  settle();
}

function visible_after(place) { return items[place].verdict !== "deleted" || (props.value || {}).trash; }

function undo() {
  const before = undone.pop();
  if (!before) return;
  send(before);
  const place = items.findIndex((item) => item.id === before[0][0]);
  if (place >= 0) here = anchor = place;
  settle();
}

function open() {
  if (!items[here]) return;
  outbox.flush();
  away = true;
  trigger("open", { id: items[here].id, ids: items.filter((item, place) => visible_after(place)).map((item) => item.id) });
}

// What is gone for good is asked for once more, by number.
function ask() {
  find(".grd-sure strong").textContent = held === 1 ? props.words.sure_one : props.words.sure.replace("%", held.toLocaleString());
  find(".grd-sure").dataset.count = held;
  find(".grd-sure").showModal();
}

function yes() {
  const sure = find(".grd-sure");
  sure.close();
  outbox.flush();
  trigger("empty", { count: Number(sure.dataset.count) });
}

const acts = { empty: ask, cancel: () => find(".grd-sure").close(), yes, undo, open, remove: () => judge("deleted"), restore: () => judge(""), discard: () => judge("discarded"), keep: () => judge("kept"), newer: () => turn("newer"), older: () => turn("older") };
root.querySelectorAll("button[data-act]").forEach((button) => button.addEventListener("click", () => { acts[button.dataset.act](); if (button.dataset.act !== "empty") tiles.focus({ preventScroll: true }); }));

const KEYS = {
  arrowright: (range) => step(1, range), arrowleft: (range) => step(-1, range), arrowdown: (range) => step(columns(), range), arrowup: (range) => step(-columns(), range),
  home: () => { if (items.length) go(0); }, end: () => { if (items.length) go(items.length - 1); }, pagedown: () => turn("older"), pageup: () => turn("newer"),
  enter: open, a: () => judge("kept"), r: () => judge("discarded"), delete: () => judge("deleted"), backspace: () => judge("deleted"),
  " ": () => { if (items[here]) pick(here, false, true); }, escape: () => { chosen.clear(); settle(); },
};
const CONTROL_KEYS = { a: () => { items.forEach((item, place) => { if (visible(place)) chosen.set(item.id, item.verdict); }); settle(); }, z: undo };

tiles.addEventListener("keydown", (event) => {
  if (event.altKey) return;
  const act = (event.ctrlKey || event.metaKey ? CONTROL_KEYS : KEYS)[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
});

function load() {
  const value = props.value || {};
  items = (value.items || []).map((item) => ({ ...item }));
  held = value.held || 0;
  if (!value.keep) { chosen.clear(); undone.length = 0; }
  for (const item of items) if (chosen.has(item.id)) chosen.set(item.id, item.verdict);
  here = anchor = last && items.length ? items.length - 1 : Math.max(0, items.findIndex((item) => item.id === value.at));
  last = false;
  draw();
  find(".grd-scroll").scrollTop = 0;
  if (value.keep && root.offsetParent) tiles.focus({ preventScroll: true });
  settle();
}

watch("value", load);
load();
// Seen again: after a look at one picture the same page, with the verdicts given there; else the newest pictures.
new IntersectionObserver((seen) => {
  if (!seen.some((one) => one.isIntersecting)) return;
  if (away) trigger("back", { ids: items.map((item) => item.id), at: items[here] ? items[here].id : "" }); else trigger("arrive");
  away = false;
}).observe(root);
