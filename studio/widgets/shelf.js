// The pictures of the project that is open, page by page: one is "here", any number are chosen. Adds, takes out with undo, opens.
// element, props, trigger and watch come from gr.HTML; root, find and what is open from shelf_open.js.

const tiles = find(".shf-tiles"), SIZE = 60;
const chosen = new Set(), scrapped = []; // projects deleted here, each with how many changes of pictures came after it
const known = new Map(); // what was seen of pictures, also of other pages: what is chosen may lie there
let items = [], undoable = "", redoable = "", first = 0, total = 0, all = 0, here = 0, anchor = 0, last = false;
let every = false; // not some are chosen but all that the filter finds

const bytes = (number) => {
  const [unit, by, maximumFractionDigits] = number >= 1e6 ? ["megabyte", 1e6, 1] : ["kilobyte", 1e3, 0];
  return new Intl.NumberFormat(props.language, { style: "unit", unit, maximumFractionDigits }).format(number / by);
};

function refuse(problem) { trigger("refuse", { sentence: problem.message }); }

// -- what is on show
async function turn_to(place) {
  if (!project) { items = []; undoable = redoable = ""; first = total = all = here = anchor = 0; forget_labels(); draw(); return; }
  const id = project.id, address = `/api/projects/${id}`;
  try {
    const [found] = await Promise.all([asked("GET", `${address}/pictures?${query({ ...place, ...wanted() })}`), count_labels(address)]);
    if (!project || project.id !== id) return; // another was opened meanwhile
    ({ items, first, total, all, undo: undoable, redo: redoable } = found);
    for (const item of items) known.set(item.asset, item);
    project.open = found.open;
    here = anchor = last ? Math.max(0, items.length - 1) : Math.max(0, items.findIndex((item) => item.asset === (place.around || "")));
    last = false;
    draw();
  } catch (problem) { if (problem.status !== 404) refuse(problem); }
}

// The same page again, with what changed since. A picture that the filter finds no more gives its place to the next one.
async function refresh() {
  const at = items[here] && items[here].asset, before = here;
  stale = true;
  try { await reload(); } catch (problem) { refuse(problem); return; }
  const scrolled = find(".shf-scroll").scrollTop;
  await turn_to({ first });
  const place = items.findIndex((item) => item.asset === at);
  here = anchor = place >= 0 ? place : Math.max(0, Math.min(before, items.length - 1));
  mark();
  find(".shf-scroll").scrollTop = scrolled;
}

function draw() {
  tiles.replaceChildren(...items.map((item, place) => {
    const tile = document.createElement("div");
    tile.className = "shf-tile";
    tile.id = `shf-${place}`;
    tile.role = "option";
    tile.title = tile.ariaLabel = [item.name, ...labels_of(item)].join(" · ");
    tile.append(seen_as(item), about(item));
    tile.dataset.out = item.out ? "1" : "";
    tile.onclick = (event) => pick(place, event.shiftKey, event.ctrlKey || event.metaKey);
    tile.ondblclick = () => { go(place); open(); };
    return tile;
  }));
  mark();
}

function seen_as(item) {
  if (item.missing) return Object.assign(document.createElement("div"), { className: "shf-lost", textContent: props.words.missing });
  const box = Object.assign(document.createElement("div"), { className: "shf-seen" });
  const image = (src, more) => Object.assign(document.createElement("img"), { src, alt: "", loading: "lazy", ...more });
  box.append(image(item.thumb));
  if (item.overlay) box.append(image(item.overlay, { className: "shf-over", onerror: (event) => event.target.remove() }));
  return box;
}

function about(item) {
  const words = props.words, box = made("div", "shf-text", made("span", "", item.name)), results = [];
  if (labelled()) box.append(marks_of(item));
  if (item.missing) return box;
  const facts = made("div", "shf-facts", made("small", "", size_of(item, !item.part)));
  if (item.part) facts.append(made("em", "", words.parts[item.part]));
  if (item.made) results.push(filled(words.made, item.made));
  if (item.kept) results.push(filled(words.kept, item.kept));
  box.append(facts, ...(results.length ? [made("small", "", results.join(" · "))] : []));
  return box;
}

function size_of(item, whole = true) { return `${item.width} × ${item.height}${whole ? ` · ${props.words.bits.replace("%", item.bits)}` : ""}`; }

