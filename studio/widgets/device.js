// The header's readout: the device of the first worker, what is in use on it, how warm it is; the rest on a click.
// element and props come from gr.HTML.
const root = element.querySelector(".dev"), find = (selector) => root.querySelector(selector);
const button = find(".dev-button"), pop = find(".dev-pop");
const EVERY_MS = 3000, FULL = 0.92;

function line(title, text) { return [made("dt", "", title), made("dd", "", text)]; }

function details(worker) {
  const words = props.words, list = made("dl", "dev-list");
  const pair = (one) => fill(words.of, { used: gib(one.used), total: gib(one.total) });
  if (worker.card && "used" in worker.card) list.append(...line(words.card, pair(worker.card)));
  if (worker.memory) list.append(...line(words.memory, pair(worker.memory)), ...line(words.process, gib(worker.memory.process)));
  if (worker.role === "device" && "budget_bytes" in worker) list.append(...line(words.models, fill(words.of, { used: gib(worker.held_bytes), total: gib(worker.budget_bytes) })));
  const card = worker.card || {};
  if ("temperature_c" in card) list.append(...line(words.temperature, `${number(card.temperature_c, 0)} °C`));
  if ("power_w" in card) list.append(...line(words.power, `${number(card.power_w, 0)} W`));
  if (worker.dtype) list.append(...line(words.dtype, worker.dtype));
  if (worker.attention) list.append(...line(words.attention, worker.attention));
  const part = made("section", "dev-worker");
  part.append(made("strong", "", name(worker)), made("p", "", why(worker)), list);
  return part;
}

function blank(state) {
  root.dataset.state = state;
  find(".dev-name").textContent = props.words[state];
  for (const part of [".dev-used", ".dev-heat"]) find(part).textContent = "";
  button.title = props.words[`${state}_help`];
  button.setAttribute("aria-label", `${props.words.name}: ${button.title}`);
  pop.replaceChildren(made("p", "", button.title));
}

function show(machine) {
  const [first] = machine.workers;
  if (!first) { blank("none"); return; }
  const used = inUse(first), share = used ? used.used / used.total : 0;
  root.dataset.state = "alive";
  root.dataset.full = share >= FULL ? "1" : "";
  root.dataset.known = used ? "1" : "";
  find(".dev-name").textContent = first.short;
  find(".dev-track i").style.width = percent(share);
  find(".dev-used").textContent = used ? `${number(used.used / GIB, 1)} / ${gib(used.total)}` : "";
  find(".dev-heat").textContent = heat(first).join(" · ");
  button.title = why(first);
  const told = [first.short, used && fill(props.words.of, { used: gib(used.used), total: gib(used.total) }), ...heat(first)];
  button.setAttribute("aria-label", `${props.words.name}: ${told.filter(Boolean).join(", ")}`);
  const disk = made("dl", "dev-list dev-disk");
  disk.append(...line(props.words.disk, gib(machine.disk.free)));
  pop.replaceChildren(...machine.workers.map(details), disk);
}

async function poll() {
  if (document.hidden || !root.isConnected) return;
  try { show(await look()); } catch (problem) { blank("away"); }
}

// In the top layer nothing of the page can cut it off; Escape and a click elsewhere close it, as the browser does.
button.popoverTargetElement = pop;
pop.setAttribute("aria-label", props.words.name);
pop.addEventListener("beforetoggle", () => {
  const place = button.getBoundingClientRect();
  pop.style.top = `${place.bottom + 6}px`;
  pop.style.right = `${Math.max(8, document.documentElement.clientWidth - place.right)}px`;
});
document.addEventListener("visibilitychange", poll);
setInterval(poll, EVERY_MS);
poll();
