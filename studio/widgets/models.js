// The Models tab: for each worker what its models hold, which they are, and what they may hold; below, the bases there
// are. Asks the server while it is seen. An order is put down, and its answer waited for, by number.
// element and props come from gr.HTML; texts go in as text.
const root = element.querySelector(".mod"), find = (selector) => root.querySelector(selector), words = props.words;
const EVERY_MS = 2000, ASK_MS = 250, SETTLED_MS = 500, STEPS = 200;
const cards = new Map(); // worker id -> its card on the page, kept, so that focus and a half-moved slider stay

// -- orders

function sentence(answer, order) {
  const freed = gib(answer.freed_bytes || 0);
  if (answer.state === "lapsed") return words.lapsed;
  if (answer.code === "in_use") return words.busy;
  if (answer.code === "missing") return words.gone;
  if (answer.state === "refused") return fill(words.refused, { why: answer.sentence });
  if (answer.code === "nothing") return answer.in_use ? words.nothing_idle : words.nothing_freed;
  if (answer.code === "budget") return fill(answer.freed_bytes ? words.kept_freed : words.kept, { n: gib(order.shown), freed });
  return fill(answer.in_use ? words.freed_some : words.freed, { n: freed, left: answer.in_use });
}

async function tell(worker, order, told) {
  const { shown, ...body } = order;
  told(words.waiting);
  try {
    const reply = await fetch(`${props.machine}/${worker}/orders`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const put = await reply.json();
    if (!reply.ok) { told(reply.status === 404 ? words.lapsed : fill(words.refused, { why: put.error.message })); return; }
    let answer;
    do {
      await new Promise((done) => { setTimeout(done, ASK_MS); });
      answer = await (await fetch(`${props.machine}/orders/${put.id}?language=${props.language}`)).json();
    } while (answer.state === "waiting" && root.isConnected);
    told(answer.state ? sentence(answer, order) : words.lapsed);
  } catch (problem) { told(words.away); }
}

// -- a worker

function card(worker) {
  const part = made("section", "mod-card mod-worker");
  part.dataset.worker = worker.id;
  part.innerHTML = `<h2 tabindex="-1"></h2><p class="mod-why"></p><p class="mod-state"></p><div class="mod-holds"><div class="mod-track"><i class="mod-held"></i><b class="mod-mark"></b></div><p class="mod-figures"></p></div><p class="mod-told" role="status"></p>
    <div class="mod-scroll" tabindex="0" role="region"><table><thead><tr></tr></thead><tbody></tbody></table></div><p class="mod-nothing"></p>
    <div class="mod-foot"><button type="button" class="mod-all"></button></div>
    <div class="mod-budget"><p class="mod-top"><span class="mod-ask"></span> <code></code><output></output></p><div class="mod-slide"><input type="range" min="1" step="1"><i></i></div><div class="mod-low"><span class="mod-default"></span><button type="button" class="mod-reset"></button></div></div>`;
  const at = (selector) => part.querySelector(selector), range = at("input");
  for (const text of [words.base, words.part, words.dtype, words.size, words.used, words.state]) at("thead tr").append(made("th", "", text));
  for (const head of part.querySelectorAll("th")) head.scope = "col";
  at("thead tr").append(document.createElement("td"));
  at(".mod-all").textContent = words.release_all;
  at(".mod-nothing").textContent = words.nothing;
  at(".mod-ask").textContent = words.budget;
  range.setAttribute("aria-label", words.budget);
  at(".mod-budget code").textContent = "budget_bytes";
  at(".mod-reset").textContent = words.reset;
  const one = { part, at, range, busy: false, moved: false, worker };
  const give = async (order) => {
    if (one.busy) return;
    one.busy = true;
    paint(one);
    await tell(one.worker.id, order, (text) => { at(".mod-told").textContent = text; });
    one.busy = false;
    one.moved = order.do === "budget" && order.budget_bytes !== null && Math.round(range.value * step(one.worker)) !== order.budget_bytes;
    await refresh();
    paint(one);
  };
  at(".mod-all").addEventListener("click", () => give({ do: "release_all" }));
  at(".mod-reset").addEventListener("click", () => {
    const { budget_bytes, default_bytes } = one.worker;
    if (budget_bytes !== default_bytes) give({ do: "budget", budget_bytes: null, shown: default_bytes });
  });
  at("tbody").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) give({ do: "release", model: JSON.parse(button.dataset.key) });
  });
  range.addEventListener("input", () => { one.moved = true; at("output").textContent = gib(range.value * step(one.worker)); });
  let settling = 0; // the keys send a change with each step: what counts is where they come to rest
  const settle = () => {
    clearTimeout(settling);
    settling = setTimeout(() => {
      if (one.busy) { settle(); return; }
      const bytes = Math.round(range.value * step(one.worker));
      give({ do: "budget", budget_bytes: bytes, shown: bytes });
    }, SETTLED_MS);
  };
  range.addEventListener("change", settle);
  return one;
}

// Whole tenths of a GiB, or finer on a small device; never so fine that the keys would take all day.
function step(worker) { const tenth = GIB / 10; return worker.total_bytes > 20 * tenth ? Math.max(1, Math.round(worker.total_bytes / STEPS / tenth)) * tenth : worker.total_bytes / STEPS; }

