// The captions of a project, page by page: what the filter finds, what undo would take back, which tool is open. The rows, the tools,
// the run and the comparison are in the files beside this, which share their names. element, props, trigger and watch come from gr.HTML.

const ARRIVE_MS = 500, SEARCH_MS = 250, TOLD_MS = 6000;
let round = 0, heard = "", arrived_at = -ARRIVE_MS, steps = { undo: "", redo: "" };

// -- pages
async function load_page(place = first) {
  if (!project) return false;
  const mine = ++round, of = project.id;
  try {
    let page = await asked("GET", below(`records?${query({ first: place, limit: SIZE })}`));
    if (page.total && place >= page.total) page = await asked("GET", below(`records?${query({ first: Math.floor((page.total - 1) / SIZE) * SIZE, limit: SIZE })}`));
    if (mine !== round || project?.id !== of) return false;
    const moved = page.first !== first;
    ({ first, total } = page);
    steps = { undo: page.undo, redo: page.redo };
    draw_rows(page.records);
    if (moved) find(".cap-scroll").scrollTop = 0;
    mark();
    if (proposing()) read_rows().catch(() => {});
    return true;
  } catch (problem) { if (mine === round) refuse(problem); return false; }
}

async function turn(by) {
  const place = first + by * SIZE;
  return place >= 0 && place < total ? load_page(place) : false;
}

async function load_counts() {
  const of = project?.id;
  try { const now = await asked("GET", below("tally")); if (project?.id === of) { counts = now; draw_filter(); draw_classes(); } } catch (problem) { if (!problem.lost) refuse(problem); }
}

// Everything again, with what changed since.
async function refresh() {
  await Promise.all([load_page(), load_counts()]);
  if (compared) { const now = records.find((one) => one.asset === compared.asset); if (now) compared_again(now); }
  renew_tools();
}

function renew_tools() {
  replacing.look();
  templating.look();
  draw_tags();
}

// One caption changed: what undo would take back is another thing now.
const stepped = later(async () => {
  try { const page = await asked("GET", below("records?limit=1")); steps = { undo: page.undo, redo: page.redo }; mark(); load_counts(); } catch { /* the next page says it */ }
}, SEARCH_MS);

// -- the filter
function draw_filter() {
  const { classes, tags, captioned } = counts, every = counts.total;
  const option = (value, label, n) => made("option", { value }, n === undefined ? label : fill(words.with_count, { label, n: whole(n) }));
  find("#cap-classes").replaceChildren(option("*", words.every_class), ...Object.entries(classes).map(([name, n]) => option(`=${name}`, called(name), n)));
  find("#cap-classes").value = filter.defect === null ? "*" : `=${filter.defect}`;
  find("#cap-has").replaceChildren(option("", words.either), option("true", words.with_caption, captioned), option("false", words.without_caption, every - captioned));
  find("#cap-has").value = filter.captioned === null ? "" : String(filter.captioned);
  find("#cap-tagged").replaceChildren(option("", words.every_tag), ...Object.entries(tags).map(([name, n]) => option(name, name, n)));
  find("#cap-tagged").value = filter.tag;
  find("#cap-tagged").disabled = !Object.keys(tags).length && !filter.tag;
  find("#cap-has").title = fill(words.share, { n: whole(captioned), of: whole(every) });
}

function filtered() { chosen.clear(); if (compared) back(); load_page(0).then(renew_tools); }
find("#cap-search").oninput = later(() => { filter.text = find("#cap-search").value.trim(); filtered(); }, SEARCH_MS);
find("#cap-classes").onchange = (event) => { filter.defect = event.target.value === "*" ? null : event.target.value.slice(1); filtered(); };
find("#cap-has").onchange = (event) => { filter.captioned = event.target.value ? event.target.value === "true" : null; filtered(); };
find("#cap-tagged").onchange = (event) => { filter.tag = event.target.value; filtered(); };

// -- what is on show
const step_name = (what) => what.split(", ").map((one) => words.steps[one] || one).join(", ");

function mark() {
  const pages = Math.max(1, Math.ceil(total / SIZE)), at = Math.floor(first / SIZE) + 1, narrowed = Object.keys(found()).length > 0;
  root.dataset.ready = "1";
  find(".cap-project").textContent = project.name;
  find(".cap-count").textContent = narrowed ? counted("found", total) : counted("pictures", total);
  find(".cap-place").textContent = records.length ? `${whole(first + 1)}–${whole(first + records.length)} / ${whole(total)}` : "";
  find("[data-act=previous]").disabled = at <= 1;
  find("[data-act=next]").disabled = at >= pages;
  if (document.activeElement !== find("#cap-page")) find("#cap-page").value = at;
  find("#cap-page").max = pages;
  find(".cap-pages").textContent = fill(words.of_pages, { n: whole(pages) });
  find(".cap-empty").hidden = records.length > 0;
  find(".cap-table").hidden = !records.length;
  for (const way of ["undo", "redo"]) {
    const button = find(`[data-act=${way}]`), what = steps[way];
    button.disabled = !what;
    button.querySelector("span").textContent = what ? fill(words[`${way}_what`], { what: step_name(what) }) : words[way];
    button.title = `${button.textContent.trim()} (${way === "undo" ? "Ctrl+Z" : "Ctrl+Y"})`;
  }
  const every = find(".cap-every"), here = records.filter((one) => chosen.has(one.asset)).length;
  every.checked = records.length > 0 && here === records.length;
  every.indeterminate = here > 0 && here < records.length;
  find(".cap-scope").textContent = chosen.size ? counted("scope_chosen", chosen.size) : narrowed ? counted("scope_found", total) : counted("scope_all", total);
  find("[data-act=none]").hidden = !chosen.size;
  draw_go();
  scope_changed();
}

