// Taking pictures in: a line of files and of places in opened folders, two at a time, with a progress line, Stop, and at the end a
// report of what was refused. Shares the names of shelf.js.

const AT_ONCE = 2, BATCH = 12, PLACES = 32, MOST_BYTES = 256 * 2 ** 20, GIVE_UP = 3, REDRAW_MS = 1500;
const line = [];
let taking = null;

// items: File, or {root, path}. What comes while others are being taken joins their line. `labels`: some lay beside them, and are
// not taken. A ZIP is no picture but a data set.
async function take_in(items, left = 0, labels = false) {
  const zips = items.filter((one) => one instanceof File && ZIP.test(one.name));
  if (zips.length) take_zip(zips);
  items = items.filter((one) => !zips.includes(one));
  if (zips.length && !items.length) return;
  if (taking) { taking.left += left; taking.labels ||= labels; }
  else {
    const home = await home_project();
    if (!home) return;
    taking = { home, left, labels, total: 0, done: 0, added: 0, already: 0, lost: 0, refused: [], fresh: [], busy: new Set(), number: 0, seen: new Set(), stop: new AbortController(), drawn: 0, saved: Promise.resolve() };
  }
  line.push(...items);
  taking.total += items.length;
  show_taking();
  if (!taking.runners) { taking.runners = Promise.all(Array.from({ length: AT_ONCE }, run)).then(finish); }
}

// Where pictures go: the project that is open; with no project at all, one is made without a word.
async function home_project() {
  if (project) return project.id;
  try {
    const made = await asked("POST", "/api/projects", { name: props.words.untitled, only_first: true });
    project = made;
    choices++;
    trigger("project", { id: made.id });
    return made.id;
  } catch (problem) { refuse(problem); return null; }
}

async function run() {
  while (line.length && !taking.stop.signal.aborted) {
    const item = line.shift();
    if (item instanceof File) await send(item); else await gather(item);
    show_taking();
  }
}

async function send(file) {
  const job = taking, words = props.words, number = job.number++;
  job.busy.add(number);
  try {
    if (file.size > MOST_BYTES) throw new Error(words.too_large.replace("%", file.name));
    if (!file.size) throw new Error(words.empty_file.replace("%", file.name));
    const form = new FormData();
    form.append("file", file, file.name);
    const { asset } = await asked("POST", "/api/uploads", form, job.stop.signal);
    job.lost = 0;
    if (job.seen.has(asset)) job.already++; else { job.seen.add(asset); job.fresh.push({ number, asset }); }
  } catch (problem) { turn_away(file.name, problem); }
  job.busy.delete(number);
  job.done++;
  if (job.fresh.length >= BATCH) save();
}

function turn_away(name, problem) {
  if (taking.stop.signal.aborted) return;
  taking.refused.push({ name, message: problem.message });
  taking.lost = problem.lost ? taking.lost + 1 : 0;
  if (taking.lost >= GIVE_UP) taking.stop.abort(); // the studio is gone; the rest would only say so again
}

// In the order of the line: what is behind a file that is still on its way waits for it.
function save() {
  const job = taking, next = Math.min(...job.busy), ready = job.fresh.filter((one) => one.number < next).sort((a, b) => a.number - b.number), assets = ready.map((one) => one.asset);
  if (!assets.length) return;
  job.fresh = job.fresh.filter((one) => one.number >= next);
  job.saved = job.saved.then(async () => {
    try { count(await asked("POST", `/api/projects/${job.home}/pictures`, { assets })); } catch (problem) { turn_away(project ? project.name : "", problem); }
  });
}

function count(found) {
  taking.added += found.added.length;
  taking.already += found.already.length;
  if (Date.now() - taking.drawn < REDRAW_MS) return;
  taking.drawn = Date.now();
  refresh();
}

// Some places of one folder in one request; the server takes as many as a moment allows.
async function gather(first) {
  const job = taking, some = [first];
  while (line.length && some.length < PLACES && !(line[0] instanceof File) && line[0].root === first.root) some.push(line.shift());
  try {
    const found = await asked("POST", `/api/projects/${job.home}/take`, { root: first.root, paths: some.map((one) => one.path) }, job.stop.signal);
    job.lost = 0;
    job.refused.push(...found.refused);
    job.done += found.done;
    line.unshift(...some.slice(found.done));
    count(found);
  } catch (problem) {
    turn_away(first.path, problem);
    job.done += some.length;
  }
}

function show_taking(before = "") {
  const box = find(".shf-going");
  box.hidden = !taking && !before;
  box.querySelector("span").textContent = before;
  box.querySelector("button").hidden = !taking;
  if (!taking) { box.querySelector("progress").removeAttribute("value"); return; }
  box.querySelector("progress").value = taking.total ? taking.done / taking.total : 0;
  box.querySelector("span").textContent = filled(props.words.adding, taking.done, taking.total);
}

async function finish() {
  save();
  await taking.saved;
  const job = taking, words = props.words, parts = [filled(words.added, job.added)];
  line.length = 0;
  taking = null;
  if (job.stop.signal.aborted) parts.unshift(words.stopped);
  for (const name of ["already", "left"]) if (job[name]) parts.push(filled(words[name], job[name]));
  if (job.refused.length) parts.push(filled(words.refused, job.refused.length));
  if (job.labels) parts.push(words.folder_labels);
  show_taking();
  await refresh();
  trigger("told", { sum: parts.join(" · "), refused: job.refused.slice(0, 500) });
}

function show_report(told) {
  const box = find(".shf-report");
  box.hidden = !told;
  if (!told) return;
  box.querySelector("strong").textContent = told.sum;
  box.querySelector("ul").replaceChildren(...told.refused.map((one) => Object.assign(document.createElement("li"), { textContent: one })));
}

function filled(words, ...numbers) { return numbers.reduce((text, one) => text.replace("%", () => (typeof one === "number" ? one.toLocaleString(props.language) : one)), words); }

addEventListener("beforeunload", (event) => { if (taking) event.preventDefault(); });