function ago(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds), written = new Intl.RelativeTimeFormat(props.language);
  if (past < 10) return words.now;
  if (past < 90) return written.format(-Math.round(past / 10) * 10, "second");
  return past < 5400 ? written.format(-Math.round(past / 60), "minute") : written.format(-Math.round(past / 3600), "hour");
}

function row(model) {
  const line = document.createElement("tr"), button = made("button", "", words.release), base = (bases[model.key.base] || {}).label || model.key.base;
  const texts = [base, model.key.part, model.key.dtype, gib(model.bytes), "", ""];
  line.append(...texts.map((text) => made("td", "", text)));
  button.type = "button";
  button.dataset.key = line.dataset.key = JSON.stringify(model.key);
  button.setAttribute("aria-label", fill(words.release_one, { part: model.key.part, base }));
  const last = document.createElement("td");
  last.append(button);
  line.append(last);
  return line;
}

// Not `disabled`, which would take the focus away from who pressed it.
function block(button, yes) { button.setAttribute("aria-disabled", yes); }

function paint(one) {
  const { part, at, range, worker } = one, models = worker.models, used = inUse(worker);
  part.dataset.role = worker.role;
  part.dataset.loaded = models.length;
  at("h2").textContent = name(worker);
  at(".mod-why").textContent = why(worker);
  at(".mod-state").textContent = [used && fill(words.memory, { used: gib(used.used), total: gib(used.total) }), ...heat(worker)].filter(Boolean).join(" · ");
  const known = "total_bytes" in worker, figures = [fill(words.held, { n: gib(worker.held_bytes || 0) })];
  part.dataset.known = known ? "1" : "";
  if (known) {
    figures.push(fill(words.allowed, { n: gib(worker.budget_bytes) }), fill(words.total, { n: gib(worker.total_bytes) }));
    at(".mod-held").style.width = percent((worker.held_bytes || 0) / worker.total_bytes);
    at(".mod-mark").style.left = percent(worker.budget_bytes / worker.total_bytes);
    const most = Math.floor(worker.total_bytes / step(worker));
    if (Number(range.max) !== most) range.max = most;
    if (!one.moved && !one.busy) {
      range.value = Math.round(worker.budget_bytes / step(worker));
      at("output").textContent = gib(worker.budget_bytes);
    }
    range.setAttribute("aria-valuetext", at("output").textContent);
    // the middle of the thumb never comes nearer to an end than half its own width
    at(".mod-slide i").style.left = `calc(8px + (100% - 16px) * ${(worker.default_bytes / step(worker) - 1) / (most - 1)})`;
    at(".mod-default").textContent = fill(words.default, { n: gib(worker.default_bytes) });
    block(at(".mod-reset"), one.busy || worker.budget_bytes === worker.default_bytes);
  }
  at(".mod-figures").textContent = figures.join(" · ");
  block(at(".mod-all"), one.busy);
  at(".mod-scroll").setAttribute("aria-label", words.loaded);
  rows(one);
}

// Only what came or went is made or removed: a button that has the focus stays the same button.
function rows({ at, busy, worker }) {
  const body = at("tbody"), here = new Map([...body.children].map((line) => [line.dataset.key, line]));
  const lines = worker.models.map((model) => {
    const line = here.get(JSON.stringify(model.key)) || row(model);
    line.children[3].textContent = gib(model.bytes);
    line.children[4].textContent = ago(model.used_at);
    line.children[5].textContent = model.pinned ? words.in_use : words.idle;
    block(line.querySelector("button"), busy);
    return line;
  });
  const old = [...body.children];
  if (lines.length === old.length && lines.every((line, place) => line === old[place])) return;
  const held = document.activeElement, place = old.findIndex((line) => line.contains(held)), all = held === at(".mod-all");
  body.replaceChildren(...lines);
  if (place < 0 && !(all && !lines.length)) return;
  const next = lines.find((line) => line.contains(held)) || lines[Math.min(Math.max(place, 0), lines.length - 1)];
  (next ? next.querySelector("button") : at("h2")).focus();
}

function show(machine) {
  const workers = machine.workers, box = find(".mod-workers"), live = new Set(workers.map((worker) => worker.id));
  for (const [id, one] of cards) if (!live.has(id)) { one.part.remove(); cards.delete(id); }
  for (const worker of workers) {
    if (!cards.has(worker.id)) cards.set(worker.id, card(worker));
    const one = cards.get(worker.id);
    one.worker = worker;
    paint(one);
  }
  const wanted = workers.map((worker) => cards.get(worker.id).part);
  const lacking = workers.length ? workers.some((worker) => worker.role === "device") ? "" : words.no_device : words.none;
  if (lacking) wanted.unshift(Object.assign(find(".mod-lacking") || made("p", "mod-lacking"), { textContent: lacking }));
  if (wanted.length !== box.children.length || wanted.some((part, place) => part !== box.children[place])) box.replaceChildren(...wanted);
}

// -- while it is seen

async function refresh() {
  if (document.hidden || !root.offsetParent) return;
  try {
    await renew();
    show(await look());
    root.dataset.ready = "1";
    find(".mod-away").textContent = "";
  } catch (problem) { find(".mod-away").textContent = words.away; }
}

new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) refresh(); }).observe(root);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, EVERY_MS);
