// How trainings go: the list of them, and of one its course, its samples and what can be done to it. Asks the server again and again
// while it is seen and something is under way. element, props and trigger come from gr.HTML; Chart and Samples from the files beside this.

const find = (selector) => root.querySelector(selector), words = props.words;
const EVERY_MS = 1500, MEMORY = "flawsmith-training";
const chart = new Chart(find(".td-plot"), find(".td-legend"), words, props.language), samples = new Samples(words, props.language);
let list = [], chosen = localStorage.getItem(MEMORY) || "", one = null, seen = false, timer = 0, round = 0, board = null, drawn_list = "";
const refuse = (problem) => { if (!problem.lost) trigger("refuse", { sentence: problem.message }); };
const over = (row) => OVER.includes(row.state);

// -- the words of a training
const what_of = (row) => row.defect || (row.stage === 1 ? words.good_parts : row.task === "train-inversion" ? words.recipes.word : words.a_training);
function kind_of(row) { return row.task !== "train-lora" ? words.recipes_short[{ "train-inversion": "word", "train-defectfill": "fill", "train-dual": "pair" }[row.task]] : row.stage ? fill(words.recipes_short.stage, { n: row.stage }) : words.recipes_short.once; }
function state_of(row) {
  if (row.stopping && !over(row)) return "stopping";
  return row.state === "running" && row.paused ? "paused" : row.state;
}
const said_state = (row) => words.states[state_of(row)] || row.state;
function when(row) { return new Date(row.created * 1000).toLocaleString(props.language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" }); }
function briefly(row) {
  const made_on = new Date(row.created * 1000), today = made_on.toDateString() === new Date().toDateString();
  return made_on.toLocaleString(props.language, today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric" });
}

// -- the list
function draw_list() {
  const key = JSON.stringify([chosen, list.map((row) => [row.id, state_of(row), row.done, row.total])]);
  if (key === drawn_list) return;
  drawn_list = key;
  const had = document.activeElement?.dataset?.run;
  find(".td-list").replaceChildren(...list.map((row) => {
    const share = row.total ? Math.min(1, row.done / row.total) : 0;
    const button = made("button", { type: "button" }, made("b", {}, what_of(row)), made("small", {}, `${kind_of(row)} · ${row.base}`), made("span", { className: "td-dot" }, said_state(row), made("time", {}, row.state === "running" ? `${Math.round(share * 100)} %` : briefly(row))), made("i", { className: "td-thin" }));
    Object.assign(button.dataset, { run: row.id, state: state_of(row) });
    button.lastChild.style.setProperty("--share", over(row) && row.state === "done" ? 1 : share);
    button.setAttribute("aria-current", row.id === chosen);
    button.onclick = () => choose(row.id);
    return button;
  }));
  if (had) find(`.td-list [data-run="${had}"]`)?.focus();
}

function choose(id) {
  if (id !== chosen) { one = null; find(".td-one").classList.add("td-coming"); }
  chosen = id;
  try { localStorage.setItem(MEMORY, id); } catch { /* a browser that keeps nothing begins with the newest */ }
  draw_list();
  look();
}

// -- one training
function draw() {
  root.dataset.state = list.length ? "some" : "none";
  find(".td-none").hidden = list.length > 0;
  find(".td-all").hidden = !list.length;
  draw_list();
  if (!one) return;
  find(".td-one").classList.remove("td-coming");
  const state = state_of(one), share = one.total ? Math.min(1, one.done / one.total) : 0, { request, result } = one;
  root.dataset.run = one.id;
  root.dataset.training = state;
  find(".td-title h2").textContent = `${what_of(one)} · ${kind_of(one)}`;
  const chip = find(".td-state");
  chip.dataset.state = state;
  if (chip.textContent !== said_state(one)) chip.textContent = said_state(one);
  const facts = [one.data_label, one.base, request.rank ? fill(words.fact_rank, { rank: request.rank }) : "", fill(words.short_batch, { n: request.train_batch_size ?? 4 }), when(one)];
  find(".td-facts").textContent = facts.filter(Boolean).join(" · ");
  find(".td-track i").style.width = `${(one.state === "done" ? 1 : share) * 100}%`;
  find(".td-track").setAttribute("aria-valuenow", Math.round((one.state === "done" ? 1 : share) * 100));
  find(".td-note").textContent = over(one) ? (one.state === "done" ? fill(words.finished, { steps: whole(result?.steps ?? one.done), time: span_of((one.ended || one.created) - (one.started || one.created)) }) : fill(words.at_of, { step: whole(one.done), of: whole(one.total) })) : one.state === "queued" ? words.waits : one.note || fill(words.at_of, { step: whole(one.done), of: whole(one.total) });
  if (over(one)) find(".td-memory").textContent = result?.memory_bytes ? fill(words.memory, { used: gib(result.memory_bytes) }) : "";
  find(".td-failed").hidden = !one.sentence || one.state === "done";
  find(".td-failed").textContent = one.sentence.charAt(0).toUpperCase() + one.sentence.slice(1);
  const running = one.state === "running" && !one.stopping, may = { stop: !over(one) && !one.stopping, save: running && !one.paused, pause: running && !one.paused, unpause: running && one.paused, resume: over(one) && one.state !== "done", use: Boolean(one.weights) && over(one), fresh: Boolean(one.weights) && over(one) };
  for (const [act, can] of Object.entries(may)) find(`[data-act=${act}]`).hidden = !can;
  find("[data-act=use]").textContent = one.task === "train-dual" ? words.make_pairs : words.use;
  find("[data-act=save]").disabled = one.saving;
  find("[data-act=save]").textContent = one.saving ? words.saving : words.save_now;
  find(".td-hints").replaceChildren(...one.hints.map((hint) => made("p", {}, made("b", {}, words.hints[hint]), " ", words.hints[`${hint}_how`])));
  find(".td-soon").hidden = one.points.length > 0;
  find(".td-plot").hidden = find(".td-legend").hidden = !one.points.length;
  chart.show({ columns: one.columns, points: one.points, smooth: one.smooth, held_out: one.held_out, total: over(one) ? 0 : one.total });
  samples.show(one.id, one.samples, request.seed || 0, one.data_label);
  const kept = one.checkpoints.length ? [fill(words.checkpoints, { list: one.checkpoints.map(whole).join(", ") })] : [];
  if (result?.best) kept.push(fill(words.best, { step: whole(result.best.step), score: short(result.best.score) }));
  const differ = one.diversity.at(-1);
  if (differ) kept.push(fill(words.diversity, { value: short(differ[1]), first: short(one.diversity[0][1]) }));
  find(".td-notes").replaceChildren(...[...kept, ...one.notes].map((text) => made("li", {}, text)));
}

async function look() {
  clearTimeout(timer);
  const mine = ++round;
  if (!root.isConnected) return;
  try {
    const found = await asked("GET", `/api/trainings?${tongue}`);
    if (mine !== round) return;
    list = found;
    if (!list.some((row) => row.id === chosen)) chosen = (list.find((row) => row.state === "running") || list[0])?.id || "";
    if (chosen) {
      const now = await asked("GET", `/api/trainings/${chosen}?${tongue}`);
      if (mine !== round) return;
      const other = one?.id !== now.id;
      one = now;
      draw();
      if (other) real_of(now.id);
      if (!over(now)) memory();
    } else draw();
  } catch (problem) { if (mine === round) { if (!problem.lost) refuse(problem); if (!list.length) draw(); } }
  if (mine === round && seen && (list.some((row) => !over(row)))) timer = setTimeout(look, EVERY_MS);
}

async function real_of(id) {
  try { const { pictures } = await asked("GET", `/api/trainings/${id}/real`); if (one?.id === id) samples.beside(pictures); }
  catch { /* the data set is gone: the samples stand alone */ }
}

// What the device that trains has in use, as the header tells it.
async function memory() {
  try {
    const { workers } = await asked("GET", "/api/machine"), [worker] = workers.filter((each) => each.role === "device");
    const card = worker?.card && "used" in worker.card ? worker.card : null, used = card ? card.used : worker?.memory?.process, total = card ? card.total : worker?.memory?.total;
    find(".td-memory").textContent = used ? fill(total ? words.memory_of : words.memory, { used: gib(used), total: gib(total || 0) }) : "";
  } catch { /* the header says it when the studio is away */ }
}

// -- what a person does
async function tell(method, address) {
  try { await asked(method, address); } catch (problem) { refuse(problem); }
  await look();
}

const from = () => (one.state === "done" && one.weights.endsWith("pytorch_lora_weights.safetensors") ? one.id : `${one.id}/${one.weights}`);
const acts = {
  stop: () => tell("POST", `/api/runs/${one.id}/stop`),
  save: () => tell("POST", `/api/trainings/${one.id}/wishes/save`),
  pause: () => tell("POST", `/api/trainings/${one.id}/wishes/pause`),
  unpause: () => tell("DELETE", `/api/trainings/${one.id}/wishes/pause`),
  resume: async () => { const { id, paused } = one; if (paused) await tell("DELETE", `/api/trainings/${id}/wishes/pause`); await tell("POST", `/api/runs/${id}/resume`); trigger("resumed", { run: id }); },
  use: () => trigger("use", { run: one.id }),
  fresh: () => document.dispatchEvent(new CustomEvent("flawsmith-train-from", { detail: { from: from(), task: one.task, stage: one.stage ?? null, defect: one.defect, base: one.base, data: one.data, data_label: one.data_label } })),
  board: async () => { try { board = await asked(board?.running ? "DELETE" : "POST", "/api/tensorboard"); } catch (problem) { refuse(problem); } draw_board(); },
};
root.addEventListener("click", (event) => { const button = event.target.closest("[data-act]"); if (button && (one || button.dataset.act === "board")) acts[button.dataset.act](); });
document.addEventListener("flawsmith-training", (event) => { if (root.isConnected) choose(event.detail[0]); });
find(".td-zoom").addEventListener("click", (event) => { if (event.target === find(".td-zoom")) find(".td-zoom").close(); });

// -- TensorBoard
const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

function draw_board() {
  const here = LOCAL.includes(location.hostname), on = Boolean(board?.running), link = find(".td-board a");
  find("[data-act=board]").textContent = on ? words.board_stop : words.board_start;
  link.hidden = !(on && board.ready && here);
  if (board?.url) link.href = board.url;
  find(".td-board span").textContent = !on ? "" : here ? (board.ready ? "" : words.board_wait) : fill(words.board_away, { port: board.port });
  if (on && !board.ready && seen) setTimeout(ask_board, EVERY_MS);
}

async function ask_board() {
  try { board = await asked("GET", "/api/tensorboard"); } catch { return; }
  draw_board();
}

new IntersectionObserver((entries) => {
  const now = entries.at(-1).isIntersecting;
  if (now && !seen) { seen = true; look(); ask_board(); } else seen = now;
}).observe(root);
document.addEventListener("visibilitychange", () => { seen = !document.hidden && Boolean(root.offsetParent); if (seen) look(); });
