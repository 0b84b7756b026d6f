// Prepare for training: the form of each of the two tasks, and the newest run of each, followed while it goes on and found again after a
// refresh. element, props, trigger and watch come from gr.HTML; Control and made from which_controls.js, the menu from data_menu.js, what
// a run found from prepare_found.js.

const find = (selector) => root.querySelector(selector), words = props.words, dialog = find(".pp-dialog");
const MEMORY = "flawsmith-prepare", TRAIN_MEMORY = "flawsmith-train", FOLLOW_MS = 500, LOST_MS = 2000;
const KINDS = { crop: "crops", organize: "sortings" }, FOLDER_SET = /^dataset-/;
const ONLY = { overlap: (form) => form.how === "tiles", padding: (form) => form.how !== "tiles" };
const held = recalled(); // {task, project, data, label, changed: what differs from the usual, jobs: the newest run} by task
const told = { crop: null, organize: null }; // what the server says of those runs
let moves = [], refusal = "", sending = false;

function recalled() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem("flawsmith-prepare") || "null"); } catch { /* damaged: as if there were none */ }
  return { task: "crop", project: "", data: "", label: "", changed: { crop: {}, organize: {} }, jobs: {}, ...(kept || {}) };
}

function keep() { try { localStorage.setItem(MEMORY, JSON.stringify(held)); } catch { /* a browser that keeps nothing loses it at a refresh */ } }

// -- the form
const fields = () => props.fields[held.task];
function usual(name) { const { start } = fields()[name]; return Array.isArray(start) ? start.join(", ") : start ?? null; }
function value_of(name) { const mine = held.changed[held.task]; return name in mine ? mine[name] : usual(name); }
function listed(text) { return text.split(/[,;、，；\n]/).map((one) => one.trim()).filter(Boolean); }
function values() { return Object.fromEntries(Object.keys(fields()).map((name) => [name, value_of(name)])); }

// What the server is asked for; what does not count for this way of cutting is left out.
function request() {
  const form = values(), found = { task: held.task, data: held.data };
  for (const [name, value] of Object.entries(form)) if (!ONLY[name] || ONLY[name](form)) found[name] = name === "leave_out" ? listed(value) : value;
  return found;
}

function set(name, value) {
  const mine = held.changed[held.task];
  if (value === "" || value === usual(name)) delete mine[name]; else mine[name] = value;
  changed();
}

function changed() { refusal = ""; keep(); draw(); }
function running(task = held.task) { const now = told[task]; return Boolean(now && !OVER.includes(now.state)); }
function fits() { const job = held.jobs[held.task]; return Boolean(job) && JSON.stringify(job.form) === JSON.stringify(request()); }

// The folders as they were shown, while the form says the same.
function previewed() {
  const job = held.jobs.organize, now = told.organize;
  return job?.dry_run && !job.undo && now?.state === "done" && fits() ? now.found : null;
}
function to_do() { const found = previewed(); return found ? (found.mode === "move" ? found.moved : found.images) : 0; }
function known_count() { return [...sets.projects, ...sets.runs].find((one) => one.id === held.data)?.count; }

// What keeps it from being asked for; "" for nothing.
function lacking() {
  if (!held.data) return words.lacks_data;
  if (held.task === "organize" && value_of("mode") === "move" && !FOLDER_SET.test(held.data)) return words.lacks_folder;
  return "";
}

// -- on the page
const controls = {};
for (const [task, form] of Object.entries(props.fields)) {
  controls[task] = Object.entries(form).map(([name, field]) => new Control(name, `prepare-${name}`, field, words, (value) => set(name, value)));
  find(`.pp-fields[data-task=${task}]`).append(...controls[task].map((one) => one.box));
}

function draw() {
  root.dataset.task = held.task;
  root.querySelectorAll(".wh-modes button").forEach((one) => one.setAttribute("aria-pressed", one.dataset.task === held.task));
  find(".pp-about").textContent = words[`${held.task}_about`];
  const menu = find("#prepare-data"), key = JSON.stringify([sets, held.data]);
  if (menu.dataset.of !== key) { menu.dataset.of = key; menu.replaceChildren(...menu_of_data(words.no_data, held.data, held.label)); }
  menu.value = held.data;
  const form = values();
  for (const one of controls[held.task]) {
    one.box.hidden = Boolean(ONLY[one.name]) && !ONLY[one.name](form);
    one.show(value_of(one.name), usual(one.name), false);
  }
  draw_go();
  draw_found();
}

function draw_go() {
  const busy = running() || sending, why = lacking(), preview = find("[data-act=preview]"), go = find("[data-act=go]"), ready = to_do() > 0;
  preview.hidden = held.task === "crop";
  preview.disabled = busy || Boolean(why);
  preview.classList.toggle("pp-main", !ready);
  go.classList.toggle("pp-main", held.task === "crop" || ready);
  go.disabled = busy || Boolean(why) || (held.task === "organize" && !ready);
  const count = held.task === "crop" ? known_count() : to_do(), name = held.task === "crop" ? "cut" : value_of("mode");
  go.textContent = count ? counted(`${name}_n`, count) : words[`${name}_all`];
  const text = find(".pp-why"), begins = held.task === "organize" && !ready && !busy && (!held.jobs.organize || held.jobs.organize.dry_run);
  text.textContent = refusal || why || (begins && !previewed() ? words.preview_first : "");
  text.classList.toggle("refused", Boolean(refusal));
}

