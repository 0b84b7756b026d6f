// The form of Train: pictures to learn from, what to learn, a base, a preset, and under Expert the rest of the request. What is chosen
// outlives a refresh and goes to the server with Train alone. element, props, trigger and watch come from gr.HTML; Control and made from
// which_controls.js, the data and the look through it from the files beside this.

const find = (selector) => root.querySelector(selector), words = props.words;
const MEMORY = "flawsmith-train", AGAIN_MS = 500, ESTIMATE_MS = 700;
const PRESETS = ["fast", "balanced", "published"];
const EITHER = { max_train_steps: "num_train_epochs", num_train_epochs: "max_train_steps" };
let pressed = 0, heard = "", estimate = null, shown_at = -AGAIN_MS, held = recalled();

const bases = () => props.menu.bases;
const base_of = () => bases().find((one) => one.name === held.base);
const recipe = () => props.recipes.find((one) => one.id === held.recipe) || props.recipes[0];
const said = () => recipe().presets[held.preset] || {};
const own = () => (held.changed[recipe().id] ||= {});
const usual = (name) => said()[name] ?? props.fields[name].starts[recipe().task] ?? null;
const value_of = (name) => (name in own() ? own()[name] : usual(name));
const refuse = (problem) => trigger("refuse", { sentence: problem.message });

function fresh() {
  return { expert: false, ...props.first, base: "", data: "", data_label: "", defects: {}, changed: {}, checks: {}, choices: {}, settled: {} };
}

// A function, not a const above: it is called before this line is reached.
function recalled() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem("flawsmith-train") || "null"); } catch { /* damaged: as if there were none */ }
  return { ...fresh(), ...(kept || {}) };
}

// What the server takes of it; what only the page needs stays here.
function keep() {
  const { recipe: id, preset, base, data } = held, chosen = Object.fromEntries(faults().filter((one) => one.choices.length).map((one) => [one.kind, choice_of(one)]));
  props.value = JSON.parse(JSON.stringify({ recipe: id, preset, base, data, changed: held.changed, defect: defect(), classes: classes().map(([name]) => name), faults: chosen }));
  try { localStorage.setItem(MEMORY, JSON.stringify(held)); } catch { /* a browser that keeps nothing loses it at a refresh */ }
}

function changed() { keep(); draw(); }

function set(name, value) {
  const mine = own();
  if (JSON.stringify(value ?? null) === JSON.stringify(usual(name))) delete mine[name]; else mine[name] = value;
  const other = EITHER[name];
  if (other && value !== null && value_of(other) !== null) mine[other] = null; // both say how long it is
  changed();
}

// -- the defect
function defect() {
  if (!recipe().defect) return "";
  const kept = held.defects[held.data], known = classes();
  if (!known.length) return kept === props.every_type ? "" : kept || "";
  if (kept === props.every_type && known.length > 1) return kept;
  return known.some(([name]) => name === kept) ? kept : known[0][0];
}

function count() { return defect() === props.every_type ? classes().length : 1; }

// -- what to begin from
function stage_one() { return props.menu.starts.find((one) => one.run && one.stage === 1 && one.base === held.base && one.data === held.data); }
function start() { return own().resume_from || ""; }

function named(one) {
  if (!one.run) return one.label;
  const when = one.id.replace(/^(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d).*$/, "$1-$2-$3 $4:$5");
  return [one.defect || (one.stage === 1 ? words.good_parts : words.a_training), one.base, when].join(" · ");
}

// What keeps Train from its work; "" for nothing.
function lacking() {
  const base = base_of();
  if (!base || !base.ready) return words.no_base;
  if (!held.data) return words.lacks_data;
  if (check && !OVER.includes(check.state)) return words.lacks_check;
  if (recipe().defect && !defect()) return words.lacks_defect;
  if (recipe().stage === 2 && !start() && !stage_one()) return words.lacks_stage_one;
  if (!settled()) return words.lacks_choices;
  return "";
}

// -- on the page
const controls = {};
for (const group of props.groups) {
  const fold = made("details", { className: "tr-group" }, made("summary", {}, made("span", {}, group.label), made("small", {})), made("div", {}));
  for (const name of group.fields) {
    controls[name] = new Control(name, `train-${name}`, props.fields[name], words, (value) => set(name, value));
    fold.lastChild.append(controls[name].box);
  }
  find(".tr-groups").append(fold);
}
for (const one of props.recipes) {
  const input = made("input", { type: "radio", name: "train-recipe", value: one.id });
  input.onchange = () => { held.recipe = one.id; changed(); };
  find(".tr-recipes").append(made("label", {}, input, made("span", {}, made("b", {}, words.recipes[one.id]), made("small", {}, words.recipes[`${one.id}_help`]))));
}
for (const name of PRESETS) {
  const button = made("button", { type: "button", title: words.presets[`${name}_help`] }, words.presets[name]);
  button.dataset.preset = name;
  button.onclick = () => { held.preset = name; changed(); };
  find(".tr-presets").append(button);
}

