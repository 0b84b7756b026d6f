// The card "which defect". What is chosen for an area is noted on the canvas and comes back when that area is taken up again;
// what is chosen once for the picture stays here. Everything outlives a refresh, and goes to the server with Generate alone.
// element, props, trigger and watch come from gr.HTML; Control, Picker, made, AdapterList and the presets' dialog from the files beside this.

const find = (selector) => root.querySelector(selector);
const AREA = ["severity", "light", "prompt", "padding_px", "feather_px"], DRAWN = ["severity", "light"];
const DIFFUSED = ["negative_prompt", "guidance_scale", "guidance_rescale", "guidance_start", "guidance_end", "num_inference_steps", "scheduler", "clip_skip", "adapter_scale", "prompt_noise", "num_candidates", "select", "attention_maps"];
const ONCE = ["base", "strength", "num_images", "seed", "label", ...DIFFUSED];
const PLACES = { severity: ".wh-rows", strength: ".wh-rows", num_images: ".wh-seeds", seed: ".wh-seeds", prompt: ".wh-rows", light: ".wh-area", feather_px: ".wh-area", padding_px: ".wh-area", base: ".wh-base", label: ".wh-picture", ...Object.fromEntries(DIFFUSED.map((name) => [name, ".wh-steps"])) };
const FREE = ["num_images", "seed", "recipe", ...(props.steers ? ["base"] : [])]; // of these nobody has a usual value
const STEERED = props.steers ? Object.keys(props.steers) : []; // what maps do, asked once too; their controls are steer.js
const MEMORY = `flawsmith-form-here${props.at && `-${props.at}`}`, KEEP_MS = 600;
const words = props.words, copy = (value) => JSON.parse(JSON.stringify(value)), same = (one, other) => JSON.stringify(one) === JSON.stringify(other), sent = new Set();
const start_of = (name) => (STEERED.includes(name) ? props.steers[name] : props.fields[name].start);
let held = null, touched = false, refused = "", keeping = null, look = [], looked = "";

// -- the menu
const product = (id) => props.menu.products.find((one) => one.id === id);
const entry = (id) => props.menu.products.flatMap((one) => one.defects).find((one) => one.id === id);
const every = () => props.menu.products.at(-1);

// The product whose list holds a choice: the one that is open when it does.
function home(choice) {
  const holds = (one) => one && one.defects.some((each) => each.id === choice);
  return holds(product(held.product)) ? held.product : (props.menu.products.find(holds) || every()).id;
}

// A base that draws and one that diffuses are asked for different things; a preset speaks to each.
const base_of = (name) => props.menu.bases.find((one) => one.name === name) || props.menu.bases[0];
const draws = () => base_of(held.common.base).draws;
function said_by(choice) {
  const found = entry(choice) || entry(props.first.defect);
  if (draws()) return found.fields;
  const unsaid = base_of(held.common.base).unsaid; // what a base that guides by itself would refuse
  const said = { ...found.fields, ...Object.fromEntries(Object.entries(found.diffusion).filter(([name]) => !unsaid.includes(name))) };
  if (props.steers && said.base && base_of(said.base).name !== said.base) delete said.base; // one that draws is not steered
  return props.steers ? { ...said, steer: steered_by(found.control || {}), ...props.recipes[held.common.recipe] } : said;
}

// How strongly each map holds, as a preset says it: what it leaves out does not hold at all. One that says nothing: as at the start.
function steered_by(control) {
  const { steer } = props.steers;
  if (!Object.keys(control).length) return steer;
  return Object.fromEntries(Object.entries(steer).map(([kind, one]) => [kind, { ...one, on: control[kind] > 0, scale: control[kind] > 0 ? control[kind] : one.scale }]));
}

function usual(choice) {
  const said = said_by(choice);
  return { ...props.start, ...Object.fromEntries([...AREA, "look"].filter((name) => name in said).map((name) => [name, said[name]])) };
}

function area_of(note) {
  const choice = entry(note.defect) ? note.defect : props.first.defect;
  return copy({ ...usual(choice), ...note, defect: choice, title: entry(choice).label });
}

function fresh() {
  const once = Object.fromEntries([...ONCE, ...STEERED].map((name) => [name, start_of(name)]));
  return { product: props.first.product, expert: false, common: { ...once, adapters: [] }, area: null, restored: null };
}

// -- what is held
function canvas() { return document.querySelector(`#${props.painted} .mc`)?.canvas; }

