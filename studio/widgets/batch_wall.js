// The pictures of a batch as they come, the last first, a page at a time; and one of them large. Shares the names of batch_open.js.

const WALL = 48;
let before = null, older = null, pictures = [], turn = 0, wall_of = "", looked = null; // before: where the page begins; null = the newest

// The edge of a mask, drawn over the picture it belongs to.
function outline(canvas, address) {
  const mask = new Image();
  mask.onload = () => {
    const width = (canvas.width = mask.naturalWidth), height = (canvas.height = mask.naturalHeight), pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(mask, 0, 0);
    const shown = pen.getImageData(0, 0, width, height), inside = new Uint8Array(width * height), { data } = shown, thick = Math.max(1, Math.round(width / 220));
    for (let at = 0; at < inside.length; at += 1) inside[at] = data[at * 4] > 60 ? 1 : 0;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(root).getPropertyValue("--amber");
    for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) {
      const at = y * width + x;
      if (inside[at] && !(x && inside[at - 1] && x < width - 1 && inside[at + 1] && y && inside[at - width] && y < height - 1 && inside[at + width])) pen.fillRect(x - (thick >> 1), y - (thick >> 1), thick, thick);
    }
    canvas.dataset.drawn = "1";
  };
  mask.src = address;
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
  find("#batch-outline").checked = held.outline;
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
  const one = looked, scores = Object.entries(one.scores || {}), canvas = zoom.querySelector("canvas");
  zoom.querySelector("h2").textContent = called(one.class);
  const reason = zoom.querySelector(".bt-reason"), why = one.failed || one.aside?.why || "";
  reason.hidden = !why;
  reason.textContent = why ? `${words.aside_state}: ${why}` : "";
  Object.assign(zoom.querySelector("img"), { src: one.file ? `${one.file}?side=1024` : "", hidden: !one.file, alt: called(one.class) });
  canvas.hidden = !one.mask || !held.outline;
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  if (!canvas.hidden) outline(canvas, `${one.mask}?side=1024`);
  const lines = [[words.number, whole(one.index + 1)], [words.attempt, whole(one.attempt + 1)], ...(one.source ? [[words.source, one.source]] : []), ...(one.seed === undefined ? [] : [[words.seed, String(one.seed)]]), ...scores.map(([name, value]) => [words.scores[name] || name, Number(value).toLocaleString(props.language, { maximumFractionDigits: 2 })])];
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
find("#batch-outline").onchange = (event) => { held.outline = event.target.checked; keep(); draw_outlines(); };
