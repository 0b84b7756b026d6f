// The mask library in its panel: what the studio keeps under names, to be put onto this picture. Shares the names of canvas.js.

const SEARCHED_FROM = 13; // fewer can be looked through
let shelf = [], naming = null; // naming: what the name in the form is for: "" for a new mask, else the id of one

async function library(path = "", options = {}) {
  const headers = options.body ? { "Content-Type": "application/json" } : {};
  return asked(props.words, props.library + path, { ...options, headers });
}

// Does `work`, shows what is there then, and at last what `then` adds. Whatever is refused is said.
async function on_shelf(work, then = () => {}) {
  try { await work(); shelf = (await library()).masks; } catch (problem) { then = () => {}; refuse(problem.message); }
  show_shelf();
  then();
}

function open_library() {
  find(".mc-gone").hidden = true;
  ask_name(null);
  find("[data-act=keep]").disabled = find("[data-act=export]").disabled;
  find("input[name=search]").value = "";
  on_shelf(async () => {});
}

function show_shelf() {
  const words = find("input[name=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = shelf.filter((one) => words.every((word) => one.name.toLowerCase().includes(word)));
  find("input[name=search]").hidden = shelf.length < SEARCHED_FROM;
  find(".mc-shelf-title").hidden = !shelf.length;
  find(".mc-shelf").replaceChildren(...shown.map(on_tile));
  find(".mc-shelf").dataset.count = shown.length;
  find(".mc-none").hidden = !shelf.length || shown.length > 0;
}

function on_tile(one) {
  const tile = document.createElement("div"), put = document.createElement("button"), image = document.createElement("img"), name = document.createElement("span");
  const small = (text, label, does) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: text, title: label, ariaLabel: `${label}: ${one.name}`, onclick: does });
    return button;
  };
  tile.className = "mc-tile";
  Object.assign(image, { src: one.small, alt: "" });
  name.textContent = one.name;
  Object.assign(put, { type: "button", title: `${props.words.reuse}: ${one.name} (${one.width} × ${one.height})`, ariaLabel: `${props.words.reuse}: ${one.name}` });
  put.append(image, name);
  put.onclick = () => put_kept(one);
  tile.append(put, small("✎", props.words.rename, () => ask_name(one.id, one.name)), small("×", props.words.delete, () => remove_kept(one)));
  return tile;
}

// Shows the field for a name; `id` is "" for a new mask, null puts the field away.
function ask_name(id, name = "") {
  naming = id;
  find(".mc-keep").hidden = id === null;
  find("[data-act=keep]").hidden = id !== null;
  if (id === null) return;
  const field = find("input[name=name]");
  field.value = name;
  field.focus();
  field.select();
}

async function put_kept(one) {
  const owner = strokes, area = active;
  find(".mc-masks").hidePopover();
  try {
    const found = await library(`/${one.id}`), mask = new Uint8Array(found.width * found.height);
    await each_painted(found.box, (x, y) => { mask[y * found.width + x] = 255; });
    if (owner === strokes) put(fit_mask(mask, found.width, found.height, view.width, view.height), area);
  } catch (problem) { refuse(problem.message); }
}

function remove_kept(one) {
  on_shelf(() => library(`/${one.id}`, { method: "DELETE" }), () => {
    find(".mc-gone span").textContent = worded(props.words.deleted, one.name);
    find(".mc-gone").hidden = false;
    find(".mc-gone button").onclick = () => on_shelf(() => library(`/${one.id}/restore`, { method: "POST" }), () => { find(".mc-gone").hidden = true; });
    find(".mc-gone button").focus();
  });
}

async function name_given(event) {
  event.preventDefault();
  const id = naming, name = find("input[name=name]").value.trim();
  if (!name) return find("input[name=name]").focus();
  await Promise.all(settling);
  ask_name(null);
  on_shelf(async () => {
    if (id) return library(`/${id}`, { method: "PATCH", body: JSON.stringify({ name }) });
    const mask = (await png(strokes.mask(active), view.width, view.height)).split(",")[1];
    return library("", { method: "POST", body: JSON.stringify({ name, mask }) });
  });
}

function listen_to_library() {
  find(".mc-keep").addEventListener("submit", name_given);
  find(".mc-keep").addEventListener("keydown", (event) => { if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); ask_name(null); } });
  find("input[name=search]").addEventListener("input", show_shelf);
}