function changed(on_area) {
  if (on_area && canvas()) canvas().assign(copy(held.area));
  held.at = Date.now();
  touched = true;
  keep();
  draw();
}

// Until the menu with a person's own presets is here, what was held may name one that is not known yet: it stays as it was.
function keep() {
  props.value = copy(held);
  if (!touched && !root.dataset.offered) return;
  sessionStorage.setItem(MEMORY, JSON.stringify(held));
  clearTimeout(keeping);
  keeping = setTimeout(() => { sent.add(held.at); trigger("keep"); }, KEEP_MS);
}

function choose(choice) {
  held.area = { ...area_of({ defect: choice }), turn: 0 };
  as_said(said_by(choice));
  held.product = home(choice);
  changed(true);
}

function as_said(said) { for (const name of [...ONCE, ...STEERED]) if (name in said) held.common[name] = copy(said[name]); }

function set(name, value) {
  if (AREA.includes(name)) held.area[name] = value;
  else if (name === "base" && !ready(value)) { refused = value; draw(); return; }
  else {
    const before = { draws: draws(), said: said_by(held.area.defect) };
    held.common[name] = value;
    if (name === "base") turned(before);
  }
  refused = "";
  changed(AREA.includes(name));
}

// Another base: what the preset says of it, where nobody chose otherwise; and nothing that it must not be told.
function turned(before) {
  const said = said_by(held.area.defect), { unsaid = [] } = base_of(held.common.base);
  for (const name of [...DIFFUSED, "strength"]) {
    const { start } = props.fields[name], usual = before.said[name] ?? start;
    if (unsaid.includes(name)) held.common[name] = start;
    else if (JSON.stringify(held.common[name]) === JSON.stringify(usual)) held.common[name] = said[name] ?? start;
  }
  if (!held.area.prompt && said.prompt) held.area.prompt = said.prompt;
}

function set_look(name, value) {
  if (value === null || value === undefined) delete held.area.look[name]; else held.area.look[name] = value;
  changed(true);
}

function ready(name) { return props.menu.bases.every((one) => one.name !== name || one.ready); }

function all_back() {
  const said = said_by(held.area.defect);
  for (const name of [...ONCE, ...STEERED]) if (!FREE.includes(name)) held.common[name] = copy(said[name] ?? start_of(name));
  held.area = { ...area_of({ defect: held.area.defect }), turn: 0 };
  changed(true);
}

// What a preset of this says: what differs from where everybody starts, and how severe it is.
function preset_fields() {
  const { area, common } = held, found = { defect: entry(area.defect).fields.defect, severity: area.severity };
  for (const name of ["light", "padding_px", "feather_px"]) if (area[name] !== props.start[name]) found[name] = area[name];
  if (Object.keys(area.look).length) found.look = area.look;
  for (const name of props.steers ? ["label"] : ["base", "label"]) if (common[name] !== props.fields[name].start) found[name] = common[name];
  const apart = draws() ? found : (found.diffusion = {});
  for (const name of draws() ? ["strength"] : ["strength", ...DIFFUSED]) if (common[name] !== props.fields[name].start) apart[name] = common[name];
  if (!draws() && area.prompt) apart.prompt = area.prompt;
  if (props.steers) found.control = Object.fromEntries(Object.entries(common.steer).filter(([, one]) => one.on && one.scale > 0).map(([kind, one]) => [kind, one.scale]));
  return found;
}

// -- on the page
const pickers = {
  product: new Picker(find(".wh-pick:first-of-type"), words.product, `${props.at}product`, (id) => { held.product = id; choose(product(id).defects[0].id); }),
  defect: new Picker(find(".wh-pick + .wh-pick"), words.defect, `${props.at}defect`, choose),
};
const controls = Object.fromEntries(Object.entries(props.fields).map(([name, field]) => {
  const make = name === "base" ? { ...field, kind: "choice", choices: [] } : field;
  const control = new Control(name, `${props.at}field-${name}`, make, words, (value) => set(name, value));
  if (name === "num_images" || name === "seed") find(".wh-seeds").insertBefore(control.box, find(".wh-dice")); else find(PLACES[name]).append(control.box);
  return [name, control];
}));
const unready = made("p", { className: "wh-why" });
unready.setAttribute("role", "status");
controls.base.box.append(unready);