function draw() {
  const some = bases().some((one) => one.ready), { task } = recipe();
  root.dataset.state = !props.menu.at ? "waiting" : some ? "ready" : "none";
  find(".mk-none").hidden = some || !props.menu.at;
  find(".mk-all").hidden = !some;
  if (!some) return;
  root.dataset.mode = held.expert ? "expert" : "simple";
  root.querySelectorAll(".wh-modes button").forEach((one) => one.setAttribute("aria-pressed", (one.dataset.mode === "expert") === held.expert));
  draw_data();
  draw_check();
  root.querySelectorAll(".tr-recipes input").forEach((one) => { one.checked = one.value === held.recipe; });
  draw_defect();
  find("#train-base").replaceChildren(...bases().map((one) => made("option", { value: one.name, disabled: !one.ready }, one.ready ? one.label : fill(words.base_away, { label: one.label }))));
  find("#train-base").value = held.base;
  draw_start();
  root.querySelectorAll("[data-preset]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.preset === held.preset));
  draw_short();
  for (const [name, control] of Object.entries(controls)) {
    control.box.hidden = !(task in props.fields[name].starts);
    control.show(value_of(name), usual(name), name in said());
  }
  root.querySelectorAll(".tr-group").forEach((fold, at) => {
    const fields = props.groups[at].fields.map((name) => controls[name]).filter((one) => !one.box.hidden), apart = fields.filter((one) => one.changed).length;
    fold.hidden = !fields.length;
    fold.querySelector("summary small").textContent = apart ? fill(words.n_changed, { n: apart }) : "";
  });
  const apart = Object.values(controls).filter((one) => one.changed && !one.box.hidden);
  find("[data-act=back]").hidden = !apart.length;
  find(".wh-hidden").hidden = held.expert || !apart.length;
  find(".wh-hidden").textContent = words.hidden.replace("%", apart.map((one) => one.field.label).join(", "));
  draw_go();
}

function draw_defect() {
  const known = classes(), select = find("#train-defect"), free = find("#train-defect-own");
  find(".tr-defect").hidden = !recipe().defect;
  select.hidden = !known.length;
  free.hidden = known.length > 0;
  find(".tr-defect label").htmlFor = known.length ? "train-defect" : "train-defect-own";
  const options = known.map(([name, n]) => made("option", { value: name }, fill(words.with_count, { label: name, n: whole(n) })));
  if (known.length > 1) options.push(made("option", { value: props.every_type }, fill(words.every_defect, { n: known.length })));
  select.replaceChildren(...options);
  select.value = defect();
  if (document.activeElement !== free) free.value = defect();
}

function draw_start() {
  const lays = recipe().task === "train-lora", second = recipe().stage === 2, first = stage_one(), select = find("#train-start");
  const fit = props.menu.starts.filter((one) => Boolean(one.pairs) === (recipe().task === "train-dual") && (!one.base || one.base === held.base || one.id === start()));
  const none = second ? (first ? fill(words.start_stage_one, { what: named(first) }) : words.start_no_stage_one) : words.start_base;
  const options = fit.map((one) => made("option", { value: one.id }, named(one)));
  if (start() && !fit.some((one) => one.id === start())) options.push(made("option", { value: start() }, fill(words.start_weights, { run: start().split("/")[0] })));
  select.replaceChildren(made("option", { value: "" }, none), ...options);
  select.value = start();
  find(".tr-start").hidden = !(second || (recipe().task !== "train-inversion" && (held.expert || start())));
  find("#train-start-why").textContent = second && !first && !start() ? words.lacks_stage_one : "";
  const word = find("#train-word");
  find(".tr-word").hidden = !lays || !props.menu.words.length;
  word.replaceChildren(made("option", { value: "" }, words.no_inversion), ...props.menu.words.map((one) => made("option", { value: one.id }, one.label)));
  word.value = own().inversion || "";
  find("#train-class").parentElement.hidden = recipe().task === "train-dual"; // pairs know nothing of the ordinary kind
  find("#train-class").replaceChildren(...menu_of_data(words.no_class_data, own().class_data, own().class_data));
  find("#train-class").value = own().class_data || "";
}

function draw_short() {
  const steps = value_of("max_train_steps"), epochs = value_of("num_train_epochs");
  const long = steps === null ? fill(words.short_epochs, { n: whole(epochs ?? 1) }) : fill(recipe().stage === 2 ? words.short_more : words.short_steps, { n: whole(steps) });
  const parts = [long, fill(words.short_batch, { n: whole(value_of("train_batch_size")) }), fill(words.short_rate, { rate: shown_number(value_of("learning_rate")) })];
  find(".tr-short").textContent = `${words.presets[`${held.preset}_help`]} ${parts.join(" · ")}`;
}

function draw_go() {
  const why = lacking(), n = count(), button = find("#train"), told = find(".tr-estimate p"), asks = find("[data-act=estimate]"), now = JSON.stringify(props.value);
  button.firstElementChild.textContent = n > 1 ? fill(words.train_many, { n: whole(n) }) : words.train;
  button.classList.toggle("lacking", Boolean(why));
  button.title = `${why || button.firstElementChild.textContent} (Ctrl+Enter)`;
  find("#train small").textContent = why;
  if (estimate && estimate.of !== now) estimate = null;
  asks.disabled = Boolean(why) || Boolean(estimate?.busy);
  told.textContent = !estimate ? words.estimate_how : estimate.busy ? words.estimating : estimate.sentence;
  told.classList.toggle("known", Boolean(estimate && !estimate.busy));
}

// -- what a person does
const acts = {
  models: () => trigger("models"),
  folders,
  back: () => { const { resume_from, inversion, class_data } = own(); held.changed[recipe().id] = Object.fromEntries(Object.entries({ resume_from, inversion, class_data }).filter(([, value]) => value)); changed(); },
  estimate: () => { estimate = { of: JSON.stringify(props.value), busy: true }; draw_go(); keep(); trigger("estimate"); },
};
root.addEventListener("click", (event) => { const button = event.target.closest("[data-act]"); if (button) acts[button.dataset.act](); });
root.querySelectorAll(".wh-modes button").forEach((button) => { button.onclick = () => { held.expert = button.dataset.mode === "expert"; changed(); }; });
find(".wh-hidden").onclick = () => {
  held.expert = true;
  changed();
  root.querySelectorAll(".tr-group").forEach((fold) => { fold.open ||= Boolean(fold.querySelector("summary small").textContent); });
  find(".wh-expert").scrollIntoView({ block: "nearest" });
};
find("#train-defect").onchange = (event) => { held.defects[held.data] = event.target.value; changed(); };
find("#train-defect-own").oninput = (event) => { held.defects[held.data] = event.target.value.trim(); keep(); draw_go(); };
find("#train-base").onchange = (event) => { held.base = event.target.value; changed(); };
for (const [id, name] of [["start", "resume_from"], ["word", "inversion"], ["class", "class_data"]]) find(`#train-${id}`).onchange = (event) => { if (event.target.value) own()[name] = event.target.value; else delete own()[name]; changed(); };

find("#train").onclick = () => {
  if (performance.now() - pressed < AGAIN_MS) return;
  pressed = performance.now();
  keep();
  if (!lacking()) trigger("train");
  else if (!settled()) find(".tr-check").scrollIntoView({ block: "nearest" });
};
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !root.offsetParent || find(".mk-all").hidden || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  document.activeElement?.blur?.(); // what is being typed counts
  find("#train").click();
}, true);

