// The Adapters tab: a card for each adapter, with what can be done to it. Asks the server while it is seen; texts go in as
// text. element, props, trigger and watch come from gr.HTML, copied from clipboard.js.
const root = element.querySelector(".adp"), find = (selector) => root.querySelector(selector), words = props.words;
const LIST = "/api/adapters", ASK_MS = 400, SEARCHED_FROM = 9, MOST_BYTES = 1e9;
const cards = new Map(); // adapter id -> its card, kept, so that focus and what is being written stay
let adapters = [], bases = [], sampling = null;

function made(tag, name, text = "", more = {}) { return Object.assign(document.createElement(tag), { className: name, textContent: text, ...more }); }
function fill(text, values) { return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole)); }
function size(bytes) { return new Intl.NumberFormat(props.language, { style: "unit", unit: bytes < 1e6 ? "kilobyte" : "megabyte", maximumFractionDigits: 1 }).format(bytes / (bytes < 1e6 ? 1e3 : 1e6)); }
function refuse(problem) { trigger("refuse", { sentence: problem.message }); }

async function asked(method, address, body) {
  const json = body !== undefined && !(body instanceof FormData), headers = json ? { "Content-Type": "application/json" } : {};
  let answer = null;
  try { answer = await fetch(address, { method, headers, body: json ? JSON.stringify(body) : body }); }
  catch (silent) { throw new Error(words.away); }
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error.message);
  return found;
}

// -- a card

function card(id) {
  const part = made("article", "adp-card"), one = { id, part, editing: false, busy: false };
  part.dataset.adapter = id;
  part.innerHTML = '<div class="adp-pictures"></div><h2 tabindex="-1"></h2><p class="adp-tags"></p><div class="adp-words"></div><dl></dl><p class="adp-note"></p><div class="adp-acts"></div><form hidden></form><div class="adp-out"></div><p class="adp-state" role="status"></p><ul class="adp-made" hidden></ul>';
  part.setAttribute("aria-labelledby", (part.querySelector("h2").id = `adp-${id}`));
  one.at = (selector) => part.querySelector(selector);
  const act = (text, does, name = "") => { const button = made("button", name, text, { type: "button" }); button.onclick = () => does(one, button); return button; };
  one.at(".adp-acts").append(act(words.edit, edit, "adp-edit"), act(words.sample, sample), act(words.delete, remove));
  const what = made("select", "adp-what", "", { ariaLabel: words.form }), base = made("select", "adp-base", "", { ariaLabel: words.onto });
  for (const form of ["kohya", "diffusers", "merged"]) what.append(new Option(words[`form_${form}`], form));
  one.at(".adp-out").append(what, base, act(words.export, convert, "adp-export"));
  what.onchange = () => paint(one);
  one.at("form").addEventListener("submit", (event) => { event.preventDefault(); keep(one); });
  one.at("form").addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.isComposing) { event.preventDefault(); close(one); } });
  return one;
}

function paint(one) {
  const adapter = adapters.find((found) => found.id === one.id), { facts } = adapter, label = (text) => `${text}: ${adapter.name}`;
  one.adapter = adapter;
  one.at("h2").textContent = adapter.name;
  one.at(".adp-pictures").replaceChildren(...adapter.pictures.map((picture) => made("img", "", "", { src: picture.thumb, alt: "", loading: "lazy" })));
  one.at(".adp-tags").replaceChildren(...[words[`kind_${facts.kind}`], facts.family].filter(Boolean).map((text) => made("span", "", text)));
  one.at(".adp-words").replaceChildren(...adapter.triggers.map((word) => {
    const button = made("button", "", word, { type: "button", title: words.copy, ariaLabel: `${words.copy}: ${word}` });
    button.onclick = () => copied(button, word, word, words.copied);
    return button;
  }));
  const parts = Object.entries(facts.parts).map(([part, count]) => `${part} ${count.toLocaleString(props.language)}`).join(", ");
  const lines = [[words.base, adapter.base], [words.rank, facts.ranks.join(", ")], [words.modules, parts], [words.size, size(adapter.bytes)], [words.file, adapter.file]];
  one.at("dl").replaceChildren(...lines.filter(([, text]) => text).flatMap(([name, text]) => [made("dt", "", name), made("dd", "", text)]));
  one.at(".adp-note").textContent = adapter.note;
  one.at(".adp-note").hidden = !adapter.note;
  one.at("form").hidden = !one.editing;
  one.at(".adp-acts").hidden = one.editing;
  const [, sampler, remover] = one.at(".adp-acts").children;
  one.at(".adp-edit").ariaLabel = label(words.edit);
  sampler.ariaLabel = label(words.sample);
  remover.ariaLabel = label(words.delete);
  const base = one.at(".adp-base"), chosen = base.value;
  if (base.options.length !== bases.length + 1) base.replaceChildren(new Option(words.no_base, ""), ...bases.map((found) => new Option(found.label, found.name)));
  base.value = bases.some((found) => found.name === chosen) ? chosen : "";
  base.hidden = !bases.length;
  one.at("option[value=merged]").disabled = !bases.length;
  one.at(".adp-export").ariaLabel = label(words.export);
  one.at(".adp-export").disabled = one.busy;
}

