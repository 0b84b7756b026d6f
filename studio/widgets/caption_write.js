// Captions that are written by looking: which captioners, how they are asked, and the run that does it, followed while it goes on and
// found again after a refresh. Shares the names of caption_open.js.

const ASK_MS = 1000, ASKED_BY_WORDS = ["blip2", "blip", "llava", "endpoint"];
let offer = { captioners: [], clips: [], no_clip: "", host: "" }, runs = [], run = null, seen = false, timer = 0, pressed = 0;
const form = () => held.form;
const usable = (name) => offer.captioners.some((one) => one.name === name && !one.lacks);
const wanted = () => form().captioners.filter(usable);

async function load_offer() {
  try { offer = await asked("GET", `/api/captioners?${tongue}`); } catch (problem) { if (!problem.lost) refuse(problem); }
  draw_form();
}

// -- the form
function draw_form() {
  const here = wanted(), rest = offer.captioners.filter((one) => !here.includes(one.name)), had = document.activeElement?.closest?.(".cap-captioner")?.dataset.name;
  const order = [...here.map((name) => offer.captioners.find((one) => one.name === name)), ...rest.filter((one) => !one.lacks)], away = rest.filter((one) => one.lacks);
  find(".cap-here").replaceChildren(...order.map((one) => captioner(one, here)));
  find(".cap-away").hidden = !away.length;
  find(".cap-away summary").textContent = counted("away", away.length);
  find(".cap-away ul").replaceChildren(...away.map((one) => captioner(one, here)));
  if (had) find(`.cap-captioner[data-name=${had}] input`)?.focus();
  find(".cap-prompt").hidden = !here.some((name) => ASKED_BY_WORDS.includes(name));
  find(".cap-keywords").hidden = !here.includes("keywords");
  find(".cap-sends").hidden = !here.includes("endpoint");
  find(".cap-sends").textContent = fill(words.sends, { host: offer.host });
  find("#cap-best").disabled = !offer.clips.length;
  find("#cap-best").checked = form().best_of && offer.clips.length > 0;
  find(".cap-no-clip").textContent = offer.clips.length ? "" : offer.no_clip;
  find(".cap-clips").hidden = !find("#cap-best").checked || offer.clips.length < 2;
  find(".cap-clips").replaceChildren(...offer.clips.map((name) => {
    const box = made("input", { type: "checkbox", checked: form().clips.includes(name) });
    box.onchange = () => { form().clips = form().clips.filter((one) => one !== name).concat(box.checked ? [name] : []); changed_form(); };
    return made("label", {}, box, name);
  }));
  all("[name=cap-write]").forEach((one) => { one.checked = one.value === form().write; });
  for (const [id, name] of FIELDS) if (document.activeElement !== find(id)) find(id).value = form()[name];
  draw_go();
}

function captioner(one, here) {
  const at = here.indexOf(one.name), box = made("input", { type: "checkbox", checked: at >= 0, disabled: Boolean(one.lacks), id: `cap-by-${one.name}` });
  const up = made("button", { type: "button", className: "cap-up", hidden: at < 1, title: words.prefer, ariaLabel: fill(words.prefer_this, { name: words.captioners[one.name] }) }, "↑");
  const about = made("p", { id: `cap-about-${one.name}` }, one.lacks ? `${words.captioners_help[one.name]} ${one.lacks}` : one.name === "endpoint" ? fill(words.captioners_help.endpoint_on, { host: offer.host }) : words.captioners_help[one.name]);
  const row = made("li", { className: `cap-captioner${one.lacks ? " lacks" : ""}` }, box, made("label", { htmlFor: box.id }, words.captioners[one.name], here.length > 1 && at >= 0 ? made("small", {}, fill(words.nth, { n: at + 1 })) : ""), up, about);
  row.dataset.name = one.name;
  box.setAttribute("aria-describedby", about.id);
  box.onchange = () => { form().captioners = here.filter((name) => name !== one.name).concat(box.checked ? [one.name] : []); changed_form(); };
  up.onclick = () => { const next = [...here]; next.splice(at - 1, 0, ...next.splice(at, 1)); form().captioners = next; changed_form(); };
  return row;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const FIELDS = [["#cap-prompt", "prompt"], ["#cap-mix", "template"], ["#cap-words", "keywords"]];
for (const [id, name] of FIELDS) find(id).oninput = () => { form()[name] = find(id).value; keep(); };
find("#cap-best").onchange = () => { form().best_of = find("#cap-best").checked; changed_form(); };
all("[name=cap-write]").forEach((one) => { one.onchange = () => { form().write = one.value; changed_form(); }; });
function changed_form() { keep(); draw_form(); }

// What keeps it from its work; "" for nothing.
function lacking() {
  if (!wanted().length) return words.lacks_captioner;
  if (!how_many()) return words.lacks_pictures;
  return run && !run.over ? words.lacks_end : "";
}

function draw_go() {
  const why = lacking(), button = find("#cap-go");
  button.classList.toggle("lacking", Boolean(why));
  button.querySelector("small").textContent = why || counted("for_n", how_many());
}

find("#cap-go").onclick = () => {
  if (lacking() || performance.now() - pressed < ASK_MS) return;
  pressed = performance.now();
  props.value = JSON.parse(JSON.stringify({ project: project.id, which: meant(), form: { ...form(), captioners: wanted(), clips: form().clips.filter((name) => offer.clips.includes(name)), best_of: find("#cap-best").checked } }));
  trigger("ask");
};

// -- the run
const names_of = (one) => one.captioners.map((name) => words.captioners[name] || name).join(" · ");
const clock = (seconds) => new Date(seconds * 1000).toLocaleString(props.language, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });

