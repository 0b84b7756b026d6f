// The pictures of a batch as they come, the last first, a page at a time; and one of them large. Shares the names of batch_open.js.

const WALL = 48;
let before = null, older = null, pictures = [], turn = 0, wall_of = "", looked = null; // the picture that is large; before: where the page begins; null = the newest

// The edge of a mask, a little outside of it so that the defect is seen, drawn over the picture it belongs to.
function outline(canvas, address) {
  const mask = new Image();
  mask.onload = () => {
    const width = (canvas.width = mask.naturalWidth), height = (canvas.height = mask.naturalHeight), pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(mask, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height), thick = Math.max(1, Math.round(width / 260));
    const inside = Uint8Array.from({ length: width * height }, (_, at) => (data[at * 4] > 60 ? 1 : 0)), inner = grown(inside, width, height, 2 * thick), outer = grown(inner, width, height, thick);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(root).getPropertyValue("--amber");
    for (let at = 0; at < outer.length; at += 1) if (outer[at] && !inner[at]) pen.fillRect(at % width, Math.floor(at / width), 1, 1);
  };
  mask.src = address;
}

// A mask with every pixel that is at most so far from it, along rows and then along columns.
function grown(mask, width, height, by) {
  const spread = (from, count, length, step, stride) => {
    const found = new Uint8Array(from.length);
    for (let line = 0; line < count; line += 1) for (let at = 0, last = -Infinity, next = -by; at < length; at += 1) {
      for (; next <= at + by && next < length; next += 1) if (next >= 0 && from[line * stride + next * step]) last = next;
      if (last >= at - by) found[line * stride + at * step] = 1;
    }
    return found;
  };
  return spread(spread(mask, height, width, 1, width), width, height, width, 1);
}

const gate_of = (one) => (one.failed ? words.failed : one.aside ? words.gate_short[one.aside.gate] || one.aside.gate : "");

function tile(one) {
  const name = [called(one.class), one.aside || one.failed ? `${words.aside_state}: ${gate_of(one)}` : words.kept_state].join(", ");
  const box = made("button", { type: "button", className: "bt-tile", title: one.failed || one.aside?.why || "", ariaLabel: name });
  box.dataset.index = one.index;
  box.dataset.state = one.failed ? "failed" : one.aside ? "aside" : "kept";
  const shown = made("span", { className: "bt-thumb" });
  if (!one.failed) { shown.append(made("img", { src: one.thumb, alt: "", loading: "lazy" })); if (one.mask) shown.append(made("canvas", {})); } else shown.append(made("em", {}, "!"));
  box.append(shown, made("small", {}, made("b", {}, called(one.class)), gate_of(one)));
  box.onclick = () => enlarge(one.index);
  return box;
}

const called = (kind) => menu?.kinds[kind] || kind || words.whole_picture;

function draw_outlines() {
  root.dataset.outline = held.outline ? "1" : "";
  all(".bt-outline").forEach((box) => { box.checked = held.outline; });
  if (!held.outline) return;
  for (const box of all(".bt-tile")) {
    const one = pictures.find((each) => String(each.index) === box.dataset.index), canvas = box.querySelector("canvas");
    if (one && canvas && !canvas.dataset.asked) { canvas.dataset.asked = "1"; outline(canvas, `${one.mask}?side=256`); }
  }
}

function draw_wall(run) {
  const box = find(".bt-wall"), had = box.contains(document.activeElement) ? document.activeElement.dataset.index : "", there = new Map([...box.children].map((one) => [one.dataset.key, one]));
  box.replaceChildren(...pictures.map((one) => { const key = JSON.stringify([run, one]), old = there.get(key); if (old) return old; const fresh_one = tile(one); fresh_one.dataset.key = key; return fresh_one; }));
  if (had) box.querySelector(`[data-index="${had}"]`)?.focus();
  find("[data-act=newest]").hidden = before === null;
  find("[data-act=older]").hidden = older === null;
  find(".bt-place").textContent = pictures.length ? counted("on_wall", pictures.length) : "";
  draw_outlines();
}

async function load_wall(run, at = before) {
  const mine_now = ++turn;
  if (wall_of !== run) { wall_of = run; at = null; pictures = []; }
  try {
    const page = await asked("GET", `/api/batches/${run}/wall?limit=${WALL}&${tongue}${at === null ? "" : `&before=${at}`}`);
    if (mine_now !== turn) return;
    before = at;
    older = page.next;
    ({ pictures } = page);
    draw_wall(run);
  } catch (problem) { if (mine_now === turn) refuse(problem); }
}

// -- one of them, large
const zoom = find(".bt-zoom");

function enlarge(index) {
  looked = pictures.find((one) => one.index === index) || null;
  if (!looked) return;
  const one = looked, scores = Object.entries(one.scores || {}).filter(([name]) => words.scores[name]), canvas = zoom.querySelector("canvas");
  zoom.querySelector("h2").textContent = called(one.class);
  const reason = zoom.querySelector(".bt-reason"), why = one.failed || one.aside?.why || "";
  reason.hidden = !why;
  reason.textContent = why ? `${words.aside_state}: ${why}` : "";
  Object.assign(zoom.querySelector("img"), { src: one.file ? `${one.file}?side=1024` : "", hidden: !one.file, alt: called(one.class) });
  canvas.hidden = !one.mask || !held.outline;
  canvas.width = 1; // empties it
  if (!canvas.hidden) outline(canvas, `${one.mask}?side=1024`);
  const lines = [[words.number, whole(one.index + 1)], [words.attempt, whole(one.attempt + 1)], ...(one.source ? [[words.source, one.source]] : []), ...(one.seed === undefined ? [] : [[words.seed, String(one.seed)]]), ...scores.map(([name, value]) => [words.scores[name], Number(value).toLocaleString(props.language, { maximumFractionDigits: 2 })])];
  zoom.querySelector("dl").replaceChildren(...lines.flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)]));
  find("[data-act=paint]").hidden = !one.file;
  find("[data-act=closer]").hidden = !one.file || Boolean(one.aside);
  const place = pictures.indexOf(one);
  find("[data-act=before]").disabled = place <= 0;
  find("[data-act=after]").disabled = place >= pictures.length - 1;
  if (!zoom.open) zoom.showModal();
}

function step(by) { const next = pictures[pictures.indexOf(looked) + by]; if (next) enlarge(next.index); }
zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
zoom.addEventListener("close", () => { find(`.bt-tile[data-index="${looked?.index}"]`)?.focus(); });
zoom.addEventListener("keydown", (event) => { const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key]; if (by) { event.preventDefault(); step(by); } });
all(".bt-outline").forEach((box) => { box.onchange = () => { held.outline = box.checked; keep(); draw_outlines(); if (zoom.open) enlarge(looked.index); }; });