const adapters = new AdapterList(find(".wh-adapters select"), find(".wh-uses"), words, {
  known: () => props.menu.adapters,
  uses: () => held.common.adapters,
  named: (path) => held.adapter_names?.[path],
  changed: () => changed(false),
  say: (word) => {
    const prompt = held.area.prompt || "";
    if (!prompt.includes(word)) held.area.prompt = prompt ? `${prompt}, ${word}` : word;
    changed(true);
  },
});

function draw() {
  const chosen = entry(held.area.defect), kind = props.menu.kinds[chosen.fields.defect], expected = usual(held.area.defect), said = said_by(held.area.defect);
  const tagged = (one) => ({ ...one, tag: one.own ? words.own.tag : "" });
  held.product = home(held.area.defect);
  pickers.product.show(props.menu.products, held.product);
  pickers.defect.show(product(held.product).defects.map(tagged), held.area.defect);
  find(".wh-about").replaceChildren(kind.help, " ", made("code", {}, chosen.fields.defect));
  find(".wh-own").hidden = !chosen.own;
  bases();
  for (const name of AREA) controls[name].show(held.area[name], expected[name], name in said);
  for (const name of ONCE) controls[name].show(held.common[name], FREE.includes(name) ? held.common[name] : said[name] ?? props.fields[name].start, name in said);
  controls.prompt.input.placeholder = kind.words;
  find(".wh-adapters").hidden = !adapters.show();
  draw_look(chosen, kind);
  root.dataset.mode = held.expert ? "expert" : "simple";
  root.querySelectorAll("[data-mode]").forEach((one) => one.setAttribute("aria-pressed", (one.dataset.mode === "expert") === held.expert));
  root.dataset.draws = draws() ? "1" : "";
  root.dataset.several = props.menu.bases.filter((one) => one.ready).length > 1 ? "1" : "";
  for (const name of DRAWN) controls[name].box.hidden = !draws() && !(props.steers && name === "severity"); // how deep a dent is in the maps
  for (const name of ["prompt", ...DIFFUSED]) controls[name].box.hidden = draws() || (base_of(held.common.base).unsaid || []).includes(name);
  const all = [...Object.values(controls), ...look].filter((one) => one.changed && !one.box.hidden && !(one.box.closest(".wh-drawn") && !draws())), hidden = all.filter((one) => one.box.closest(".wh-expert"));
  find(".wh-all").hidden = !all.length && STEERED.every((name) => FREE.includes(name) || same(held.common[name], root.which.usual(name)));
  find(".wh-hidden").hidden = held.expert || !hidden.length;
  find(".wh-hidden").textContent = words.hidden.replace("%", hidden.map((one) => one.field.label).join(", "));
  find(".wh-broken").replaceChildren(...props.menu.broken.map((sentence) => made("p", { className: "wh-why" }, sentence)));
  root.dataset.ready = "1";
  document.dispatchEvent(new CustomEvent("flawsmith-form"));
}

function draw_look(chosen, kind) {
  if (looked !== chosen.fields.defect + JSON.stringify(kind)) {
    looked = chosen.fields.defect + JSON.stringify(kind);
    look = kind.look.map((one) => new Control(one.name, `${props.at}look-${one.name}`, { ...one, auto: words.auto }, words, (value) => set_look(one.name, value)));
    find(".wh-look").replaceChildren(...look.map((one) => one.box));
  }
  const said = chosen.fields.look || {};
  for (const one of look) {
    const { mild, severe } = one.field, drawn = mild === undefined ? undefined : mild + held.area.severity * (severe - mild);
    one.show(held.area.look[one.name] ?? null, said[one.name] ?? null, one.name in said, drawn);
  }
}

function bases() {
  const { base } = controls, text = (one) => (one.ready ? one.label : words.base_away.replace("%", one.label));
  base.field.choices = props.menu.bases.map((one) => [one.name, one.label]);
  base.input.replaceChildren(...props.menu.bases.map((one) => made("option", { value: one.name }, text(one))));
  const found = props.menu.bases.find((one) => one.name === (refused || held.common.base));
  unready.textContent = found ? found.why : "";
}

