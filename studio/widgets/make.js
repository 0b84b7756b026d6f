// The form of Generate: a base, words, a picture to start from, and under Expert the rest of the request. What is chosen outlives a
// refresh and goes to the server with Generate alone. element, props, trigger and watch come from gr.HTML; Control and made from
// which_controls.js, the picture and the adapters from the files beside this.

const find = (selector) => root.querySelector(selector), words = props.words;
const MEMORY = "flawsmith-make", AGAIN_MS = 500;
const FREE = ["base", "num_images", "seed"], SEEN = ["base", "negative_preset", "strength", "width", "height", "num_images", "seed"];
const PLACES = { base: ".mk-base", negative_preset: ".mk-negatives", strength: ".mk-strength", width: ".mk-size", height: ".mk-size", num_images: ".wh-seeds", seed: ".wh-seeds" };
const DEFAULTS = ["num_inference_steps", "guidance_scale", "guidance_rescale", "scheduler"];
const MODES = ["text", "image", "edit"];
let held = null, pressed = 0, heard = "";

const bases = () => props.menu.bases;
const able = (base) => base.ready && base.tasks.some((task) => MODES.includes(task));
const base_of = () => bases().find((one) => one.name === held.fields.base);
const ready = () => bases().filter(able);

function fresh() {
  const fields = Object.fromEntries(Object.entries(props.fields).map(([name, field]) => [name, field.start]));
  return { expert: false, fields: { ...fields, prompt: "", prompts: [], negative_prompt: "", prefix: "", image: null, images: [], adapters: [], model: "" }, shown: {} };
}

function keep() {
  props.value = JSON.parse(JSON.stringify(held));
  try { localStorage.setItem(MEMORY, JSON.stringify(held)); } catch { /* a browser that keeps nothing loses it at a refresh */ }
}

function changed() { keep(); draw(); }

function set(name, value) {
  held.fields[name] = value;
  changed();
}

// Pairs of part and mask come from a training of such, which brings base and words.
const pairs = () => Boolean(held.fields.model);

// What is done: as asked, else by what is given.
function does() {
  const { mode, image, images } = held.fields;
  if (mode) return mode;
  if (!image && !images.length) return "text";
  return base_of()?.tasks.includes("edit") ? "edit" : "image";
}

// What keeps Generate from its work; "" for nothing.
function lacking() {
  const base = base_of(), { prompt, prompts, image, images } = held.fields;
  if (pairs()) return "";
  if (!base || !able(base)) return words.no_base;
  if (!base.tasks.includes(does())) return words.cannot.replace("%", words[`mode_${does()}`]);
  if (does() !== "text" && !image && !images.length) return words.no_picture;
  if (does() === "text" && (image || images.length)) return words.no_picture_wanted;
  if (does() !== "image" && !prompt.trim() && !prompts.length) return words.no_prompt;
  return "";
}

function count() { return pairs() ? held.fields.num_images : Math.max(1, held.fields.prompts.length) * Math.max(1, held.shown.count || 1) * held.fields.num_images; }

// -- on the page
const controls = Object.fromEntries(Object.entries(props.fields).map(([name, field]) => {
  const control = new Control(name, `make-${name}`, field, words, (value) => set(name, value));
  if (name === "num_images" || name === "seed") find(".wh-seeds").insertBefore(control.box, find("#make-dice")); else find(PLACES[name] || ".wh-look").append(control.box);
  return [name, control];
}));
const away = made("p", { className: "wh-why" });
controls.base.box.append(away);

function draw() {
  const { fields } = held, base = base_of(), task = does(), some = ready().length > 0;
  root.dataset.state = some ? "ready" : "none";
  find(".mk-none").hidden = some;
  find(".mk-all").hidden = !some;
  if (!some) { draw_none(); return; }
  root.dataset.mode = held.expert ? "expert" : "simple";
  root.dataset.pairs = pairs() ? "1" : "";
  root.querySelectorAll(".wh-modes button").forEach((one) => one.setAttribute("aria-pressed", (one.dataset.mode === "expert") === held.expert));
  draw_bases();
  for (const [name, control] of Object.entries(controls)) {
    if (DEFAULTS.includes(name) && base && !pairs()) usual_of(control, base.defaults[name]);
    control.box.hidden = pairs() && !props.paired.includes(name);
    control.show(fields[name], FREE.includes(name) ? fields[name] : props.fields[name].start, false);
  }
  for (const name of ["width", "height"]) controls[name].input.placeholder = task === "text" && base?.resolution && !pairs() ? `${base.resolution}` : props.fields[name].auto;
  if (task !== "image") controls.strength.box.hidden = true;
  for (const [id, name] of [["prompt", "prompt"], ["negative", "negative_prompt"], ["prefix", "prefix"]]) write(find(`#make-${id}`), fields[name]);
  find("#make-prompt").hidden = fields.prompts.length > 0;
  find("#make-prompts").hidden = !fields.prompts.length;
  find("#make-prompts span").textContent = words.prompts.replace("%1", fields.prompts.length.toLocaleString(props.language)).replace("%2", () => held.shown.prompts || "");
  draw_picture();
  draw_adapters();
  draw_trainings();
  find("#make-pairs").hidden = find(".mk-how").hidden = !pairs();
  find("#make-pairs span").textContent = held.shown.pairs || held.fields.model;
  const apart = Object.values(controls).filter((one) => one.changed && !one.box.hidden), hidden = apart.filter((one) => one.box.closest(".wh-expert")).map((one) => one.field.label);
  if (fields.prefix) hidden.unshift(words.prefix);
  find("[data-act=back]").hidden = !apart.length && !fields.prefix;
  find(".wh-hidden").hidden = held.expert || !hidden.length;
  find(".wh-hidden").textContent = words.hidden.replace("%", hidden.join(", "));
  draw_go();
}

