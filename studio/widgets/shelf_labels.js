// What is known of the pictures: how many there are of each class and part, the filter that narrows what is shown, the marks on a
// tile, and what the last step was called. Shares the names of shelf.js.

const SHOWN_MASKS = "flawsmith-shelf-masks", TYPED_MS = 250, COLOURS = 5;
const NO_LABELS = { total: 0, classes: {}, parts: {}, tags: {}, masked: 0, captioned: 0, out: 0 };
const steps = { done: [], undone: [] }; // what this window did, with how many pictures: the server says only what it was
let tallied = NO_LABELS, stale = true, typed = 0;

const menus = Object.fromEntries([...root.querySelectorAll("[data-filter]")].map((one) => [one.dataset.filter, one]));
const typing_in = find("input[name=text]");

function remembered(key) { try { return localStorage.getItem(key); } catch (refused) { return null; } }
function keep_in_mind(key, value) { try { localStorage.setItem(key, value); } catch (refused) { /* a browser that keeps nothing begins anew */ } }

// -- how many there are of what
async function count_labels(address) {
  if (!stale) return;
  stale = false;
  try { tallied = await asked("GET", `${address}/tally`); } catch (problem) { stale = true; throw problem; }
  draw_menus();
}

function forget_labels() {
  tallied = NO_LABELS;
  stale = true;
  steps.done.length = steps.undone.length = 0;
  known.clear();
  typing_in.value = "";
  for (const menu of Object.values(menus)) menu.value = "";
  draw_menus();
}

function labelled() {
  const { classes, parts, tags, masked, captioned, out } = tallied;
  return masked + captioned + out > 0 || [classes, parts, tags].some((one) => Object.keys(one).some((name) => name));
}

// The classes in an order that stays while their numbers change: each keeps its colour.
function class_names() { return Object.keys(tallied.classes).filter((name) => name).sort(COUNTING.compare); }
function colour_of(name) { return name ? `var(--term-${Math.max(0, class_names().indexOf(name)) % COLOURS})` : "var(--good)"; }
function class_said(name) { return name || props.words.good; }

// -- the filter
function draw_menus() {
  const words = props.words, { total: sum, classes, parts, masked, captioned, out } = tallied;
  root.dataset.labels = labelled() ? "1" : "";
  options(menus.defect, words.any_class, [...(classes[""] ? [""] : []), ...class_names()].map((name) => [`=${name}`, class_said(name), classes[name]]));
  options(menus.masked, words.any_mask, [["true", words.with_mask, masked], ["false", words.without_mask, sum - masked]]);
  options(menus.captioned, words.any_caption, [["true", words.with_caption, captioned], ["false", words.without_caption, sum - captioned]]);
  options(menus.part, words.any_part, ["", "train", "val", "test"].map((name) => [`=${name}`, name ? words.parts[name] : words.no_part, parts[name] || 0]));
  options(menus.out, words.any_out, [["false", words.used, sum - out], ["true", words.left_out, out]]);
  datalist("shf-classes", class_names());
  datalist("shf-known-tags", Object.keys(tallied.tags).slice(0, 200));
}

function options(menu, any, found) {
  const value = menu.value, option = (of, text) => Object.assign(document.createElement("option"), { value: of, textContent: text });
  if (value.startsWith("=") && !found.some(([one]) => one === value)) found.push([value, class_said(value.slice(1)), 0]); // it stands, though none is left
  menu.replaceChildren(option("", any), ...found.map(([of, name, count]) => option(of, `${name} (${count.toLocaleString(props.language)})`)));
  menu.value = value;
  menu.dataset.on = value ? "1" : "";
}

function datalist(id, names) { find(`#${id}`).replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value }))); }

// As a route's body takes it, and as an address does: the same words.
function which() {
  const found = typing_in.value.trim() ? { text: typing_in.value.trim() } : {};
  for (const [name, { value }] of Object.entries(menus)) if (value) found[name] = value.startsWith("=") ? value.slice(1) : value === "true";
  return found;
}
function wanted() { return which(); }
function filtered() { return Object.keys(which()).length > 0; }