root.querySelectorAll(".wh-modes button").forEach((button) => { button.onclick = () => { held.expert = button.dataset.mode === "expert"; changed(false); }; });
find(".wh-hidden").onclick = () => { held.expert = true; changed(false); find(".wh-expert").scrollIntoView({ block: "nearest" }); };
find(".wh-all").onclick = all_back;
find(".wh-dice").onclick = () => set("seed", crypto.getRandomValues(new Uint32Array(1))[0]);
find("[data-own=save]").onclick = () => {
  const here = held.product === every().id ? props.menu.products[0] : product(held.product), others = props.menu.products.slice(0, -1);
  ask_name(words.own.save, "", here.label, others, (label, wanted) => {
    const known = others.find((one) => one.label === wanted);
    const { diffusion = entry(held.area.defect).diffusion, control = entry(held.area.defect).control, ...fields } = preset_fields();
    trigger("preset", { do: "save", product: known ? known.id : wanted, label, fields, diffusion, control });
  });
};
find("[data-own=rename]").onclick = () => ask_name(words.own.rename, entry(held.area.defect).label, null, [], (label) => trigger("preset", { do: "rename", id: held.area.defect, label }));
find("[data-own=delete]").onclick = () => trigger("preset", { do: "delete", id: held.area.defect });

root.which = {
  // What goes with Generate.
  read() { return copy(held); },
  why() { return (props.menu.bases.find((one) => one.name === held.common.base) || {}).why || ""; },
  // For what is chosen elsewhere and asked with the rest: its value, what the preset says of it, the base it is for.
  set(name, value) { held.common[name] = value; changed(false); },
  recipe(name) {
    const before = Object.keys(props.recipes[held.common.recipe]);
    held.common.recipe = name;
    const said = said_by(held.area.defect);
    for (const each of new Set([...before, ...Object.keys(props.recipes[name])])) held.common[each] = copy(said[each] ?? start_of(each));
    changed(false);
  },
  usual(name) { return said_by(held.area.defect)[name] ?? start_of(name); },
  base() { return base_of(held.common.base); },
  // Another area was taken up: what is noted about it is shown.
  pull() {
    if (!canvas() || !held) return;
    held.area = area_of(canvas().active());
    keep();
    draw();
  },
  // What was held in another window, another project, or by a finished picture. A `form` without an area or a prompt leaves the canvas alone.
  put(form) {
    if (!form || !form.common || sent.has(form.at) || form.at === held.at) return;
    const { product: wanted = held.product, expert = held.expert, restored = null, adapter_names = {} } = form;
    if (form.chosen) as_said(said_by(form.chosen));
    const common = { ...held.common, ...form.common };
    if (props.steers && base_of(common.base).name !== common.base) common.base = held.common.base;
    held = { ...held, adapter_names, product: product(wanted) ? wanted : held.product, expert, restored, common, at: form.at };
    if (form.area) held.area = area_of(form.area);
    if (form.prompt) held.area.prompt = form.prompt;
    if ((form.area || form.prompt) && canvas()) canvas().assign(copy(held.area));
    keep();
    draw();
  },
};

// A card that is steered begins with a base that is here, and with the maps that its first preset asks for.
function settle() {
  const [first] = props.menu.bases;
  if (props.steers && !touched && first.ready && !ready_now(held.common.base)) { held.common.base = first.name; keep(); }
}

function ready_now(name) { return props.menu.bases.some((one) => one.name === name && one.ready); }

function recall() {
  const kept = JSON.parse(sessionStorage.getItem(MEMORY) || "null"), found = { ...fresh(), ...(kept || {}) };
  root.dataset.fresh = kept ? "" : "1";
  found.common = { ...fresh().common, ...found.common };
  held = found;
  held.area = area_of(found.area || { defect: props.first.defect });
  if (props.steers && !kept) as_said(said_by(held.area.defect));
  const waiting = () => { if (canvas()) { if (kept && root.dataset.offered && !canvas().active().title) canvas().assign(copy(held.area)); root.which.pull(); } else requestAnimationFrame(waiting); };
  draw();
  props.value = copy(held);
  waiting();
}

watch(["menu", "undo", "put"], () => {
  const { undo, put } = props;
  if (undo && undo.at !== watch.undone) {
    watch.undone = undo.at;
    tell_preset(undo);
    if (entry(undo.chosen)) { held.area.defect = undo.chosen; held.area.title = entry(undo.chosen).label; changed(true); }
  }
  const before = root.dataset.offered;
  root.dataset.offered = "1";
  if (!before && !touched) recall(); else held.area = area_of(held.area);
  settle();
  if (put && put.nonce !== watch.put) {
    watch.put = put.nonce;
    if (!put.memory || root.dataset.fresh) root.which.put(put.form);
  }
  draw();
});
recall();
