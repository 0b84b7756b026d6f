// The panel beside the tiles: class, tags, caption, part and mask of what is chosen, edited in place and for all of it at once.
// Shares the names of shelf.js.

const SHOWN_DETAILS = "flawsmith-shelf-details";
const panel = find(".shf-details"), field = (name) => panel.querySelector(`[name=${name}]`);
let about_whom = null, within = null; // whom the fields speak of; what is counted of all that the filter finds

function whom() { return project && items.length ? meant() : null; }

// The value that all of them have, or null where they differ or where it is not known.
function common(name) {
  if (!about_whom.assets) {
    const counted_as = { defect: "classes", part: "parts" }[name];
    if (!within) return null;
    if (counted_as) { const found = Object.keys(within[counted_as]); return found.length === 1 ? found[0] : null; }
    const count = { caption: within.captioned, out: within.out, mask: within.masked }[name];
    return count === 0 ? "" : null;
  }
  const found = new Set(about_whom.assets.map((asset) => (known.has(asset) ? known.get(asset)[name] : null)));
  return found.size === 1 ? [...found][0] : null;
}

// Every tag of theirs, with whether all of them have it.
function common_tags() {
  if (!about_whom.assets) return within ? Object.entries(within.tags).map(([tag, count]) => [tag, count === within.total]) : [];
  const counts = new Map(), some = about_whom.assets.map((asset) => known.get(asset)).filter(Boolean);
  for (const one of some) for (const tag of one.tags ? one.tags.split(", ") : []) counts.set(tag, (counts.get(tag) || 0) + 1);
  return [...counts].map(([tag, count]) => [tag, count === about_whom.assets.length]);
}

async function count_within() {
  const id = project.id, asking = about_whom;
  try {
    const found = await asked("GET", `/api/projects/${id}/tally?${query(wanted())}`);
    if (asking !== about_whom) return;
    within = found;
    fill_details();
  } catch (problem) { refuse(problem); }
}

function draw_details() {
  const before = about_whom && about_whom.key, next = whom();
  panel.inert = !next;
  about_whom = next && { ...next, key: JSON.stringify([project.id, next.which]) };
  // A list of tags is short; words that are being written are not written over.
  const writing = panel.contains(document.activeElement) && next && before === about_whom.key ? document.activeElement : null;
  within = null;
  if (next && !next.assets) count_within();
  fill_details(writing);
}

function fill_details(writing = null) {
  const words = props.words, one = about_whom && about_whom.assets && about_whom.assets.length === 1 ? known.get(about_whom.assets[0]) : null;
  const many = !about_whom ? 0 : about_whom.assets ? about_whom.assets.length : total;
  panel.querySelector(".shf-about strong").textContent = one ? one.name : many ? filled(words.chosen, many) : "";
  panel.querySelector(".shf-about strong").title = one ? one.name : "";
  panel.querySelector(".shf-about small").textContent = !many ? words.none_chosen : one && !one.missing ? `${size_of(one)} · ${bytes(one.bytes)}` : "";
  if (!about_whom) { empty_details(); return; }
  for (const name of ["defect", "caption"]) {
    const value = common(name), box = field(name);
    box.placeholder = value === null ? words.differ : name === "defect" ? words.good : words.no_caption;
    if (box !== writing) box.value = box.dataset.was = value || "";
  }
  const part = common("part"), out = common("out"), mask = common("mask"), boxes = one ? one.boxes : 0;
  if (field("part") !== writing) field("part").value = part === null ? "*" : part;
  field("out").checked = Boolean(out);
  field("out").indeterminate = out === null;
  field("reason").hidden = !out;
  if (field("reason") !== writing) field("reason").value = field("reason").dataset.was = out && out !== words.left_out ? out : "";
  const count = about_whom.assets ? about_whom.assets.filter((asset) => known.has(asset) && known.get(asset).mask).length : within ? within.masked : 0;
  panel.querySelector(".shf-marked").textContent = one ? [one.mask ? words.painted : "", boxes ? filled(words.boxes, boxes) : ""].filter(Boolean).join(" · ") || words.no_mask : filled(words.of, count, many);
  find("[data-act=paint]").disabled = !one || Boolean(one.missing);
  find("[data-act=unmask]").disabled = mask === "";
  draw_tags();
}