function write(box, text) { if (box.value !== text && document.activeElement !== box) box.value = text; }

function draw_bases() {
  const { base } = controls, fit = bases().filter((one) => one.tasks.some((task) => MODES.includes(task)));
  base.field.choices = fit.map((one) => [one.name, one.label]);
  base.input.replaceChildren(...fit.map((one) => made("option", { value: one.name, disabled: !one.ready }, one.ready ? one.label : words.away.replace("%", one.label))));
  const missing = fit.filter((one) => !one.ready).length;
  away.replaceChildren();
  if (missing) away.append(made("button", { type: "button", className: "wh-link", onclick: () => trigger("models") }, words.more_bases.replace("%", missing)));
}

function draw_none() {
  const fit = bases().filter((one) => one.tasks.some((task) => MODES.includes(task)));
  find(".mk-none ul").replaceChildren(...fit.map((one) => made("li", {}, `${one.label}: ${one.text}`)));
}

// What emptiness means for this base, in the field itself.
function usual_of(control, value) {
  if (value === undefined || value === null) return;
  const text = control.field.kind === "choice" ? `${props.fields[control.name].auto}: ${control.written(value)}` : shown_number(value);
  if (control.field.kind === "choice") control.input.options[0].textContent = text; else control.input.placeholder = text;
}

function draw_go() {
  const { busy = false, failed = "" } = props.told || {}, button = find("#make"), why = busy ? "" : lacking(), many = count();
  button.firstElementChild.textContent = busy ? words.making : many === 1 ? words.make_one : words.make_many.replace("%", many.toLocaleString(props.language));
  button.disabled = busy;
  button.classList.toggle("lacking", Boolean(why));
  button.title = `${why || button.firstElementChild.textContent} (Ctrl+Enter)`;
  find("#make small").textContent = why;
  find(".mk-failed").hidden = !failed || busy;
  find(".mk-failed").textContent = failed;
}

// -- what a person does
const acts = {
  models: () => trigger("models"),
  file: () => find("#make-prompt-file").click(),
  open: () => find("#make-file").click(),
  browse: () => browse(),
  "no-prompts": () => { held.fields.prompts = []; delete held.shown.prompts; changed(); find("#make-prompt").focus(); },
  "no-pairs": () => { held.fields.model = ""; delete held.shown.pairs; changed(); find("#make-training").focus(); },
  "no-image": () => { no_picture(); changed(); find("[data-act=open]").focus(); },
  back: () => { const usual = fresh().fields; for (const name of [...Object.keys(props.fields), "prefix"]) if (!FREE.includes(name)) held.fields[name] = usual[name]; changed(); },
};
root.addEventListener("click", (event) => { const button = event.target.closest("[data-act]"); if (button) acts[button.dataset.act](); });
root.querySelectorAll(".wh-modes button").forEach((button) => { button.onclick = () => { held.expert = button.dataset.mode === "expert"; changed(); }; });
find(".wh-hidden").onclick = () => { held.expert = true; changed(); find(".wh-expert").scrollIntoView({ block: "nearest" }); };
find("#make-dice").onclick = () => set("seed", crypto.getRandomValues(new Uint32Array(1))[0]);
for (const [id, name] of [["prompt", "prompt"], ["negative", "negative_prompt"], ["prefix", "prefix"]]) {
  find(`#make-${id}`).oninput = (event) => { held.fields[name] = event.target.value; keep(); draw_go(); };
  find(`#make-${id}`).onchange = () => changed();
}

// A prompt a line; empty lines and those that begin with # are passed over, as on the command line.
find("#make-prompt-file").onchange = async (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (!file) return;
  const lines = (await file.text()).split(/\r?\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  if (!lines.length) { trigger("refuse", { sentence: words.empty_file.replace("%", file.name) }); return; }
  Object.assign(held.fields, { prompts: lines, prompt: "" });
  held.shown.prompts = file.name;
  changed();
};

find("#make").onclick = () => {
  if (performance.now() - pressed < AGAIN_MS) return;
  pressed = performance.now();
  keep();
  if (!lacking()) trigger("generate"); else if (lacking() === words.no_prompt) find("#make-prompt").focus();
};
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !root.offsetParent || find(".mk-all").hidden || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  document.activeElement?.blur?.(); // what is being typed counts
  if (!find("#make").disabled) find("#make").click();
}, true);

// What was held before, with what this version has beside it; a base that is gone gives way to the first that is ready.
function take_up(kept) {
  const start = fresh();
  held = { ...start, ...kept, fields: { ...start.fields, ...(kept?.fields || {}) }, shown: { ...(kept?.shown || {}) } };
}

function settle() {
  const found = base_of();
  if ((!found || !able(found)) && ready().length) held.fields.base = ready()[0].name;
}

function recall() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(MEMORY) || "null"); } catch { /* damaged: as if there were none */ }
  take_up(kept);
  keep();
}

watch(["menu", "put", "told"], () => {
  const { put } = props;
  if (put && put.at !== heard) {
    heard = put.at;
    if (put.form) take_up({ ...put.form, expert: held.expert }); else if (put.pairs) take_pairs(put.pairs); else if (put.picture) take_picture(put.picture);
  }
  if (!props.menu.at) return;
  settle();
  changed();
});
recall();
// Seen: what can be chosen may have changed meanwhile.
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) trigger("arrive"); }).observe(root);