let scope = "";
function scope_changed() {
  const now = JSON.stringify([...chosen.keys()]);
  if (now === scope) return;
  scope = now;
  renew_tools();
}

// What was done, for a moment.
const quiet = later(() => { find(".cap-told").textContent = ""; }, TOLD_MS);
function tell(done) {
  find(".cap-told").textContent = done.count ? fill(words[done.count === 1 ? "told_one" : "told"], { what: step_name(done.what), n: whole(done.count) }) : words.no_change;
  quiet();
}

async function undo(way = "undo") {
  await pending;
  if (!project || !steps[way]) return;
  try {
    const done = await asked("POST", below(way));
    if (done) { for (const asset of done.assets) keep_draft(asset); find(".cap-told").textContent = fill(words[`${way}_done`], { what: step_name(done.what), n: whole(done.count) }); quiet(); }
  } catch (problem) { refuse(problem); }
  await refresh();
}

// -- tools
function open_tool(name) {
  held.tool = name;
  keep();
  all("[role=tab]").forEach((one) => { const on = one.dataset.tool === name; one.setAttribute("aria-selected", on); one.tabIndex = on ? 0 : -1; });
  all("[role=tabpanel]").forEach((one) => { one.hidden = one.id !== `cap-panel-${name}`; });
  if (project) renew_tools();
}
all("[role=tab]").forEach((one) => { one.onclick = () => open_tool(one.dataset.tool); });
find("[role=tablist]").addEventListener("keydown", (event) => {
  const tabs = all("[role=tab]"), by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  const next = tabs[(tabs.indexOf(event.target) + by + tabs.length) % tabs.length];
  open_tool(next.dataset.tool);
  next.focus();
});

find(".cap-every").onclick = () => {
  const on = find(".cap-every").checked;
  for (const one of records) if (on) chosen.set(one.asset, one); else chosen.delete(one.asset);
  [...body.children].forEach(dress);
  mark();
};
find("#cap-page").onchange = () => { const at = Math.round(Number(find("#cap-page").value)); if (at >= 1) load_page((Math.min(at, Number(find("#cap-page").max)) - 1) * SIZE); };
find("#cap-product").onchange = async () => {
  try { project = await asked("PATCH", `/api/projects/${project.id}`, { product: find("#cap-product").value }); templating.look(); } catch (problem) { refuse(problem); }
};

const acts = {
  data: () => trigger("pictures"), undo: () => undo(), redo: () => undo("redo"), previous: () => turn(-1), next: () => turn(1), stop: stop_run, go_on, hide: hide_run, take_all: () => take_all(run.id),
  back, before: () => step(-1), after: () => step(1), none: () => { chosen.clear(); [...body.children].forEach(dress); mark(); },
};
root.addEventListener("click", (event) => { const button = event.target.closest("button[data-act]"); if (button && acts[button.dataset.act]) acts[button.dataset.act](); });

document.addEventListener("keydown", (event) => {
  if (!root.isConnected || !root.offsetParent || event.target.closest?.("input, textarea, select, dialog") || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  const act = control && key === "z" ? () => undo(event.shiftKey ? "redo" : "undo") : control && key === "y" ? () => undo("redo") : !control && !event.altKey ? { pagedown: () => turn(1), pageup: () => turn(-1) }[key] : null;
  if (!act || (compared && key.startsWith("page"))) return;
  event.preventDefault();
  act();
});

// -- what the page says: which project is open, and the run that was asked for
async function open_project(id) {
  const other = project?.id !== id;
  if (!id) { project = null; show_state(); return; }
  try { project = await asked("GET", `/api/projects/${id}`); } catch (problem) { project = null; if (problem.status !== 404) refuse(problem); show_state(); return; }
  if (other) { chosen.clear(); proposals.clear(); records = []; first = total = 0; run = null; filter = { text: "", defect: null, captioned: null, tag: "" }; find("#cap-search").value = ""; if (compared) back(); recall_drafts(); body.replaceChildren(); }
  if (document.activeElement !== find("#cap-product")) find("#cap-product").value = project.product;
  show_state();
  if (!project.count) return;
  await refresh();
  await look();
}

function show_state() {
  const some = Boolean(project && project.count);
  root.dataset.state = some ? "some" : "none";
  find(".cap-nothing").hidden = some;
  find(".cap-all").hidden = !some;
  root.dataset.project = project?.id || "";
}

watch("told", () => {
  const { told } = props;
  if (!told?.at || told.at === heard) return;
  heard = told.at;
  if ("project" in told) open_project(told.project); else if (told.run) look();
});

open_tool(["write", "replace", "tags", "template"].includes(held.tool) ? held.tool : "write");
new IntersectionObserver((entries) => {
  seen = entries.at(-1).isIntersecting;
  if (!seen || performance.now() - arrived_at < ARRIVE_MS) return;
  arrived_at = performance.now();
  trigger("arrive");
  load_offer();
}).observe(root);
document.addEventListener("visibilitychange", () => { seen = !document.hidden && Boolean(root.offsetParent); if (seen && project) { load_page(); look(); } });
