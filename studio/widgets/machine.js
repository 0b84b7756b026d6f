// How sizes and workers are written, in the header and in the Models tab alike. `props` comes from gr.HTML.
const GIB = 2 ** 30, MIB = 2 ** 20;
function fill(text, values) { return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole)); }
function number(value, digits) { return value.toLocaleString(props.language, { minimumFractionDigits: digits, maximumFractionDigits: digits }); }
function gib(bytes) { return bytes >= GIB ? `${number(bytes / GIB, bytes >= 100 * GIB ? 0 : 1)} GiB` : `${number(bytes / MIB, 0)} MiB`; }
function percent(share) { return `${Math.max(0, Math.min(100, 100 * share))}%`; }
function made(tag, name, text = "") { const one = document.createElement(tag); one.className = name; one.textContent = text; return one; }

// What is in use on the device that a worker computes on: of the card's own memory, or of the machine's.
function inUse(worker) { return worker.device === "cpu" ? worker.memory : worker.card && "used" in worker.card ? worker.card : null; }
function heat(worker) {
  const card = worker.card || {}, told = [];
  if ("temperature_c" in card) told.push(`${number(card.temperature_c, 0)} °C`);
  if ("power_w" in card) told.push(`${number(card.power_w, 0)} W`);
  return told;
}
function name(worker) {
  const device = !worker.title || worker.title.includes(worker.short) ? worker.title || worker.short : `${worker.short} · ${worker.title}`;
  return worker.role === "device" ? device : `${props.words[`${worker.role}_name`]} · ${worker.short}`;
}
function why(worker) {
  const text = worker.role === "device" ? worker.reason || props.words.undecided : props.words[worker.role];
  return text.charAt(0).toUpperCase() + text.slice(1);
}

async function look() {
  const answer = await fetch(`${props.machine}?language=${props.language}`);
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}
