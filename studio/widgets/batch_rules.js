// What is kept and what differs, what keeps the plan from being carried out, and how long it would take. Shares the names of
// batch_open.js and batch_plan.js.

// -- keep only if
function draw_gates() {
  const box = find(".bt-gates > div"), key = JSON.stringify([held.gates, menu.no_clip]);
  find(".bt-gates small").textContent = Object.keys(props.gates).filter((name) => held.gates[name] !== null).map((name) => words.gate_asks[name]).join(", ") || words.gate_none;
  if (box.dataset.of === key) return;
  box.dataset.of = key;
  const had = document.activeElement?.dataset?.gate;
  box.replaceChildren(...Object.entries(props.gates).map(([name, { low, high, start }]) => {
    const on = held.gates[name] !== null, lacks = name === "clip" ? menu.no_clip : "", tick = made("input", { type: "checkbox", checked: on && !lacks, disabled: Boolean(lacks) });
    tick.dataset.gate = name;
    tick.onchange = () => { held.gates[name] = tick.checked ? start : null; changed(); };
    const bound = made("input", { type: "number", step: "any", min: low, max: high, value: on ? held.gates[name] : start, disabled: !on, ariaLabel: words.gate[name] });
    bound.onchange = () => { const value = Number(bound.value); held.gates[name] = bound.value !== "" && value >= low && value <= high ? value : start; changed(); };
    return made("div", { className: "bt-gate" }, made("label", { className: "bt-check" }, tick, words.gate[name]), bound, made("p", { className: "bt-note" }, lacks || words.gate_help[name]));
  }));
  if (had) box.querySelector(`[data-gate=${had}]`)?.focus();
}

// -- what differs
function fields_of() {
  const looks = new Map(held.classes.flatMap((one) => menu.looks[one.kind] || []).map(([name, label]) => [`look.${name}`, label]));
  const usual = Object.entries(props.fields).filter(([name]) => (base_of().draws ? !["guidance_scale", "num_inference_steps"].includes(name) : !["severity", "light"].includes(name)));
  return [...usual.map(([name, one]) => [name, one.label]), ...(base_of().draws ? looks : [])];
}

function draw_vary() {
  const list = find(".bt-vary ul"), known = fields_of(), key = JSON.stringify([held.vary, known]), said = held.vary.map((one) => known.find(([name]) => name === one.field)?.[1]).filter(Boolean);
  find(".bt-vary small").textContent = said.join(", ") || words.differs_none;
  if (list.dataset.of === key) return;
  list.dataset.of = key;
  list.replaceChildren(...held.vary.map((one, at) => {
    const select = made("select", { ariaLabel: words.field }, made("option", { value: "" }, words.field), ...known.map(([name, label]) => made("option", { value: name }, `${label} (${name})`)));
    select.value = one.field;
    select.onchange = () => { one.field = select.value; changed(); };
    const entry = (name, placeholder) => { const input = made("input", { type: "text", value: one[name] ?? "", placeholder, ariaLabel: placeholder, maxLength: 400 }); input.onchange = () => { one[name] = input.value.trim(); changed(); }; return input; };
    const gone = made("button", { type: "button", ariaLabel: words.remove, title: words.remove, onclick: () => { held.vary.splice(at, 1); changed(); } }, "×");
    return made("li", {}, made("div", { className: "bt-row" }, select, gone), made("div", { className: "bt-row bt-range" }, entry("low", words.values_or_low), made("i", {}, "–"), entry("high", words.high)));
  }));
}

// -- what is missing; "" for nothing
function lacking() {
  const [least, most] = held.instances, [small, large] = held.size, placed = !mine(), base = base_of();
  if (!on_picture() && !sources) return project?.count ? words.lacks_sources : words.lacks_project;
  if (!base.ready) return words.lacks_base;
  if (!held.classes.length) return words.lacks_class;
  if (by_severity() && held.classes.some((one) => one.low > one.high)) return words.lacks_severity;
  if (((placed && held.where === "as real") || held.gates.texture !== null) && !held.real) return words.lacks_real;
  if (placed && least > most) return words.lacks_instances;
  if (placed && ((small === null) !== (large === null) || (small !== null && (small > large || small <= 0 || large > 100)))) return words.lacks_size;
  const wrong = held.vary.find((one) => (one.field || one.low) && (!one.field || !one.low || (one.high && !(Number(one.low) <= Number(one.high)))));
  if (wrong) return words.lacks_vary;
  return "";
}

// -- how long, and how much room
function draw_estimate() {
  const known = held.measured, box = find(".bt-estimate");
  if (!known) { box.textContent = words.no_estimate; return; }
  const seconds = known.seconds * held.count;
  box.textContent = fill(words.estimate, { n: whole(held.count), time: span_of(seconds), size: bytes(known.bytes * held.count) });
}

function bytes(count) {
  const unit = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([least]) => count >= least) || [1e3, "kB"], value = count / unit[0];
  return `${value.toLocaleString(props.language, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit[1]}`;
}

function draw_plan() {
  if (!menu) return;
  if (!held.classes) { const first = choice_of(menu.first) || choices()[0]; held.classes = [{ choice: first.id, kind: first.kind, share: 1, low: 0.3, high: 0.9 }]; }
  draw_from();
  draw_sources();
  draw_bases();
  draw_classes();
  draw_where();
  draw_gates();
  draw_vary();
  draw_estimate();
  for (const name of ["count", "tries", "seed"]) if (document.activeElement !== find(`#batch-${name}`)) find(`#batch-${name}`).value = held[name];
  const why = lacking(), button = find("#batch-make"), busy = performance.now() - pressed < AGAIN_MS;
  button.querySelector("span").textContent = counted("make", held.count);
  if (button.querySelector("small").textContent !== why) button.querySelector("small").textContent = why;
  button.classList.toggle("lacking", Boolean(why) || busy);
  find("#batch-preview").disabled = Boolean(why);
  root.dataset.ready = "1";
  root.dataset.lacking = why ? "1" : "";
}

for (const [name, least, most] of [["count", 1, 1e6], ["tries", 1, 100], ["seed", 0, 2 ** 32 - 1]]) {
  find(`#batch-${name}`).onchange = (event) => { const value = Math.round(Number(event.target.value)); held[name] = event.target.value !== "" && Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : held[name]; event.target.value = held[name]; changed(); };
}
