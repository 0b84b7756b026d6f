// The dialogue that looks into the folders of the studio's machine. Shares the names of shelf.js.

const dialog = find(".shf-dialog"), inside = find(".shf-inside"), picked = new Set();
const PAGE = 60;
let seen = null; // what the server said of the place on show

async function browse() {
  dialog.showModal();
  await look(seen && seen.root !== undefined ? { root: seen.root, path: seen.path } : {});
}

async function look(place) {
  let found = null;
  try { found = await asked("GET", `/api/folders?${query(place)}`); }
  catch (problem) { if (place.root === undefined) { refuse(problem); return; } refuse(problem); found = await asked("GET", "/api/folders"); }
  if (found.root === undefined && found.roots.length === 1) { await look({ root: 0 }); return; }
  if (!seen || seen.root !== found.root || seen.path !== found.path) picked.clear();
  seen = found;
  draw_place();
}

function draw_place() {
  const { roots, root, path, folders, pictures } = seen, top = root === undefined;
  draw_crumbs();
  const parts = [];
  if (top && !roots.length) parts.push(said(props.words.no_roots, props.words.no_roots_how, "python app.py --data FOLDER"));
  else if (top) parts.push(group("shf-folders", roots.map((name, number) => folder_button(name, "", () => look({ root: number })))));
  else {
    if (folders.length) parts.push(group("shf-folders", folders.map((one) => folder_button(one.name, counted(one), () => look({ root, path: one.path })))));
    if (pictures.length) parts.push(group("shf-pictures", pictures.map(picture_button)));
    if (!folders.length && !pictures.length) parts.push(said(props.words.no_pictures));
  }
  inside.replaceChildren(...parts);
  inside.scrollTop = 0;
  mark_place();
}

function mark_place() {
  const { root, folders = [], pictures = [], first: begin = 0, total = 0 } = seen, words = props.words, deep = find(".shf-deep input").checked;
  find(".shf-where").textContent = pictures.length ? `${begin + 1}–${begin + pictures.length} / ${total.toLocaleString(props.language)}` : "";
  find("[data-act=back]").disabled = begin === 0;
  find("[data-act=on]").disabled = begin + pictures.length >= total;
  find(".shf-deep").hidden = !folders.length || picked.size > 0;
  const add = find("[data-act=gather]");
  add.hidden = root === undefined;
  find("[data-act=open_set]").hidden = root === undefined || picked.size > 0;
  add.disabled = !picked.size && !total && !(deep && folders.some((one) => one.pictures));
  add.textContent = picked.size ? `${words.add_chosen} (${picked.size})` : words.add_folder;
}

function draw_crumbs() {
  const { roots, root, path } = seen, steps = [];
  if (roots.length > 1 || root === undefined) steps.push([props.words.all_folders, {}]);
  if (root !== undefined) {
    steps.push([roots[root], { root }]);
    const parts = path ? path.split("/") : [];
    parts.forEach((name, place) => steps.push([name, { root, path: parts.slice(0, place + 1).join("/") }]));
  }
  find(".shf-crumbs").replaceChildren(...steps.map(([name, place], number) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name, onclick: () => look(place) });
    if (number === steps.length - 1) button.setAttribute("aria-current", "true");
    return button;
  }));
}

function said(text, more, code) {
  const line = Object.assign(document.createElement("p"), { textContent: more ? `${text} ${more}` : text });
  if (code) line.append(Object.assign(document.createElement("code"), { textContent: code }));
  return line;
}

function group(name, children) {
  const box = Object.assign(document.createElement("div"), { className: name });
  box.append(...children);
  return box;
}

function counted(one) {
  const words = one.pictures === 1 ? props.words.one : props.words.many, number = one.pictures.toLocaleString(props.language);
  return words.replace("%", one.whole ? number : props.words.more_than.replace("%", number));
}

function folder_button(name, about, onclick) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: name, onclick });
  button.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3.5 18.5v-13h6l2 2.5h9v10.5z"/></svg>';
  button.append(Object.assign(document.createElement("span"), { textContent: name }), Object.assign(document.createElement("small"), { textContent: about }));
  return button;
}

function picture_button(one) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: one.name, ariaPressed: String(picked.has(one.path)) });
  const image = Object.assign(document.createElement("img"), { alt: "", loading: "lazy", src: `/api/folders/thumb?${query({ root: seen.root, path: one.path })}` });
  button.append(image, Object.assign(document.createElement("span"), { textContent: one.name }));
  button.onclick = () => {
    if (!picked.delete(one.path)) picked.add(one.path);
    button.ariaPressed = String(picked.has(one.path));
    mark_place();
  };
  return button;
}

async function gather_place() {
  const { root, path } = seen, deep = find(".shf-deep input").checked;
  try {
    const paths = picked.size ? [...picked] : (await asked("GET", `/api/folders/pictures?${query({ root, path, deep })}`)).paths;
    picked.clear();
    dialog.close();
    await take_in(paths.map((one) => ({ root, path: one })));
  } catch (problem) { refuse(problem); }
}

find(".shf-deep input").onchange = mark_place;
const browsing = {
  browse, leave: () => dialog.close(), gather: gather_place,
  back: () => look({ root: seen.root, path: seen.path, first: Math.max(0, seen.first - PAGE) }), on: () => look({ root: seen.root, path: seen.path, first: seen.first + PAGE }),
};
