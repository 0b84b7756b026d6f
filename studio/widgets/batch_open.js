// What the parts of the Batch tab share: where they are drawn, and what this browser remembers of the plan.

const root = element.querySelector(".bt"), words = props.words, find = (selector) => root.querySelector(selector), all = (selector) => [...root.querySelectorAll(selector)];
const MEMORY = "flawsmith-batch";

function made(tag, more = {}, ...children) {
  const found = Object.assign(document.createElement(tag), more);
  found.append(...children);
  return found;
}

function later(what, ms) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(what, ms); };
}

const refuse = (problem) => { if (!problem.lost) trigger("refuse", { sentence: problem.message }); };
const counted = (key, n) => fill(words[n === 1 ? `${key}_one` : key], { n: whole(n) });
const percent = (value) => String(Math.round(value * 100));

function fresh() {
  const gates = Object.fromEntries(Object.entries(props.gates).map(([name, one]) => [name, one.on ? one.start : null]));
  return { on: "project", which: { defect: "", text: "" }, sent: null, base: "", classes: null, where: "anywhere", real: "", instances: [1, 1], size: [null, null], angle: "", vary: [], gates, count: 100, tries: 4, seed: 0, run: "", measured: null, outline: true, format: "mvtec" };
}

function recalled() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(MEMORY) || "null"); } catch { /* damaged: as if there were none */ }
  return { ...fresh(), ...(kept || {}) };
}

const held = recalled();
let project = null, menu = null; // the project on show with its tally, and what there is to choose from
function keep() { try { localStorage.setItem(MEMORY, JSON.stringify(held)); } catch { /* a browser that keeps nothing loses it at a refresh */ } }

// What the server takes of it.
function plan() {
  const { on, which, sent, base, classes, where, real, instances, size, angle, vary, gates, count, tries, seed } = held;
  const turned = angle === "" || angle === "any" ? angle : Number(angle), narrowed = Object.fromEntries(Object.entries(which).filter(([name, value]) => value !== null && (value || name === "defect")));
  return JSON.parse(JSON.stringify({ project: project?.id || "", on, which: narrowed, sent, base, classes: classes || [], where, real, instances, size, angle: turned, vary: vary.map(differing).filter(Boolean), gates, count, tries, seed }));
}

function changed() { keep(); props.value = plan(); draw_plan(); }

// A row of "what differs" as a request has it; null for one that says nothing yet.
function differing({ field, low, high }) {
  const given = [low, high].map((one) => String(one ?? "").trim());
  if (!field || !given[0]) return null;
  const list = given[0].split(/[,;]/).map((one) => one.trim()).filter(Boolean), numbers = list.map(Number);
  if (given[1]) return { field, low: Number(given[0]), high: Number(given[1]) };
  return { field, values: numbers.every(Number.isFinite) ? numbers : list };
}
