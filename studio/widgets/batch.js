// Batches while they are made: the list of them, and of one how far it is, how fast it goes and what can be done. Asks the server again
// and again while it is seen and something is under way. Shares the names of the files beside this. element, props, trigger and
// watch come from gr.HTML.

const EVERY_MS = 1500, AGAIN_MS = 600, ARRIVE_MS = 500;
let list = [], one = null, seen = false, timer = 0, round = 0, pressed = -AGAIN_MS, heard = "", arrived_at = -ARRIVE_MS, drawn_list = "", wall_at = "", packing = { run: "", id: "", address: "" };

// -- words of a batch
const state_of = (row) => (row.stopping ? "stopping" : row.state === "done" && row.kept < row.wanted ? "short" : row.state);
const said_state = (row) => words.states[state_of(row)] || row.state;
const named = (row) => row.defects.slice(0, 3).map(called).join(", ") + (row.defects.length > 3 ? " …" : "");
function briefly(row) {
  const made_on = new Date(row.created * 1000), today = made_on.toDateString() === new Date().toDateString();
  return made_on.toLocaleString(props.language, today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric" });
}

// -- the list
function draw_list() {
  const key = JSON.stringify([held.run, list.map((row) => [row.id, state_of(row), row.kept])]);
  find(".bt-list").hidden = !list.length;
  if (key === drawn_list) return;
  drawn_list = key;
  const had = document.activeElement?.dataset?.run;
  find(".bt-list").replaceChildren(...list.map((row) => {
    const button = made("button", { type: "button" }, made("b", {}, named(row)), made("small", {}, made("i", {}, ""), row.first ? words.is_preview : said_state(row), made("span", {}, `${whole(row.kept)} / ${whole(row.wanted)}`), made("time", {}, briefly(row))));
    Object.assign(button.dataset, { run: row.id, state: state_of(row) });
    button.setAttribute("aria-current", row.id === held.run);
    button.onclick = () => choose(row.id);
    return button;
  }));
  const now = find(`.bt-list [data-run="${had || held.run}"]`);
  if (had) now?.focus(); else if (now) find(".bt-list").scrollLeft = now.offsetLeft - find(".bt-list").offsetLeft;
}

function choose(id) {
  held.run = id;
  one = null;
  before = null;
  wall_at = "";
  keep();
  draw_list();
  look();
}

// -- one batch
function draw_run() {
  root.dataset.state = list.length ? "some" : "none";
  find(".bt-none").hidden = list.length > 0;
  find(".bt-run").hidden = !list.length;
  draw_list();
  if (!one) return;
  const aside = Object.values(one.aside).reduce((sum, n) => sum + n, 0), all_tried = Math.max(one.wanted + aside + one.failed, 1), share = (n) => `${(100 * n) / all_tried}%`;
  root.dataset.run = one.id;
  root.dataset.batch = state_of(one);
  find(".bt-title h2").textContent = named(one);
  const chip = find(".bt-state");
  chip.dataset.state = state_of(one);
  if (chip.textContent !== said_state(one)) chip.textContent = said_state(one);
  find(".bt-facts").textContent = [one.first ? fill(words.preview_of, { n: whole(one.count) }) : "", counted("from_sources", one.sources), briefly(one)].filter(Boolean).join(" · ");
  find(".bt-kept").style.width = share(one.kept);
  find(".bt-aside").style.width = share(aside + one.failed);
  find(".bt-track").setAttribute("aria-valuenow", Math.round((100 * one.kept) / one.wanted));
  find(".bt-line strong").textContent = fill(words.kept_of, { kept: whole(one.kept), wanted: whole(one.wanted) });
  const left = one.seconds_each && !one.over ? one.seconds_each * (one.wanted - one.kept) : 0;
  const pace = [one.per_minute ? fill(words.per_minute, { n: one.per_minute.toLocaleString(props.language, { maximumFractionDigits: 1 }) }) : "", left ? fill(words.left, { time: span_of(left) }) : "", one.bytes_each ? fill(words.room, { size: bytes(one.bytes_each * one.kept) }) : ""];
  find(".bt-pace").textContent = one.state === "queued" ? words.waits : pace.filter(Boolean).join(" · ");
  const reasons = [...Object.entries(one.aside).map(([gate, n]) => `${words.gate_short[gate] || gate} ${whole(n)}`), ...(one.failed ? [`${words.failed} ${whole(one.failed)}`] : [])];
  find(".bt-why").hidden = !reasons.length;
  find(".bt-why").textContent = `${words.aside_state}: ${reasons.join(" · ")}`;
  find(".bt-failed").hidden = !one.sentence || one.state === "done";
  find(".bt-failed").textContent = one.sentence.charAt(0).toUpperCase() + one.sentence.slice(1);
  const open = one.wanted - one.kept, done = one.state === "done";
  const may = { stop: !one.over && !one.stopping, resume: one.over && !done, more: done && open > 0 && one.tries < 100, retry: one.over && one.failed > 0, review: one.kept > 0, pack: one.over && one.kept > 0 };
  for (const [act, can] of Object.entries(may)) find(`.bt-run [data-act=${act}]`).hidden = !can;
  find("#batch-format").hidden = !may.pack;
  find("[data-act=more]").textContent = counted("go_on", one.wanted);
  find("[data-act=retry]").textContent = counted("retry", one.failed);
  draw_pack();
  find(".bt-soon").hidden = pictures.length > 0 || one.over;
  find(".bt-soon").textContent = one.state === "queued" ? words.waits : words.soon;
  measure();
}

// What a batch took is what the next one will take, made of the same.
function measure() {
  if (!one.seconds_each || one.kept < 3) return;
  const now = { run: one.id, seconds: one.seconds_each, bytes: one.bytes_each };
  if (JSON.stringify(now) === JSON.stringify(held.measured) || list[0]?.id !== one.id) return;
  held.measured = now;
  keep();
  draw_estimate();
}

async function look() {
  clearTimeout(timer);
  const mine_now = ++round;
  if (!root.isConnected || !menu) return;
  try {
    const found = await asked("GET", `/api/batches?${tongue}`);
    if (mine_now !== round) return;
    list = found;
    if (!list.some((row) => row.id === held.run)) held.run = list[0]?.id || "";
    if (held.run) {
      const now = await asked("GET", `/api/batches/${held.run}?${tongue}`);
      if (mine_now !== round) return;
      one = now;
      const at = JSON.stringify([one.id, one.tried, one.kept, one.failed]);
      if (at !== wall_at && before === null) { wall_at = at; await load_wall(one.id); }
    } else one = null;
    if (mine_now === round) draw_run();
  } catch (problem) { if (mine_now === round) { refuse(problem); if (!list.length) draw_run(); } }
  if (mine_now === round && seen && list.some((row) => !row.over)) timer = setTimeout(look, EVERY_MS);
}

// -- the way out
function draw_pack() {
  const link = find(".bt-pack a"), mine_now = packing.run === one.id;
  link.hidden = !mine_now || !packing.address;
  if (packing.address) link.href = packing.address;
  const button = find("[data-act=pack]");
  button.disabled = mine_now && Boolean(packing.id) && !packing.address;
  button.textContent = button.disabled ? words.packing : words.pack;
}

async function pack() {
  const { id } = one;
  packing = { run: id, id: "…", address: "" };
  draw_pack();
  try {
    packing.id = (await asked("POST", "/api/runs", { task: "export", data: [id], format: held.format })).id;
    for (;;) {
      const row = await asked("GET", `/api/runs/${packing.id}`);
      if (OVER.includes(row.state)) {
        if (row.state !== "done") throw new Error(row.sentence || words.packed_not);
        packing.address = row.files["export.zip"];
        break;
      }
      await pause(EVERY_MS / 2);
    }
  } catch (problem) { packing = { run: "", id: "", address: "" }; refuse(problem); }
  if (one) draw_pack();
}

// -- what a person does
async function tell(address, body) {
  try { await asked("POST", address, body); } catch (problem) { refuse(problem); }
  wall_at = "";
  await look();
}

async function again(address, body) { const { id } = one; await tell(address, body); trigger("resumed", { run: id }); }

function ask(first) {
  if (performance.now() - pressed < AGAIN_MS) return;
  const why = lacking();
  if (why) { refuse({ message: why }); return; }
  pressed = performance.now();
  keep();
  props.value = plan();
  trigger("make", { first });
  setTimeout(draw_plan, AGAIN_MS + 20);
}

const acts = {
  stop: () => tell(`/api/runs/${one.id}/stop`), resume: () => again(`/api/runs/${one.id}/resume`),
  more: () => again(`/api/batches/${one.id}/retry`, { tries: Math.min(100, one.tries + 4) }), retry: () => again(`/api/batches/${one.id}/retry`, {}),
  review: () => trigger("review", { run: one.id }), pack,
  newest: () => load_wall(one.id, null), older: () => load_wall(one.id, older),
  forget: () => { held.sent = null; held.on = "project"; if (held.where === "mine") held.where = "anywhere"; changed(); },
  data: () => trigger("pictures"), add: add_class, vary: () => { held.vary.push({ field: "", low: "", high: "" }); changed(); find(".bt-vary li:last-child select").focus(); },
  paint: () => { zoom.close(); trigger("paint", { run: one.id, stem: looked.stem }); }, closer: () => { zoom.close(); trigger("closer", { run: one.id, stem: looked.stem }); },
  before: () => step(-1), after: () => step(1), close: () => zoom.close(),
};
root.addEventListener("click", (event) => { const button = event.target.closest("button[data-act]"); if (button && acts[button.dataset.act]) acts[button.dataset.act](); });
find("#batch-preview").onclick = () => ask(true);
find("#batch-make").onclick = () => ask(false);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !root.isConnected || !root.offsetParent || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  document.activeElement?.blur?.(); // what is being typed counts
  ask(false);
}, true);
const format = find("#batch-format");
format.replaceChildren(...props.formats.map(([label, value]) => made("option", { value }, label)));
format.value = held.format;
format.onchange = () => { held.format = format.value; packing = { run: "", id: "", address: "" }; keep(); draw_pack(); };

// -- what the page says: which project is open, what Paint handed over, the batch that was asked for
async function open_project(id) {
  if (!id) { project = null; await load_sources(); return; }
  try { project = await asked("GET", `/api/projects/${id}`); } catch (problem) { project = null; if (problem.status !== 404) refuse(problem); }
  await load_sources();
}

async function hear() {
  const { told } = props;
  if (!told?.at || told.at === heard) return;
  heard = told.at;
  if (told.menu) {
    menu = told.menu;
    menu.kinds = Object.fromEntries(menu.products.at(-1).defects.map((each) => [each.kind, each.label]));
    await open_project(told.project);
    load_sets();
    if (told.sent) take(told.sent);
    draw_plan();
    await look();
  }
  if (told.run) choose(told.run);
}
watch("told", hear);

new IntersectionObserver((entries) => {
  seen = entries.at(-1).isIntersecting;
  if (!seen || performance.now() - arrived_at < ARRIVE_MS) return;
  arrived_at = performance.now();
  trigger("arrive");
}).observe(root);
document.addEventListener("visibilitychange", () => { seen = !document.hidden && Boolean(root.offsetParent); if (seen) look(); });
