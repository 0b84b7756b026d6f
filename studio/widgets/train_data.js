// What a training learns from: data sets, projects and runs in one menu, and folders of this machine that were opened to the studio.
// Shares the names of train.js and data_menu.js.

let roots = [], place = null; // place: {root, path} of the folder that is open

async function load_sets() {
  try {
    sets = await asked("GET", "/api/datasets");
    ({ roots } = await asked("GET", "/api/folders"));
  } catch (problem) { if (!problem.lost) refuse(problem); }
  draw_data();
}

function known_data() { return [...sets.datasets, ...sets.projects, ...sets.runs].find((one) => one.id === held.data); }

function draw_data() {
  const select = root.querySelector("#train-data"), key = JSON.stringify([sets, held.data]);
  if (select.dataset.of !== key) { select.dataset.of = key; select.replaceChildren(...menu_of_data(words.no_data, held.data, held.data_label)); }
  select.value = held.data;
}

function choose_data(id, label) {
  held.data = id;
  held.data_label = label || known_data()?.label || id;
  changed();
  look_through();
}

root.querySelector("#train-data").onchange = (event) => choose_data(event.target.value);

// The Data tab says: learn from this.
document.addEventListener("flawsmith-train-with", (event) => { if (root.isConnected) load_sets().then(() => choose_data(event.detail.data, event.detail.label)); });

// -- folders
async function folders() {
  const box = root.querySelector(".tr-folders");
  if (!box.hidden) { close_folders(); return; }
  root.querySelector("[data-act=folders]").setAttribute("aria-expanded", "true");
  box.hidden = false;
  if (!roots.length) { box.replaceChildren(made("p", { className: "tr-note" }, words.no_roots)); return; }
  if (!place && roots.length === 1) place = { root: 0, path: "" };
  await open_folder();
}

function close_folders() {
  root.querySelector(".tr-folders").hidden = true;
  root.querySelector("[data-act=folders]").setAttribute("aria-expanded", "false");
}

async function open_folder() {
  const box = root.querySelector(".tr-folders"), line = (text, title, go, more = "") => made("button", { type: "button", title, onclick: go }, made("span", {}, text), made("small", {}, more));
  if (!place) {
    box.replaceChildren(...roots.map((name, at) => line(name, name, () => { place = { root: at, path: "" }; open_folder(); })));
    return;
  }
  let found = null;
  try { found = await asked("GET", `/api/folders?${new URLSearchParams({ root: place.root, path: place.path, limit: 1 })}`); }
  catch (problem) { place = null; refuse(problem); return; }
  const up = place.path.includes("/") ? { ...place, path: place.path.slice(0, place.path.lastIndexOf("/")) } : place.path ? { ...place, path: "" } : roots.length > 1 ? null : undefined;
  const name = place.path ? `${roots[place.root]}/${place.path}` : roots[place.root];
  const head = made("div", { className: "tr-here" });
  if (up !== undefined) head.append(made("button", { type: "button", title: words.up, ariaLabel: words.up, onclick: () => { place = up; open_folder(); } }, "↑"));
  head.append(made("strong", { title: name }, name), made("button", { type: "button", className: "tr-take", onclick: take_folder }, words.take_folder));
  const inner = made("div", { className: "tr-inner" }, ...found.folders.map((one) => line(one.name, one.name, () => { place = { ...place, path: one.path }; open_folder(); }, fill(words.pictures, { n: `${whole(one.pictures)}${one.whole ? "" : "+"}` }))));
  if (found.total) inner.append(made("p", { className: "tr-note" }, fill(words.pictures_here, { n: whole(found.total) })));
  box.replaceChildren(head, inner);
}

async function take_folder() {
  try {
    const one = await asked("POST", "/api/datasets", place);
    await load_sets();
    close_folders();
    choose_data(one.id, one.label);
    root.querySelector("#train-data").focus();
  } catch (problem) { refuse(problem); }
}