function mark() {
  items.forEach((item, place) => {
    const tile = tiles.children[place];
    tile.dataset.here = place === here ? "1" : "";
    tile.dataset.open = project && item.asset === project.open ? "1" : "";
    tile.ariaSelected = every || chosen.has(item.asset);
  });
  if (items.length) tiles.setAttribute("aria-activedescendant", `shf-${here}`); else tiles.removeAttribute("aria-activedescendant");
  const words = props.words, number = (count) => count.toLocaleString(props.language), one = items[here];
  root.dataset.empty = items.length || all ? "" : "1";
  root.dataset.project = project ? project.id : "";
  const many = every ? total : chosen.size, pictures = filtered() ? filled(words.of, total, all) : filled(total === 1 ? words.one : words.many, total);
  find(".shf-count").textContent = many > 1 || every ? filled(words.chosen, many) : pictures;
  find(".shf-place").textContent = items.length ? `${number(first + 1)}–${number(first + items.length)} / ${number(total)}` : "";
  find("[data-act=every]").hidden = every || !items.length || total <= items.length || !items.every((item) => chosen.has(item.asset));
  find("[data-act=every]").textContent = filled(words.choose_all, total);
  find(".shf-nothing").hidden = total > 0 || !all;
  const able = { undo: undoable || scrapped.length, redo: redoable && !(scrapped.length && !scrapped.at(-1).since), remove: items.length, open: items.length && !one.missing, previous: first > 0, next: first + items.length < total };
  for (const [act, may] of Object.entries(able)) find(`[data-act=${act}]`).disabled = !may;
  tell_steps();
  draw_details();
}

// -- choosing
function settle() {
  mark();
  if (tiles.children[here]) tiles.children[here].scrollIntoView({ block: "nearest" });
}

function go(place) { here = anchor = place; choose_none(); settle(); }

function choose_none() { chosen.clear(); every = false; }

function choose_every() { if (!items.length) return; every = true; items.forEach((item) => chosen.add(item.asset)); settle(); tiles.focus({ preventScroll: true }); }

// Once: this page. Once more: all that there are, or all that the filter finds.
function choose_all() {
  if (items.length && items.every((item) => chosen.has(item.asset)) && total > items.length) { choose_every(); return; }
  items.forEach((item) => chosen.add(item.asset));
  settle();
}

function choose_to(place) {
  choose_none();
  for (let at = Math.min(anchor, place); at <= Math.max(anchor, place); at++) chosen.add(items[at].asset);
}

function pick(place, range, one) {
  tiles.focus({ preventScroll: true });
  if (range) { here = place; choose_to(place); }
  else if (one) {
    if (every) { every = false; chosen.clear(); items.forEach((item) => chosen.add(item.asset)); }
    if (!chosen.size && here !== place) chosen.add(items[here].asset);
    here = anchor = place;
    if (!chosen.delete(items[place].asset)) chosen.add(items[place].asset);
  } else { go(place); return; }
  settle();
}

function step(by, range) {
  const place = here + by;
  if (!items[place]) { if (by === 1) turn(1); else if (by === -1) turn(-1); return; }
  if (range) { here = place; choose_to(place); settle(); } else go(place);
}

function turn(way) {
  if (way < 0 ? first === 0 : first + items.length >= total) return;
  last = way < 0;
  turn_to({ first: Math.max(0, first + way * SIZE) }).then(() => { find(".shf-scroll").scrollTop = 0; settle(); });
}

// -- doing
function open() {
  if (project && items[here] && !items[here].missing) trigger("open", { project: project.id, asset: items[here].asset });
}

// What an action is about: all that the filter finds, the chosen ones, or the one that is here.
function meant() {
  if (every) return { which: which() };
  const assets = chosen.size ? [...chosen] : items[here] ? [items[here].asset] : [];
  return { assets, which: { assets } };
}

async function remove() {
  const { assets, which: those } = meant();
  if (!project || (assets && !assets.length)) return;
  try { stepped(await asked("POST", `/api/projects/${project.id}/pictures/remove`, assets ? { assets } : { which: those })); } catch (problem) { refuse(problem); }
  choose_none();
  await refresh();
}

async function undo() {
  const gone = scrapped.at(-1);
  try {
    if (gone && !gone.since) {
      scrapped.pop();
      await asked("POST", `/api/projects/${gone.project}/restore`);
      await reload();
      await choose_project(gone.project);
    } else if (project) {
      const done = await asked("POST", `/api/projects/${project.id}/undo`);
      if (gone) gone.since -= 1;
      walked(done, -1);
      if (await turned(done)) return;
    }
  } catch (problem) { refuse(problem); }
  await refresh();
}