function edit(one) {
  const { adapter } = one, form = one.at("form");
  const field = (name, value, tag = "input") => {
    const label = made("label", "", words[name]), box = made(tag, "", "", { name, value, maxLength: { name: 60, note: 1000 }[name] || 800 });
    if (words[`${name}_help`]) label.append(made("small", "", words[`${name}_help`]));
    label.append(box);
    return label;
  };
  const acts = made("div", "adp-acts"), save = made("button", "adp-save", words.save), cancel = made("button", "", words.cancel, { type: "button" });
  cancel.onclick = () => close(one);
  acts.append(save, cancel);
  form.replaceChildren(field("name", adapter.name), field("triggers", adapter.triggers.join(", ")), field("base", adapter.base), field("note", adapter.note, "textarea"), acts);
  one.editing = true;
  paint(one);
  form.elements.name.focus();
}

function close(one) { one.editing = false; paint(one); one.at(".adp-edit").focus(); }

async function keep(one) {
  const { name, triggers, base, note } = one.at("form").elements;
  const change = { name: name.value, triggers: triggers.value.split(/[,、，]/).map((word) => word.trim()).filter(Boolean), base: base.value, note: note.value };
  try { await asked("PATCH", `${LIST}/${one.id}`, change); } catch (problem) { refuse(problem); return; }
  one.editing = false;
  await refresh();
  one.at(".adp-edit").focus();
}

async function remove(one) {
  const { id, name } = one.adapter, place = adapters.findIndex((found) => found.id === id);
  try { await asked("DELETE", `${LIST}/${id}`); } catch (problem) { refuse(problem); return; }
  await refresh();
  find(".adp-gone span").textContent = fill(words.deleted, { name });
  find(".adp-gone").hidden = false;
  const undo = find("[data-act=undo]");
  undo.onclick = async () => {
    try { await asked("POST", `${LIST}/${id}/restore`); } catch (problem) { refuse(problem); return; }
    find(".adp-gone").hidden = true;
    await refresh();
    cards.get(id).at("h2").focus();
  };
  undo.focus();
}

// -- pictures that show what it does

function sample(one) { sampling = one; find("input[name=sample]").click(); }

async function sampled(file) {
  const one = sampling, form = new FormData();
  form.append("file", file, file.name);
  try {
    const { asset } = await asked("POST", "/api/uploads", form);
    await asked("PATCH", `${LIST}/${one.id}`, { samples: [...new Set([asset, ...one.adapter.samples])].slice(0, 8) });
    await refresh();
  } catch (problem) { refuse(problem); }
}

// -- out, in another form

