// The pictures of the project that is open, page by page: one is "here", any number are chosen. Adds, takes out with undo, opens.
// element, props, trigger and watch come from gr.HTML; root, find and what is open from shelf_open.js.

const tiles = find(".shf-tiles"), SIZE = 60;
const chosen = new Set(), scrapped = []; // projects deleted here, each with how many changes of pictures came after it
let items = [], undoable = "", first = 0, total = 0, here = 0, anchor = 0, last = false;

const bytes = (number) => {
  const [unit, by, maximumFractionDigits] = number >= 1e6 ? ["megabyte", 1e6, 1] : ["kilobyte", 1e3, 0];
  return new Intl.NumberFormat(props.language, { style: "unit", unit, maximumFractionDigits }).format(number / by);
};

function refuse(problem) { trigger("refuse", { sentence: problem.message }); }

// -- what is on show
async function turn_to(place) {
  if (!project) { items = []; undoable = ""; first = total = here = anchor = 0; draw(); return; }
  const id = project.id;
  try {
    const found = await asked("GET", `/api/projects/${id}/pictures?${query(place)}`);
    if (!project || project.id !== id) return; // another was opened meanwhile
    ({ items, first, total, undo: undoable } = found);
    project.open = found.open;
    here = anchor = last ? Math.max(0, items.length - 1) : Math.max(0, items.findIndex((item) => item.asset === (place.around || "")));
    last = false;
    draw();
  } catch (problem) { if (problem.status !== 404) refuse(problem); }
}

// The same page again, with what changed since.
async function refresh() {
  const at = items[here] && items[here].asset;
  try { await reload(); } catch (problem) { refuse(problem); return; }
  const scrolled = find(".shf-scroll").scrollTop;
  await turn_to({ first });
  const place = items.findIndex((item) => item.asset === at);
  if (place >= 0) { here = anchor = place; mark(); }
  find(".shf-scroll").scrollTop = scrolled;
}

function draw() {
  tiles.replaceChildren(...items.map((item, place) => {
    const tile = document.createElement("div");
    tile.className = "shf-tile";
    tile.id = `shf-${place}`;
    tile.role = "option";
    tile.title = item.name;
    tile.append(seen_as(item), about(item));
    tile.onclick = (event) => pick(place, event.shiftKey, event.ctrlKey || event.metaKey);
    tile.ondblclick = () => { go(place); open(); };
    return tile;
  }));
  mark();
}

function seen_as(item) {
  if (item.missing) return Object.assign(document.createElement("div"), { className: "shf-lost", textContent: props.words.missing });
  return Object.assign(document.createElement("img"), { src: item.thumb, alt: "", loading: "lazy" });
}

function about(item) {
  const box = document.createElement("div"), words = props.words, lines = [];
  if (!item.missing) {
    lines.push(`${item.width} × ${item.height} · ${words.bits.replace("%", item.bits)}`);
    lines.push([bytes(item.bytes), ...(item.made ? [filled(words.made, item.made)] : []), ...(item.kept ? [filled(words.kept, item.kept)] : [])].join(" · "));
  }
  box.append(Object.assign(document.createElement("span"), { textContent: item.name }), ...lines.map((text) => Object.assign(document.createElement("small"), { textContent: text })));
  return box;
}

function mark() {
  items.forEach((item, place) => {
    const tile = tiles.children[place];
    tile.dataset.here = place === here ? "1" : "";
    tile.dataset.open = project && item.asset === project.open ? "1" : "";
    tile.ariaSelected = chosen.has(item.asset);
  });
  if (items.length) tiles.setAttribute("aria-activedescendant", `shf-${here}`); else tiles.removeAttribute("aria-activedescendant");
  const words = props.words, number = (count) => count.toLocaleString(props.language);
  root.dataset.empty = items.length || total ? "" : "1";
  root.dataset.project = project ? project.id : "";
  find(".shf-count").textContent = chosen.size > 1 ? filled(words.chosen, chosen.size) : filled(total === 1 ? words.one : words.many, total);
  find(".shf-place").textContent = items.length ? `${number(first + 1)}–${number(first + items.length)} / ${number(total)}` : "";
  const able = { undo: undoable || scrapped.length, remove: items.length, open: items.length && !items[here].missing, previous: first > 0, next: first + items.length < total };
  for (const [act, may] of Object.entries(able)) find(`[data-act=${act}]`).disabled = !may;
}

// -- choosing
function settle() {
  mark();
  if (tiles.children[here]) tiles.children[here].scrollIntoView({ block: "nearest" });
}

function go(place) { here = anchor = place; chosen.clear(); settle(); }

function choose_to(place) {
  chosen.clear();
  for (let at = Math.min(anchor, place); at <= Math.max(anchor, place); at++) chosen.add(items[at].asset);
}

function pick(place, range, one) {
  tiles.focus({ preventScroll: true });
  if (range) { here = place; choose_to(place); }
  else if (one) {
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

async function remove() {
  const meant = chosen.size ? [...chosen] : items[here] ? [items[here].asset] : [];
  if (!meant.length || !project) return;
  try { await asked("POST", `/api/projects/${project.id}/pictures/remove`, { assets: meant }); } catch (problem) { refuse(problem); }
  await changed();
}

// Pictures changed here: a project that was deleted before is taken back after that.
async function changed() {
  if (scrapped.length) scrapped.at(-1).since += 1;
  chosen.clear();
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
      await reload();
      if (done && done.assets.length) {
        await turn_to({ around: done.assets[0] });
        done.assets.forEach((asset) => chosen.add(asset));
        settle();
        return;
      }
    }
  } catch (problem) { refuse(problem); }
  await refresh();
}

const acts = {
  create, rename, scrap, undo, remove, open, ...browsing,
  files: () => find("input[name=pictures]").click(), folder: () => find("input[name=folder]").click(),
  previous: () => turn(-1), next: () => turn(1), stop: () => taking && taking.stop.abort(), close: () => show_report(null),
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
  enter: open, delete: remove, backspace: remove, " ": () => { if (items[here]) pick(here, false, true); }, escape: () => { chosen.clear(); settle(); },
};
const CONTROL_KEYS = { a: () => { items.forEach((item) => chosen.add(item.asset)); settle(); }, z: undo };

tiles.addEventListener("keydown", (event) => {
  if (event.altKey) return;
  const act = (event.ctrlKey || event.metaKey ? CONTROL_KEYS : KEYS)[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act(event.shiftKey);
});

// -- files in
for (const name of ["pictures", "folder"]) find(`input[name=${name}]`).addEventListener("change", (event) => {
  const { found, left } = name === "folder" ? pictures_of([...event.target.files]) : { found: [...event.target.files], left: 0 };
  event.target.value = "";
  take_in(found, left);
});
root.addEventListener("dragover", (event) => { event.preventDefault(); root.dataset.drop = "1"; });
root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.dataset.drop = ""; });
root.addEventListener("drop", async (event) => {
  event.preventDefault();
  root.dataset.drop = "";
  try {
    const reading = dropped_files(event.dataTransfer);
    show_taking(props.words.reading);
    const { found, left } = await reading;
    await take_in(found, left);
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
watch("value", load);
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) trigger("arrive", { choices }); }).observe(root);