async function redo() {
  if (!project || !redoable) return;
  try {
    const done = await asked("POST", `/api/projects/${project.id}/redo`);
    if (scrapped.length && done) scrapped.at(-1).since += 1;
    walked(done, 1);
    if (await turned(done)) return;
  } catch (problem) { refuse(problem); }
  await refresh();
}

// Shows what a step touched, chosen; false where there is nothing of it to show.
async function turned(done) {
  if (!done || !done.assets.length) return false;
  stale = true;
  await reload();
  await turn_to({ around: done.assets[0] });
  const whole = done.count === done.assets.length, there = new Set(items.map((item) => item.asset));
  choose_none();
  if (whole) done.assets.filter((asset) => !filtered() || there.has(asset)).forEach((asset) => chosen.add(asset));
  if (chosen.size === 1 && items[here] && chosen.has(items[here].asset)) chosen.clear(); // the one that is here
  settle();
  return true;
}

const acts = {
  create, rename, scrap, pack, undo, redo, remove, open, every: choose_every, ...browsing, ...labelling, ...detailing, ...counting, ...ingesting,
  files: () => find("input[name=pictures]").click(), folder: () => find("input[name=folder]").click(),
  prepare: () => document.dispatchEvent(new CustomEvent("flawsmith-prepare", { detail: project && { id: project.id, name: projects.find((one) => one.id === project.id)?.name || "" } })),
  previous: () => turn(-1), next: () => turn(1), stop: () => packing ? stop_packing() : taking && taking.stop.abort(), close: () => show_report(null),
};
root.querySelectorAll("button[data-act]").forEach((button) => button.addEventListener("click", () => acts[button.dataset.act]()));
find(".shf-samples").addEventListener("click", (event) => {
  const button = event.target.closest("[data-sample]");
  if (button) trigger("sample", { sample: button.dataset.sample });
});

function columns() { return getComputedStyle(tiles).gridTemplateColumns.split(" ").length; }

const KEYS = {
  arrowright: (range) => step(1, range), arrowleft: (range) => step(-1, range), arrowdown: (range) => step(columns(), range), arrowup: (range) => step(-columns(), range),
  home: () => { if (items.length) go(0); }, end: () => { if (items.length) go(items.length - 1); }, pagedown: () => turn(1), pageup: () => turn(-1),
  enter: open, delete: remove, backspace: remove, " ": () => { if (items[here]) pick(here, false, true); }, escape: () => { choose_none(); settle(); }, c: () => focus_class(),
};
const CONTROL_KEYS = { a: choose_all, z: (range) => (range ? redo() : undo()), y: redo };

tiles.addEventListener("keydown", (event) => {
  if (event.altKey) return;
  const act = (event.ctrlKey || event.metaKey ? CONTROL_KEYS : KEYS)[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
});

// -- files in
for (const name of ["pictures", "folder"]) find(`input[name=${name}]`).addEventListener("change", (event) => {
  const { found, left, set, shown } = name === "folder" ? pictures_of([...event.target.files]) : { found: [...event.target.files], left: 0, set: false };
  event.target.value = "";
  if (set) take_folder(shown); else take_in(found, left);
});
root.addEventListener("dragover", (event) => { event.preventDefault(); root.dataset.drop = "1"; });
root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.dataset.drop = ""; });
root.addEventListener("drop", async (event) => {
  event.preventDefault();
  root.dataset.drop = "";
  try {
    const reading = dropped_files(event.dataTransfer);
    show_taking(props.words.reading);
    const { found, left, set, shown } = await reading;
    if (set) take_folder(shown);
    if (found.length || !set) await take_in(found, left);
  } catch (problem) { refuse(problem); }
  show_taking();
});

// -- what the page says: which project this browser had open, a sample that was added, sentences in the page's language
async function load() {
  const value = props.value || {};
  show_report(value.told);
  const heard = value.project !== undefined && (value.choices === undefined || value.choices === choices);
  if (heard && (!project || project.id !== value.project)) project = value.project ? { id: value.project, open: "" } : null;
  const begin = !items.length;
  await refresh();
  if (begin && project && project.open) await turn_to({ around: project.open });
  root.dataset.ready = "1";
}

// Another window may have changed what is here.
document.addEventListener("visibilitychange", () => { if (root.dataset.ready && !document.hidden && root.isConnected && root.offsetParent && !taking) refresh(); });
follow_set();
watch("value", load);
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) trigger("arrive", { choices }); }).observe(root);
