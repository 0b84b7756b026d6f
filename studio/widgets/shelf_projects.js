// The list of projects: which is open, new ones, names, deletion and its undo. Shares the names of shelf.js.

const WHEN = new Intl.DateTimeFormat(props.language, { dateStyle: "medium", timeStyle: "short" });
const list = find(".shf-list");
let projects = [];

function draw_projects(damaged) {
  const typing = list.querySelector("input");
  if (typing) return; // a name is being written; the list is drawn when that is done
  list.replaceChildren(...projects.map((one) => {
    const row = document.createElement("div"), name = document.createElement("span"), about = document.createElement("small");
    row.className = "shf-project";
    row.id = one.id;
    row.role = "option";
    row.ariaSelected = project !== null && one.id === project.id;
    row.title = name.textContent = one.name;
    about.textContent = `${filled(one.count === 1 ? props.words.one : props.words.many, one.count)} · ${WHEN.format(one.changed * 1000)}`;
    row.append(name, about);
    row.onclick = () => { list.focus({ preventScroll: true }); choose_project(one.id); };
    row.ondblclick = rename;
    return row;
  }));
  if (project) list.setAttribute("aria-activedescendant", project.id); else list.removeAttribute("aria-activedescendant");
  for (const act of ["rename", "scrap"]) find(`[data-act=${act}]`).disabled = !project;
  if (!damaged) return;
  find(".shf-damaged").replaceChildren(...damaged.map((one) => Object.assign(document.createElement("p"), { textContent: one })));
  find(".shf-damaged").hidden = !damaged.length;
}

function choose_project(id) {
  if (project && project.id === id) return;
  project = projects.find((one) => one.id === id) || null;
  choices++;
  choose_none();
  forget_labels();
  first = 0;
  items = [];
  trigger("project", { id });
  draw_projects();
  return turn_to({ around: project ? project.open : "" });
}

async function create() {
  try {
    const made = await asked("POST", "/api/projects", { name: props.words.untitled });
    await reload();
    await choose_project(made.id);
    rename();
  } catch (problem) { refuse(problem); }
}

function rename() {
  const row = project && document.getElementById(project.id);
  if (!row || row.querySelector("input")) return;
  const { id, name } = project, box = Object.assign(document.createElement("input"), { value: name, maxLength: 80, ariaLabel: props.words.name });
  row.querySelector("span").replaceChildren(box);
  box.select();
  const done = async (keep) => {
    if (!box.isConnected) return;
    box.onblur = null;
    box.remove();
    list.focus({ preventScroll: true }); // at once: the next key may come before the answer
    const next = box.value.trim();
    if (keep && next && next !== name) await asked("PATCH", `/api/projects/${id}`, { name: next }).catch(refuse);
    await reload().catch(refuse);
  };
  box.onblur = () => done(true);
  box.onkeydown = (event) => {
    event.stopPropagation();
    if (event.isComposing) return; // Enter that ends a word of an input method
    if (event.key === "Enter") done(true); else if (event.key === "Escape") done(false);
  };
}

async function scrap() {
  if (!project) return;
  const { id } = project, place = projects.findIndex((one) => one.id === id), next = projects[place + 1] || projects[place - 1];
  try { await asked("DELETE", `/api/projects/${id}`); } catch (problem) { refuse(problem); return; }
  scrapped.push({ project: id, since: 0 });
  await choose_project(next ? next.id : "");
  await reload();
}

// What is there now; the project that was open stays open, and when it is gone the newest is.
async function reload() {
  const found = await asked("GET", "/api/projects");
  projects = found.projects;
  const same = project && projects.find((one) => one.id === project.id);
  if (same) project = same;
  else if (project || projects.length) { project = null; await choose_project(projects.length ? projects[0].id : ""); }
  draw_projects(found.damaged);
}

list.addEventListener("keydown", (event) => {
  if (event.altKey || event.target !== list) return;
  const place = projects.findIndex((one) => project && one.id === project.id), to = (at) => projects[at] && choose_project(projects[at].id);
  const acts = { ArrowDown: () => to(place + 1), ArrowUp: () => to(place - 1), Home: () => to(0), End: () => to(projects.length - 1), F2: rename, Delete: scrap, Enter: () => tiles.focus() };
  const act = event.ctrlKey || event.metaKey ? { z: event.shiftKey ? redo : undo, y: redo }[event.key.toLowerCase()] : acts[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