async function convert(one) {
  const what = one.at(".adp-what").value, base = one.at(".adp-base").value, state = one.at(".adp-state");
  one.at(".adp-made").hidden = true;
  one.busy = true;
  paint(one);
  state.textContent = words.converting;
  try {
    const { id } = await asked("POST", "/api/runs", { task: "convert", data: one.id, what, base: base || null });
    let row;
    do {
      await new Promise((done) => { setTimeout(done, ASK_MS); });
      row = await asked("GET", `/api/runs/${id}`);
    } while (!["done", "failed", "cancelled", "quarantined"].includes(row.state) && root.isConnected);
    if (row.state !== "done") throw new Error(row.sentence || words.stopped);
    const result = await asked("GET", `/files/${id}/result.json`);
    state.textContent = words.ready;
    one.at(".adp-made").replaceChildren(...result.files.map((file) => {
      const line = made("li", ""), name = file.name.split("/").slice(1).join("/");
      line.append(made("a", "", `${name} (${size(file.bytes)})`, { href: `/files/${id}/${file.name.split("/").map(encodeURIComponent).join("/")}`, download: name.split("/").pop() }));
      return line;
    }));
    one.at(".adp-made").hidden = false;
  } catch (problem) { state.textContent = ""; refuse(problem); }
  one.busy = false;
  paint(one);
}

// -- in

async function take(files) {
  const refused = [];
  let added = 0, already = 0;
  for (const [place, file] of files.entries()) {
    find(".adp-said").textContent = fill(words.adding, { n: place + 1, of: files.length });
    try {
      if (file.size > MOST_BYTES) throw new Error(fill(words.too_large, { name: file.name }));
      const form = new FormData();
      form.append("file", file, file.name);
      const { asset } = await asked("POST", "/api/uploads/adapter", form), before = adapters.length;
      await asked("POST", LIST, { asset });
      await refresh();
      if (adapters.length > before) added++; else already++;
    } catch (problem) { refused.push(problem.message); }
  }
  const parts = [fill(words.added, { n: added })];
  if (already) parts.push(fill(words.already, { n: already }));
  if (refused.length) parts.push(fill(words.turned_away, { n: refused.length }));
  find(".adp-said").textContent = parts.join(" · ");
  find(".adp-told").hidden = true;
  if (refused.length) trigger("told", { refused });
}

// -- what there is

function show(damaged) {
  const search = find("input[name=search]"), sought = search.value.toLowerCase().split(/\s+/).filter(Boolean), box = find(".adp-cards");
  const seen = adapters.filter((one) => sought.every((word) => [one.name, one.base, one.facts.family, ...one.triggers].join(" ").toLowerCase().includes(word)));
  for (const id of cards.keys()) if (!adapters.some((one) => one.id === id)) cards.delete(id);
  for (const { id } of adapters) { if (!cards.has(id)) cards.set(id, card(id)); paint(cards.get(id)); }
  const wanted = seen.map(({ id }) => cards.get(id).part);
  if (wanted.length !== box.children.length || wanted.some((part, place) => part !== box.children[place])) box.replaceChildren(...wanted);
  search.hidden = adapters.length < SEARCHED_FROM;
  root.dataset.empty = adapters.length ? "" : "1";
  root.dataset.count = adapters.length;
  if (!damaged) return;
  find(".adp-damaged").replaceChildren(...damaged.map((text) => made("p", "", text)));
  find(".adp-damaged").hidden = !damaged.length;
}

async function refresh() {
  if (!root.offsetParent) return;
  try {
    const [found, known] = [await asked("GET", LIST), await asked("GET", "/api/bases")];
    adapters = found.adapters;
    bases = known.filter((base) => base.ready && base.family !== "procedural");
    show(found.damaged);
    root.dataset.ready = "1";
  } catch (problem) { find(".adp-said").textContent = problem.message; }
}

for (const button of root.querySelectorAll("[data-act=add]")) button.onclick = () => find("input[name=files]").click();
find("input[name=files]").onchange = (event) => { take([...event.target.files]); event.target.value = ""; };
find("input[name=sample]").onchange = (event) => { if (event.target.files.length) sampled(event.target.files[0]); event.target.value = ""; };
find("input[name=search]").oninput = () => show();
root.addEventListener("dragover", (event) => { event.preventDefault(); root.dataset.drop = "1"; });
root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.dataset.drop = ""; });
root.addEventListener("drop", (event) => { event.preventDefault(); root.dataset.drop = ""; take([...event.dataTransfer.files]); });
watch("value", () => {
  const told = (props.value || {}).told || [];
  find(".adp-told").replaceChildren(...told.map((text) => made("p", "", text)));
  find(".adp-told").hidden = !told.length;
});
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) refresh(); }).observe(root);