function narrow() {
  clearTimeout(typed);
  for (const menu of Object.values(menus)) menu.dataset.on = menu.value ? "1" : "";
  choose_none();
  return turn_to({ first: 0 }).then(() => { find(".shf-scroll").scrollTop = 0; });
}

function show_all() {
  typing_in.value = "";
  for (const menu of Object.values(menus)) menu.value = "";
  narrow();
  tiles.focus({ preventScroll: true });
}

for (const menu of Object.values(menus)) menu.addEventListener("change", narrow);
typing_in.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(narrow, TYPED_MS); });
typing_in.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Enter") { event.preventDefault(); narrow(); }
  else if (event.key === "ArrowDown") { event.preventDefault(); tiles.focus({ preventScroll: true }); }
});

// -- the marks on a tile
const ICONS = {
  boxes: '<rect x="4.500" y="6.500" width="15" height="11" stroke-dasharray="3 2.200"/>',
  mask: '<rect x="3.5" y="4.5" width="17" height="15" rx="1.5"/><path class="solid" d="M8 13c0-3 2-4.500 4-4 2.500.6 1.500 2.500 3.500 3.500s1 3.500-1.500 3.500H10c-1.500 0-2-1.500-2-3z"/>',
  caption: '<path d="M4 6.500h16M4 12h16M4 17.500h9"/>', tags: '<path d="M4 4.500h7.500l8.500 8.500-7 7L4.500 11.500z"/><circle class="solid" cx="8.500" cy="8.700" r="1.200"/>',
  out: '<circle cx="12" cy="12" r="8.500"/><path d="m6 6 12 12"/>',
};

function labels_of(item) {
  const words = props.words, found = labelled() ? [class_said(item.defect)] : [];
  if (item.mask) found.push(words.with_mask);
  if (item.boxes) found.push(filled(words.boxes, item.boxes));
  if (item.part) found.push(words.parts[item.part]);
  if (item.out) found.push(`${words.left_out}: ${item.out}`);
  if (item.tags) found.push(item.tags);
  if (item.caption) found.push(item.caption);
  return found;
}

function marks_of(item) {
  const dot = made("i", ""), chip = made("b", "", dot, class_said(item.defect)), row = made("div", "shf-marks", chip);
  chip.dataset.good = item.defect ? "" : "1";
  dot.style.background = colour_of(item.defect);
  for (const [name, there] of Object.entries({ mask: item.mask, boxes: item.boxes, caption: item.caption, tags: item.tags, out: item.out })) {
    if (there) row.insertAdjacentHTML("beforeend", `<svg viewBox="0 0 24 24" aria-hidden="true" data-mark="${name}">${ICONS[name]}</svg>`);
  }
  return row;
}

function show_masks(on) {
  root.dataset.masks = on ? "1" : "";
  find("[data-act=masks]").ariaPressed = String(on);
  keep_in_mind(SHOWN_MASKS, on ? "1" : "0");
}

// -- what can be taken back, in words
function stepped(step) {
  if (!step.count) return;
  steps.done.push(step);
  steps.undone.length = 0;
  if (scrapped.length) scrapped.at(-1).since += 1;
}

function walked(step, way) {
  const [from, to] = way < 0 ? [steps.done, steps.undone] : [steps.undone, steps.done];
  from.pop();
  if (step) to.push(step);
}

function tell_steps() {
  const words = props.words, gone = scrapped.at(-1) && !scrapped.at(-1).since;
  for (const [act, key, what, mine] of [["undo", "Ctrl+Z", gone ? "" : undoable, steps.done.at(-1)], ["redo", "Ctrl+Y", redoable, steps.undone.at(-1)]]) {
    const named = what.split(", ").map((one) => words.what[one] || one).join(", "), count = mine && mine.what === what ? ` (${filled(mine.count === 1 ? words.one : words.many, mine.count)})` : "";
    const button = find(`[data-act=${act}]`), said = what ? `${words[act]}: ${named}${count}` : words[act];
    button.title = `${said} (${key})`;
    button.ariaLabel = said;
  }
}

const labelling = { show_all, masks: () => show_masks(root.dataset.masks !== "1") };
show_masks(remembered(SHOWN_MASKS) !== "0");
draw_menus();
