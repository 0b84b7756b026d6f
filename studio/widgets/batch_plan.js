// The plan: on which pictures, which defects and how many of each, where they lie. Shares the names of batch_open.js.

const SHOWN = 7, SEARCH_MS = 250;
let sets = { datasets: [], projects: [], runs: [] }, tally = null, sources = 0, asking = 0;

const choices = () => menu.products.flatMap((one) => one.defects);
const choice_of = (id) => choices().find((one) => one.id === id);
const base_of = () => menu.bases.find((one) => one.name === (held.sent?.template.base || held.base)) || menu.bases[0];
const by_severity = () => held.sent?.template.task === "control" || base_of().draws;
const masks = () => held.sent?.masks || [];
const mine = () => held.where === "mine" && masks().length > 0;
const on_picture = () => held.on === "picture" && Boolean(held.sent?.image);
const fraction = (text) => (text === "" || !Number.isFinite(Number(text)) ? null : Math.min(1, Math.max(0, Number(text) / 100)));

// -- on what
async function load_sources() {
  const mine_now = ++asking, of = project?.id;
  if (!of) { tally = null; sources = 0; draw_plan(); return; }
  const narrowed = new URLSearchParams(Object.entries({ ...held.which, out: false }).filter(([name, value]) => value !== null && (value !== "" || name === "defect")));
  try {
    const [counts, page] = await Promise.all([asked("GET", `/api/projects/${of}/tally?out=false`), asked("GET", `/api/projects/${of}/records?${narrowed}&limit=${SHOWN}`)]);
    if (mine_now !== asking) return;
    tally = counts;
    sources = page.total;
    find(".bt-some").replaceChildren(...page.records.map((one) => made("img", { src: `/files/${one.asset}/${encodeURIComponent(one.name)}?side=256`, alt: "", title: one.name, loading: "lazy" })));
  } catch (problem) { if (mine_now === asking) refuse(problem); }
  draw_plan();
}

function draw_sources() {
  const known = tally?.classes || {}, option = (value, label, n) => made("option", { value }, fill(words.with_count, { label, n: whole(n) }));
  const key = JSON.stringify(known);
  if (find("#batch-class").dataset.of !== key) {
    find("#batch-class").dataset.of = key;
    find("#batch-class").replaceChildren(option("=", words.good_parts, known[""] || 0), option("*", words.all_pictures, tally?.total || 0), ...Object.entries(known).filter(([name]) => name).map(([name, n]) => option(`=${name}`, name, n)));
  }
  find("#batch-class").value = held.which.defect === null ? "*" : `=${held.which.defect}`;
  if (document.activeElement !== find("#batch-text")) find("#batch-text").value = held.which.text;
  find(".bt-count").textContent = project ? fill(words[sources === 1 ? "sources_one" : "sources"], { n: whole(sources), project: project.name }) : words.no_project;
  find(".bt-sources > .bt-row").hidden = !tally?.total;
  find("[data-act=data]").hidden = on_picture() || sources > 0;
  find(".bt-sources").hidden = on_picture();
}

find("#batch-class").onchange = (event) => { held.which.defect = event.target.value === "*" ? null : event.target.value.slice(1); changed(); load_sources(); };
find("#batch-text").oninput = later(() => { held.which.text = find("#batch-text").value.trim(); changed(); load_sources(); }, SEARCH_MS);
all("[name=batch-on]").forEach((one) => { one.onchange = () => { held.on = one.value; changed(); }; });

// -- what was handed over
function draw_from() {
  const { sent } = held, box = find(".bt-from");
  box.hidden = !sent;
  find(".bt-base").hidden = Boolean(sent) || menu.bases.filter((one) => one.ready).length < 2;
  if (sent) {
    box.querySelector("strong").textContent = sent.template.task === "control" ? words.from_control : words.from_paint;
    box.querySelector("span").textContent = [base_of().label, sent.image?.name].filter(Boolean).join(" · ");
    Object.assign(box.querySelector("img"), { src: sent.image?.thumb || "", hidden: !sent.image });
  }
  find(".bt-on").hidden = !sent;
  all(".bt-mine").forEach((one) => { one.hidden = !(one.closest(".bt-where") ? masks().length : sent); });
  all("[name=batch-on]").forEach((one) => { one.checked = one.value === (on_picture() ? "picture" : "project"); });
}

function take(sent) {
  const { classes, ...rest } = sent;
  Object.assign(held, { sent: rest, classes, on: sources > 1 ? "project" : "picture", where: rest.masks.length ? "mine" : "anywhere", measured: null });
  changed();
}

// -- which defects
function draw_bases() {
  const select = find("#batch-base");
  select.replaceChildren(...menu.bases.map((one) => made("option", { value: one.name, disabled: !one.ready }, one.ready ? one.label : fill(words.base_away, { base: one.label }))));
  select.value = base_of().name;
  select.onchange = () => { held.base = select.value; changed(); };
}