// While a run is on show its words stand under the captions they would replace.
function proposing() { return run && run.id !== held.hidden && (!run.over || run.write === "review" || run.state !== "done") && run.done > 0; }

async function look() {
  clearTimeout(timer);
  if (!project || !root.isConnected) return;
  const of = project.id, before = run;
  try {
    const now = await asked("GET", below(`captions?${tongue}`));
    if (!project || project.id !== of) return;
    runs = now;
    run = runs[0] || null;
    if (before?.id !== run?.id) proposals.clear();
    await read_rows();
    if (before && run && before.id === run.id && !before.over && run.over) await refresh();
  } catch (problem) { if (!problem.lost && problem.status !== 404) refuse(problem); }
  draw_run();
  if (seen && run && !run.over) timer = setTimeout(look, ASK_MS);
}

// What the run said of the pictures of this page, as far as it has come.
async function read_rows() {
  const lack = proposing() ? records.filter((one) => !proposals.has(one.asset)).map((one) => one.asset) : [];
  if (lack.length) for (const row of await asked("POST", below(`captions/${run.id}/rows`), { assets: lack })) proposals.set(row.image, row);
  if (!proposing()) proposals.clear();
  for (const row of body.children) propose(row);
}

function draw_run() {
  const strip = find(".cap-run");
  strip.hidden = !run || run.id === held.hidden;
  draw_go();
  if (strip.hidden) { root.dataset.run = ""; return; }
  root.dataset.run = run.over ? run.state : run.stopping ? "stopping" : "running";
  const share = run.total ? Math.min(1, run.done / run.total) : 0, bar = find(".cap-run progress");
  bar.hidden = run.over;
  bar.value = share;
  const text = run.over ? words.run_states[run.state === "done" && run.write === "review" ? "review" : run.state] || run.state : run.stopping ? words.stopping : run.state === "queued" ? words.waits : run.done ? fill(words.at_of, { done: whole(run.done), total: whole(run.total) }) : run.note ? sentence(run.note) : words.working;
  find(".cap-run strong").textContent = run.over ? fill(text, { done: whole(run.done), total: whole(run.total) }) : text;
  find(".cap-run span").textContent = run.over && run.state !== "done" && run.sentence ? sentence(run.sentence) : `${names_of(run)} · ${clock(run.created)}`;
  const may = { stop: !run.over && !run.stopping, go_on: run.over && run.state !== "done", take_all: run.over && run.done > 0 && (run.write === "review" || run.state !== "done"), hide: run.over };
  for (const [act, can] of Object.entries(may)) find(`.cap-run [data-act=${act}]`).hidden = !can;
  find(".cap-run [data-act=take_all]").textContent = words.take_all;
  find(".cap-run [data-act=take_all]").title = counted("take_all_help", how_many());
}

async function stop_run() { try { await asked("POST", `/api/runs/${run.id}/stop`); } catch (problem) { refuse(problem); } await look(); }
async function go_on() { try { await asked("POST", `/api/runs/${run.id}/resume`); trigger("resumed", { run: run.id }); } catch (problem) { refuse(problem); } await look(); }
function hide_run() { held.hidden = run.id; keep(); proposals.clear(); draw_run(); read_rows(); }

async function take_all(id, captioner = "") {
  try { tell(await asked("POST", below(`captions/${id}/take`), { which: meant(), captioner })); } catch (problem) { refuse(problem); }
  await refresh();
}
