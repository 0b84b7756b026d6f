// The adapters of Generate, and finished trainings that bring base, adapter and words. Shares the names of make.js; AdapterList comes
// from adapter_list.js.

const list = new AdapterList(root.querySelector("#make-adapter"), root.querySelector(".mk-uses"), props.words, {
  known: () => props.menu.adapters,
  uses: () => held.fields.adapters,
  named: (path) => held.shown.adapters?.[path],
  changed: () => changed(),
  say: (word) => {
    const { prompt } = held.fields;
    if (!prompt.includes(word)) held.fields.prompt = prompt ? `${prompt}, ${word}` : word;
    changed();
  },
});

function draw_adapters() { find(".mk-adapters").hidden = !list.show(); }

// -- finished trainings
function draw_trainings() {
  const { trainings } = props.menu, select = find("#make-training"), options = [made("option", { value: "" }, words.no_training)];
  find(".mk-training").hidden = !trainings.length && !pairs();
  trainings.forEach((one, place) => {
    for (const kind of ["defect", "normal"]) if (one[kind]) options.push(made("option", { value: `${place} ${kind}` }, `${one.label}: ${words[`of_${kind}`]}`));
    if (one.pairs) options.push(made("option", { value: `${place} pairs` }, `${one.label}: ${words.of_pairs}`));
    else if (!one.defect && !one.normal) options.push(made("option", { value: `${place} none` }, one.label));
  });
  const key = JSON.stringify(trainings);
  if (select.dataset.of !== key) { select.dataset.of = key; select.replaceChildren(...options); }
}

// Its base, its adapter and its words, there to be looked at and changed.
root.querySelector("#make-training").onchange = (event) => {
  const [place, kind] = event.target.value.split(" "), one = props.menu.trainings[Number(place)];
  event.target.value = "";
  if (!kind || !one) return;
  if (one.pairs) { take_pairs(one); changed(); return; }
  const known = bases().find((base) => base.name === one.base);
  if (known && !able(known)) { trigger("refuse", { sentence: words.training_away.replace("%", known.label) }); return; }
  if (known) held.fields.base = known.name;
  held.fields.adapters = [{ path: one.id, weight: 1 }];
  held.shown.adapters = { ...(held.shown.adapters || {}), [one.id]: one.label };
  if (one[kind]) Object.assign(held.fields, { prompt: one[kind], prompts: [] });
  changed();
};

// What a training of pairs learned makes them; everything but size, seed, number and steps comes with it.
function take_pairs({ id, label }) {
  held.fields.model = id;
  held.shown.pairs = label;
}