// -- the runs
function refuse(problem) { trigger("refuse", { sentence: problem.message }); } // comes back in the page's language as props.said

async function ask(more = {}) {
  if (sending || running() || lacking()) return;
  const task = held.task, form = request();
  await submit(task, { ...form, ...more }, { form, data: held.data, label: name_of(held.data, held.label), dry_run: Boolean(more.dry_run) });
}

async function submit(task, body, job) {
  sending = true;
  refusal = "";
  draw();
  try {
    held.jobs[task] = { ...job, id: (await asked("POST", "/api/runs", body)).id };
    told[task] = { state: "queued", done: 0, total: 0 };
  } catch (problem) { refuse(problem); }
  sending = false;
  keep();
  draw();
  follow(task);
}

async function follow(task) {
  const job = held.jobs[task];
  while (job && job === held.jobs[task] && root.isConnected) {
    try {
      const now = await asked("GET", `/api/datasets/${KINDS[task]}/${job.id}?${tongue}`);
      if (job !== held.jobs[task]) return;
      told[task] = now;
    } catch (problem) {
      if (problem.lost) { await pause(LOST_MS); continue; }
      if (job === held.jobs[task]) delete held.jobs[task]; // its run was deleted
      told[task] = null;
      keep();
    }
    draw();
    if (!running(task)) break;
    await pause(FOLLOW_MS);
  }
  await load();
}

// What can be chosen, and the moves that can be taken back.
async function load() {
  try { [sets, moves] = await Promise.all([asked("GET", "/api/datasets"), asked("GET", "/api/datasets/moves")]); } catch (problem) { if (!problem.lost) refuse(problem); }
  draw();
}

function name_of(id, label) { return [...sets.datasets, ...sets.projects, ...sets.runs].find((one) => one.id === id)?.label || label; }
function undo(move) { if (!sending && !running()) submit("organize", { task: "organize", data: move.data, undo: move.id, dry_run: false }, { undo: move.id, label: move.label, data: move.data }); }
async function stop_job() { try { await asked("POST", `/api/runs/${held.jobs[held.task].id}/stop`); } catch (problem) { refuse(problem); } }
async function go_on() { try { await asked("POST", `/api/runs/${held.jobs[held.task].id}/resume`); follow(held.task); } catch (problem) { refuse(problem); } }

function leave_out(noun, away) {
  const before = listed(value_of("leave_out") || "");
  set("leave_out", (away ? [...before, noun] : before.filter((one) => one !== noun)).join(", "));
  find(".pp-found").focus();
  ask({ dry_run: true });
}

// The Train tab takes it from the browser's memory if nobody has seen it yet.
function train_with(data, label) {
  try { localStorage.setItem(TRAIN_MEMORY, JSON.stringify({ ...JSON.parse(localStorage.getItem(TRAIN_MEMORY) || "{}"), data, data_label: label })); } catch { /* then it is in the list there */ }
  document.dispatchEvent(new CustomEvent("flawsmith-train-with", { detail: { data, label } }));
  dialog.close();
  trigger("train");
}

function take_in(data, label) {
  dialog.close();
  document.dispatchEvent(new CustomEvent("flawsmith-open-set", { detail: { data, label } }));
}

// -- what a person does
const acts = {
  close: () => dialog.close(),
  preview: () => ask({ dry_run: true }),
  go: () => { if (held.task === "crop") ask(); else if (to_do()) ask({ dry_run: false }); },
};
root.addEventListener("click", (event) => { const button = event.target.closest("[data-act]"); if (button) acts[button.dataset.act](); });
root.querySelectorAll(".wh-modes button").forEach((button) => { button.onclick = () => { held.task = button.dataset.task; changed(); find(".pp-found").scrollTop = 0; }; });
find("#prepare-data").onchange = (event) => { held.data = event.target.value; held.label = name_of(held.data, ""); changed(); };
find(".pp-form").onsubmit = (event) => event.preventDefault();

// The shelf says which project is open; one that was open before keeps what was chosen instead of it.
document.addEventListener("flawsmith-prepare", ({ detail }) => {
  if (!root.isConnected) return;
  if (detail && detail.id !== held.project) Object.assign(held, { project: detail.id, data: detail.id, label: detail.name });
  changed();
  if (!dialog.open) dialog.showModal();
  find("#prepare-data").focus();
  load();
});
watch("said", () => { refusal = props.said?.sentence || ""; draw_go(); });
draw();
for (const task of Object.keys(KINDS)) if (held.jobs[task]) follow(task);
