// The bases and control nets on the Models tab: what each is, whether it is here, and fetching one that is not. A fetch is a run: this shows how
// far it is, stops it, and says why it ended. Knows root, find, words, props, made, fill and gib of the script it stands in.

const FETCHES = new Map(); // base -> the last run that fetched it, as the server tells it
const asked = new Set(); // bases whose question stands open
let bases = {}, nets = {};

function fact(name, text) { const one = made("span", "mod-fact"); one.append(made("i", "", `${name}:`), ` ${text}`); return one; }

function facts(one) {
  const line = made("p", "mod-facts");
  const tasks = (one.tasks || []).map((task) => words[`task_${task}`]).join(", ");
  line.append(fact(words.family, one.family));
  if (tasks) line.append(fact(words.tasks, tasks));
  if (one.kinds && one.kinds.length) line.append(fact(words.reads, one.kinds.map((kind) => `${words.kinds[kind]} (${kind})`).join(", ")));
  if (one.resolution) line.append(fact(words.resolution, `${one.resolution} px`));
  if (one.size_bytes) line.append(fact(words.on_disk, gib(one.size_bytes)));
  if (one.size_bytes && one.memory_bytes) line.append(fact(words.in_memory, gib(one.memory_bytes)));
  line.append(fact(words.licence, one.licence));
  if (one.from) line.append(fact(words.from, one.from));
  return line;
}

function press(name, text, what) {
  const button = made("button", name, text);
  button.type = "button";
  button.addEventListener("click", what);
  return button;
}

// What the button asks before the network is reached; where a licence must be accepted first, what to do instead.
function question(one, again) {
  const box = made("div", "mod-ask-fetch");
  const close = () => { asked.delete(one.name); again(); };
  if (one.token_missing) {
    box.append(made("p", "", fill(words.gated, { repo: one.repo })), made("p", "", words.gated_token));
    box.append(made("code", "", "HF_TOKEN=hf_... python app.py"), press("", words.cancel, close));
    return box;
  }
  box.append(made("p", "", fill(words.confirm, { host: props.hub, size: gib(one.size_bytes), repo: one.repo, licence: one.licence })));
  const row = made("p", "mod-row");
  row.append(press("mod-go", words.fetch_now, async () => { asked.delete(one.name); await start(one.name); again(); }), press("", words.cancel, close));
  box.append(row);
  return box;
}

async function start(name) {
  const reply = await fetch(props.runs, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ task: "fetch", base: name }) });
  const found = await reply.json();
  FETCHES.set(name, reply.ok ? { id: found.id, state: "waiting", done: 0, total: 0 } : { state: "failed", sentence: found.error.message });
}

async function stop(run) { await fetch(`${props.runs}/${run.id}/stop`, { method: "POST" }); await follow(); draw_bases(); }

function going(run) { return Boolean(run && run.id && !["done", "failed", "cancelled", "quarantined"].includes(run.state)); }

// The runs that fetch now, whoever asked for them; and of those that were going a moment ago, how they ended.
async function follow() {
  const open = await (await fetch(`${props.runs}?open=true&limit=200`)).json();
  for (const run of open.runs) if (run.task === "fetch") FETCHES.set(run.request.base, run);
  const ids = new Set(open.runs.map((run) => run.id));
  let ended = false;
  for (const [name, run] of FETCHES) if (going(run) && !ids.has(run.id)) {
    FETCHES.set(name, await (await fetch(`${props.runs}/${run.id}`)).json());
    ended = true;
  }
  return ended;
}

function progress(one, run) {
  const box = made("div", "mod-fetching"), track = made("div", "mod-track"), held = made("i", "mod-held");
  held.style.width = run.total ? `${(100 * run.done) / run.total}%` : "0";
  track.append(held);
  const told = run.state === "waiting_disk" ? run.sentence || words.waiting_disk : run.total ? fill(words.fetching, { done: gib(run.done * 2 ** 20), total: gib(run.total * 2 ** 20) }) : words.fetch_waits;
  box.append(track, made("span", "mod-told", told), press("", words.stop, () => stop(FETCHES.get(one.name))));
  box.lastChild.setAttribute("aria-label", fill(words.stop_one, { base: one.label }));
  return box;
}

function state(one) {
  if (one.state !== "ready") return `${words[`is_${one.state}`]}: ${one.text}`;
  if (!one.size_bytes && !one.kinds) return words.no_weights;
  return one.layout === "folder" || one.kinds ? words.is_ready : one.text[0].toUpperCase() + one.text.slice(1);
}

function base(one) {
  const line = made("li", "mod-base"), head = made("p", "mod-name"), run = FETCHES.get(one.name);
  line.dataset.base = one.name;
  line.dataset.state = one.state;
  head.append(made("span", "mod-dot"), made("b", "", one.label), " ", made("code", "", one.name));
  if (one.own) head.append(" ", made("span", "mod-tag", words.own));
  line.append(head, facts(one));
  if (going(run)) { line.append(progress(one, run)); return line; }
  line.append(made("p", "mod-state-text", state(one)));
  if (run && run.sentence && one.state !== "ready") line.append(made("p", "mod-told", fill(words.fetch_failed, { why: run.sentence })));
  if (one.remedy && one.state !== "ready") { const remedy = made("p", "mod-remedy", `${words.remedy} `); remedy.append(made("code", "", one.remedy)); line.append(remedy); }
  if (one.repo && !one.own && one.state !== "ready") {
    if (asked.has(one.name)) line.append(question(one, draw_bases));
    else {
      const button = press("mod-fetch", words.fetch, () => { asked.add(one.name); draw_bases(); root.querySelector(`[data-base="${CSS.escape(one.name)}"] .mod-ask-fetch button`).focus(); });
      button.setAttribute("aria-label", fill(words.fetch_one, { base: one.label }));
      line.append(button);
    }
  }
  return line;
}

// Ready ones first. Only lines that say something else than before are made anew, so that what has the focus stays.
function draw_bases() { draw_list(find(".mod-list"), bases); draw_list(find(".mod-nets"), nets); }

function draw_list(box, all) {
  const order = Object.values(all).sort((a, b) => b.ready - a.ready);
  const here = new Map([...box.children].map((line) => [line.dataset.base, line]));
  const focus = document.activeElement && document.activeElement.closest && document.activeElement.closest(".mod-base");
  const lines = order.map((one) => {
    const made_now = base(one), old = here.get(one.name);
    return old && old.innerHTML === made_now.innerHTML && old.dataset.state === made_now.dataset.state ? old : made_now;
  });
  if (lines.length === box.children.length && lines.every((line, place) => line === box.children[place])) return;
  box.replaceChildren(...lines);
  if (focus && here.has(focus.dataset.base) && !root.contains(document.activeElement)) {
    const again = lines.find((line) => line.dataset.base === focus.dataset.base), button = again && again.querySelector("button");
    if (button) button.focus();
  }
}

async function list() {
  const [found, steering] = await Promise.all([props.bases, props.nets].map(async (all) => (await fetch(`${all}?language=${props.language}`)).json()));
  bases = Object.fromEntries(found.map((one) => [one.name, one]));
  nets = Object.fromEntries(steering.map((one) => [one.name, one]));
}

async function renew() {
  await follow();
  await list();
  draw_bases();
}
