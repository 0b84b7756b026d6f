// Adapters laid over the base, each with how much of it, and finished trainings that bring base, adapter and words. Shares the names
// of make.js.

const MOST_USES = 8;
let uses_drawn = "";

function draw_adapters() {
  const { adapters } = held.fields, known = props.menu.adapters, select = find("#make-adapter");
  find(".mk-adapters").hidden = !known.length && !adapters.length;
  const left = known.filter((one) => !adapters.some((use) => use.path === one.id));
  select.replaceChildren(made("option", { value: "" }, words.add_adapter), ...left.map((one) => made("option", { value: one.id }, one.family ? `${one.label} (${one.family})` : one.label)));
  select.hidden = !left.length || adapters.length >= MOST_USES;
  const key = JSON.stringify([adapters.map((use) => use.path), known.map((one) => [one.id, one.label])]);
  if (uses_drawn === key) { adapters.forEach((use, place) => show_weight(find(".mk-uses").children[place], use.weight)); return; }
  uses_drawn = key;
  find(".mk-uses").replaceChildren(...adapters.map((use, place) => line(use, place)));
}

function name_of(path) { return props.menu.adapters.find((one) => one.id === path)?.label || held.shown.adapters?.[path] || path; }

function line(use, place) {
  const label = name_of(use.path), entry = props.menu.adapters.find((one) => one.id === use.path);
  const range = made("input", { type: "range", min: -1, max: 2, step: 0.05, ariaLabel: `${label}: ${words.weight}` });
  const number = made("input", { type: "number", min: -2, max: 2, step: "any", ariaLabel: `${label}: ${words.weight}` });
  const remove = made("button", { type: "button", title: words.remove, ariaLabel: `${label}: ${words.remove}`, onclick: () => { held.fields.adapters.splice(place, 1); changed(); } }, "×");
  const weigh = (value) => { held.fields.adapters[place].weight = Math.min(2, Math.max(-2, value)); changed(); };
  range.oninput = () => weigh(Number(range.value));
  number.onchange = () => { if (number.value !== "" && Number.isFinite(Number(number.value))) weigh(Number(number.value)); else changed(); };
  const box = made("div", { className: "mk-use" }, made("div", {}, made("strong", { title: label }, label), remove), made("div", {}, range, number));
  const word = entry?.triggers[0];
  if (word) box.append(made("button", { type: "button", className: "wh-link", onclick: () => say_word(word) }, words.trigger.replace("%", word)));
  show_weight(box, use.weight);
  return box;
}

function show_weight(box, weight) {
  const [range, number] = box.querySelectorAll("input");
  range.value = weight;
  if (document.activeElement !== number || Number(number.value) !== weight) number.value = shown_number(weight);
}

function say_word(word) {
  const { prompt } = held.fields;
  if (!prompt.includes(word)) held.fields.prompt = prompt ? `${prompt}, ${word}` : word;
  changed();
}

root.querySelector("#make-adapter").onchange = (event) => {
  if (event.target.value) held.fields.adapters.push({ path: event.target.value, weight: 1 });
  changed();
};

// -- finished trainings
function draw_trainings() {
  const { trainings } = props.menu, select = find("#make-training"), options = [made("option", { value: "" }, words.no_training)];
  find(".mk-training").hidden = !trainings.length;
  trainings.forEach((one, place) => {
    for (const kind of ["defect", "normal"]) if (one[kind]) options.push(made("option", { value: `${place} ${kind}` }, `${one.label}: ${words[`of_${kind}`]}`));
    if (!one.defect && !one.normal) options.push(made("option", { value: `${place} none` }, one.label));
  });
  const key = JSON.stringify(trainings);
  if (select.dataset.of !== key) { select.dataset.of = key; select.replaceChildren(...options); }
}

// Its base, its adapter and its words, there to be looked at and changed.
root.querySelector("#make-training").onchange = (event) => {
  const [place, kind] = event.target.value.split(" "), one = props.menu.trainings[Number(place)];
  event.target.value = "";
  if (!kind || !one) return;
  const known = bases().find((base) => base.name === one.base);
  if (known && !able(known)) { trigger("refuse", { sentence: words.training_away.replace("%", known.label) }); return; }
  if (known) held.fields.base = known.name;
  held.fields.adapters = [{ path: one.id, weight: 1 }];
  held.shown.adapters = { ...(held.shown.adapters || {}), [one.id]: one.label };
  if (one[kind]) Object.assign(held.fields, { prompt: one[kind], prompts: [] });
  changed();
};