function empty_details() {
  for (const box of panel.querySelectorAll("input, textarea, select")) Object.assign(box, { value: "", checked: false, indeterminate: false });
  field("reason").hidden = true;
  panel.querySelector(".shf-marked").textContent = "";
  panel.querySelector(".shf-tags").replaceChildren();
}

function draw_tags() {
  panel.querySelector(".shf-tags").replaceChildren(...common_tags().slice(0, 40).map(([tag, whole]) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: `${props.words.remove_tag}: ${tag}`, ariaLabel: `${props.words.remove_tag}: ${tag}`, textContent: `${tag} ×` });
    button.dataset.some = whole ? "" : "1";
    button.onclick = () => { change_labels("tags", { which: about_whom.which, remove: [tag] }).then(() => field("tags").focus()); };
    return button;
  }));
  panel.querySelector(".shf-tags").hidden = !panel.querySelector(".shf-tags").children.length;
}

// Every change goes one after the other, each about whom it was meant for.
let changing = Promise.resolve();
function change_labels(path, body) {
  const id = project.id;
  changing = changing.then(async () => {
    try { stepped(await asked("POST", `/api/projects/${id}/${path}`, body)); } catch (problem) { refuse(problem); }
    const before = total, seen = new Set(items.map((item) => item.asset));
    await refresh();
    if (!filtered()) return;
    // What the filter finds no more is no longer chosen: the next change shall not touch what is out of sight.
    if (every && total !== before) choose_none();
    const still = new Set(items.map((item) => item.asset));
    for (const asset of chosen) if (!seen.has(asset) || !still.has(asset)) chosen.delete(asset);
    mark();
  });
  return changing;
}

function set(values) { return change_labels("change", { which: about_whom.which, values }); }

// -- editing
function wire_text(name, save) {
  const box = field(name);
  box.addEventListener("change", () => { if (about_whom && box.value !== box.dataset.was) { box.dataset.was = box.value; save(box.value); } });
  box.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.isComposing) return; // Enter that ends a word of an input method
    if (event.key === "Escape") box.value = box.dataset.was || "";
    if (event.key !== "Escape" && event.key !== "Enter") return;
    event.preventDefault();
    if (event.key === "Enter" && name === "tags") { box.dispatchEvent(new Event("change")); return; }
    tiles.focus({ preventScroll: true }); // what was written is saved as the field is left
    if (event.key === "Enter") box.dispatchEvent(new Event("change"));
  });
}

wire_text("defect", (value) => set({ defect: value.trim() }));
wire_text("caption", (value) => set({ caption: value }));
wire_text("reason", (value) => set({ out: value.trim() || props.words.left_out }));
wire_text("tags", (value) => {
  const add = value.split(/[,、，]/).map((one) => one.trim()).filter(Boolean);
  field("tags").value = field("tags").dataset.was = "";
  if (add.length) change_labels("tags", { which: about_whom.which, add });
});
field("part").addEventListener("change", () => set({ part: field("part").value }));
field("out").addEventListener("change", () => set({ out: field("out").checked ? props.words.left_out : "" }).then(() => { if (!field("reason").hidden) field("reason").focus(); }));

function focus_class() { if (!about_whom) return; show_details(true); field("defect").focus(); field("defect").select(); }

function show_details(on) {
  root.dataset.details = on ? "1" : "";
  find("[data-act=details]").ariaPressed = String(on);
  keep_in_mind(SHOWN_DETAILS, on ? "1" : "0");
}

const detailing = {
  details: () => show_details(root.dataset.details !== "1"),
  paint: () => trigger("draw", { project: project.id, asset: about_whom.assets[0] }),
  unmask: () => set({ mask: "", boxes: "" }),
};
show_details(remembered(SHOWN_DETAILS) !== "0");

// Undo is heard everywhere but where words are written: there it is the field's own.
root.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase(), writes = event.target.matches("textarea, input:not([type=checkbox])");
  if (event.defaultPrevented || event.altKey || writes || !(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key)) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo(); else undo();
});