function class_row(one, at) {
  const name = choice_of(one.choice)?.label || one.kind, of = (text) => fill(words.of_class, { what: text, name });
  const select = made("select", { ariaLabel: fill(words.defect_n, { n: at + 1 }) }, ...menu.products.map((product) => made("optgroup", { label: product.label }, ...product.defects.map((each) => made("option", { value: each.id }, each.label)))));
  select.value = one.choice;
  select.onchange = () => { const chosen = choice_of(select.value); held.classes[at] = { choice: chosen.id, kind: chosen.kind, share: one.share, low: chosen.severity, high: chosen.severity }; changed(); find(`.bt-classes li:nth-child(${at + 1}) select`)?.focus(); };
  const gone = made("button", { type: "button", title: words.remove, ariaLabel: of(words.remove), onclick: () => { held.classes.splice(at, 1); changed(); } }, "×");
  gone.disabled = held.classes.length < 2;
  const number = (label, value, more, set) => { const input = made("input", { type: "number", value, ariaLabel: of(label), ...more }); input.onchange = () => { set(input); changed(); }; return input; };
  const share = number(words.share, one.share, { min: 0.1, max: 1000, step: "any" }, (input) => { one.share = Number(input.value) > 0 ? Number(input.value) : one.share; });
  const low = number(words.mildest, percent(one.low), { min: 0, max: 100, step: 5 }, (input) => { one.low = fraction(input.value) ?? one.low; });
  const high = number(words.worst, percent(one.high), { min: 0, max: 100, step: 5 }, (input) => { one.high = fraction(input.value) ?? one.high; });
  const second = made("div", { className: "bt-row" }, made("span", {}, words.share), share, ...(by_severity() ? [made("span", {}, words.severity), made("span", { className: "bt-range" }, low, made("i", {}, "–"), high, made("i", {}, "%"))] : []));
  const tag = one.fields && Object.keys(one.fields).length ? [made("small", { className: "bt-own" }, words.as_painted)] : [];
  return made("li", {}, made("i", { className: `bt-dot bt-c${at % 5}` }), made("div", {}, made("div", { className: "bt-row" }, select, ...tag, gone), second));
}

// How many pictures each class gets, the shares rounded as the plan deals them.
function dealt() {
  const total = held.classes.reduce((sum, one) => sum + one.share, 0), exact = held.classes.map((one) => (one.share / total) * held.count), found = exact.map(Math.floor);
  const left = held.count - found.reduce((sum, n) => sum + n, 0), order = exact.map((value, at) => [value - found[at], at]).sort((a, b) => b[0] - a[0]);
  for (const [, at] of order.slice(0, left)) found[at] += 1;
  return found;
}

function draw_classes() {
  const key = JSON.stringify([held.classes, by_severity(), menu.at]), list = find(".bt-classes"), numbers = dealt();
  if (list.dataset.of !== key) { list.dataset.of = key; list.replaceChildren(...held.classes.map(class_row)); }
  const bar = find(".bt-balance"), named = held.classes.map((one, at) => `${choice_of(one.choice)?.label || one.kind} ${whole(numbers[at])}`);
  bar.replaceChildren(...numbers.map((n, at) => { const part = made("i", { className: `bt-c${at % 5}`, title: named[at] }, whole(n)); part.style.flexGrow = n; return part; }));
  bar.setAttribute("aria-label", named.join(", "));
  bar.hidden = !numbers.length;
  find("[data-act=add]").hidden = held.classes.length >= 64;
}

function add_class() {
  const used = held.classes.map((one) => one.choice), home = menu.products.find((one) => one.defects.some((each) => each.id === used.at(-1))) || menu.products[0];
  const next = home.defects.find((one) => !used.includes(one.id)) || choices().find((one) => !used.includes(one.id)) || choices()[0];
  held.classes.push({ choice: next.id, kind: next.kind, share: 1, low: next.severity, high: next.severity });
  changed();
  find(".bt-classes li:last-child select").focus();
}

// -- where
async function load_sets() { try { sets = await asked("GET", "/api/datasets"); } catch (problem) { refuse(problem); } if (menu) draw_plan(); }

function draw_where() {
  const where = held.where === "mine" && !mine() ? "anywhere" : held.where, real = (where === "as real" && !mine()) || held.gates.texture !== null;
  all("[name=batch-where]").forEach((one) => { one.checked = one.value === where; });
  find(".bt-placed").hidden = mine();
  find(".bt-real").hidden = !real;
  find(".bt-fits").hidden = !mine() || on_picture() || !held.sent.size;
  find(".bt-fits").textContent = held.sent?.size ? fill(words.fits, { size: held.sent.size.map(whole).join(" × ") }) : "";
  const groups = [["datasets", words.of_folders], ["projects", words.of_projects], ["runs", words.of_runs]].filter(([name]) => sets[name].length), key = JSON.stringify(sets), select = find("#batch-real");
  if (select.dataset.of !== key) { select.dataset.of = key; select.replaceChildren(made("option", { value: "" }, words.no_real), ...groups.map(([name, label]) => made("optgroup", { label }, ...sets[name].map((one) => made("option", { value: one.id }, one.count === undefined ? one.label : fill(words.with_count, { label: one.label, n: whole(one.count) })))))); }
  select.value = held.real;
  for (const name of ["instances", "size"]) all(`[data-pair=${name}]`).forEach((one, at) => { if (document.activeElement !== one) one.value = held[name][at] ?? ""; });
  find("#batch-angle").value = String(held.angle);
}

all("[name=batch-where]").forEach((one) => { one.onchange = () => { held.where = one.value; changed(); }; });
all("[data-pair]").forEach((one) => { one.onchange = () => { const name = one.dataset.pair; held[name] = all(`[data-pair=${name}]`).map((each) => (each.value === "" ? (name === "instances" ? 1 : null) : Number(each.value))); changed(); }; });
find("#batch-real").onchange = (event) => { held.real = event.target.value; changed(); };
find("#batch-angle").onchange = (event) => { held.angle = event.target.value; changed(); };