// The view at the left says: begin a new training with these weights.
document.addEventListener("flawsmith-train-from", (event) => {
  const { from, task, stage, defect: kind, base, data, data_label } = event.detail;
  if (!root.isConnected) return;
  const same = props.recipes.find((one) => one.task === task && one.stage === stage) || recipe();
  Object.assign(held, { recipe: same.id, base, data: data || held.data, data_label: data ? data_label : held.data_label });
  if (kind) held.defects[held.data] = kind;
  own().resume_from = from;
  changed();
  look_through();
  find(".tr-start").scrollIntoView({ block: "nearest" });
  find("#train-start").focus();
});

// A few real steps; how they went stands in the run's folder.
async function measured(id) {
  const of = estimate?.of ?? JSON.stringify(props.value);
  try {
    let row = null;
    do { row = await asked("GET", `/api/runs/${id}`); if (!OVER.includes(row.state)) await pause(ESTIMATE_MS); } while (!OVER.includes(row.state) && root.isConnected);
    if (row.state !== "done") throw new Error(row.sentence || words.estimate_stopped);
    const took = await asked("GET", `/files/${id}/result.json`);
    estimate = { of, sentence: fill(words.estimated, { time: span_of(took.seconds * count()), memory: gib(took.memory_bytes), device: took.device, step: took.seconds_a_step.toLocaleString(props.language, { maximumSignificantDigits: 2 }) }) };
  } catch (problem) { estimate = null; refuse(problem); }
  draw_go();
}

function settle() {
  const found = base_of(), ready = bases().filter((one) => one.ready);
  if ((!found || !found.ready) && ready.length) held.base = ready[0].name;
  if (!props.recipes.some((one) => one.id === held.recipe)) held.recipe = props.first.recipe;
}

watch(["menu", "told"], () => {
  const { told } = props;
  if (told?.at && told.at !== heard) {
    heard = told.at;
    if (told.queued) document.dispatchEvent(new CustomEvent("flawsmith-training", { detail: told.queued }));
    if (told.estimate) measured(told.estimate); else if ("estimate" in told) estimate = null; // it was refused
  }
  if (!props.menu.at) return;
  settle();
  changed();
});

keep();
new IntersectionObserver((seen) => {
  if (!seen.some((one) => one.isIntersecting) || performance.now() - shown_at < AGAIN_MS) return;
  shown_at = performance.now();
  trigger("arrive");
  load_sets().then(() => { if (held.data && !found_by_check()) look_through(); });
}).observe(root);
