// What holds the picture: a row for each kind of map, and the maps themselves, to be laid over the canvas. What is chosen is held by
// the card beside it, which asks for all of it at once; the maps are asked for by themselves, a moment after something changed.
// element, props, trigger and watch come from gr.HTML; MapRow and Tried from the files beside this.

const find = (selector) => root.querySelector(selector), words = props.words;
const LOOK_MS = 350, AS_BIG = new Map(); // address -> picture, of the maps that were laid over
const MAKES = ["annotator", "low", "high", "image"];
let more = false, laid = "", turn = 0, run = "", asked = "", timer = null, items = {}, asset = "";

const card = () => document.querySelector(`#${props.card} .wh`)?.which;
const canvas = () => document.querySelector(`#${props.painted} .mc`)?.canvas;
const held = () => card().read();
const net_of = (kind) => card().base().nets?.[kind];
const stands = (kind) => more || held().common.steer[kind].on || (props.first.includes(kind) && held().common.recipe === "defect");
const on = () => props.kinds.filter((kind) => held().common.steer[kind].on && held().common.steer[kind].scale > 0);
const whole = () => held().common.recipe !== "defect" || !Number(document.querySelector(`#${props.painted} .mc`).dataset.painted);

function change(kind, said) {
  const steer = held().common.steer;
  card().set("steer", { ...steer, [kind]: { ...steer[kind], ...said } });
}

async function upload(kind, file) {
  const form = new FormData();
  form.append("file", file);
  try {
    const answer = await fetch(props.uploads, { method: "POST", body: form }), body = await answer.json();
    if (!answer.ok) throw new Error(body.error.message);
    change(kind, { image: body.asset, name: file.name, on: true });
  } catch (problem) { trigger("refuse", { sentence: problem.message }); }
}

const rows = Object.fromEntries(props.kinds.map((kind) => [kind, new MapRow(kind, props, {
  change: (said) => change(kind, said), lay: () => lay(laid === kind ? "" : kind), models: () => trigger("models"), upload: (file) => upload(kind, file),
})]));
find(".st-tiles").append(...Object.values(rows).map((row) => row.tile));

const tried = new Tried(props, {
  start: () => trigger("try_values"), why, most: () => Math.max(0, ...usable().map((kind) => held().common.steer[kind].scale)), take,
});

const usable = () => on().filter((kind) => net_of(kind)?.ready);

// What keeps Generate from its work, in few words: what to do about it stands above the rows. "" for nothing.
function why() {
  if (!card()) return "";
  if (!card().base().ready) return words.fetch_first;
  if (!on().length) return words.none_on;
  return usable().length ? "" : words.no_net;
}

// The values of a picture that was tried. Its maps held as strongly as the form said when it was asked for, times its own factor.
function take(cell, scales) {
  const steer = held().common.steer;
  for (const [kind, scale] of Object.entries(scales)) steer[kind] = { ...steer[kind], on: true, scale: Math.min(props.most, Number((scale * cell.control_scale).toFixed(3))) };
  card().set("steer", steer);
  if (cell.guidance_scale !== null) card().set("guidance_scale", cell.guidance_scale);
}

// -- the maps
async function lay(kind) {
  laid = items[kind] ? kind : "";
  draw_maps();
  if (!canvas()) return;
  const address = items[laid]?.file;
  if (!address) { canvas().lay(null, ""); return; }
  if (!AS_BIG.has(address)) {
    const image = Object.assign(new Image(), { src: address });
    try { await image.decode(); } catch { return; } // it was made anew meanwhile, and the new one is on its way
    AS_BIG.clear();
    AS_BIG.set(address, image);
  }
  if (items[laid]?.file !== address) return;
  canvas().lay(AS_BIG.get(address), words[laid]);
  root.dataset.laid = laid;
  find(".st-said").textContent = words.laid.replace("%", words[laid]);
}

function next_map() {
  const order = ["", ...props.kinds.filter((kind) => items[kind] && !rows[kind].tile.hidden)];
  lay(order[(order.indexOf(laid) + 1) % order.length]);
  if (!laid) find(".st-said").textContent = words.laid.replace("%", words.picture);
}

// What the maps are made of; what does not change them is not in it.
function signature() {
  const { common, area } = held(), kinds = props.kinds.filter((kind) => stands(kind) && (kind !== "mask" || !whole()));
  const drawn = common.geometry && !whole() ? [area.defect, area.severity, common.seed] : [];
  return JSON.stringify([canvas()?.stamp() || "", common.recipe, common.geometry, drawn, kinds.map((kind) => [kind, ...MAKES.map((name) => common.steer[kind][name])])]);
}

function look() {
  const stamp = canvas()?.stamp();
  if (!stamp || !root.offsetParent || !card()) return;
  if (asset && asset !== stamp.split(" ")[0]) { items = {}; lay(""); }
  asset = stamp.split(" ")[0];
  if (signature() === asked) return;
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!root.offsetParent || signature() === asked) return;
    asked = signature();
    turn += 1;
    root.dataset.looking = "1";
    trigger("look");
  }, LOOK_MS);
}

function heard_of_maps() {
  const { maps } = props;
  if (!maps || maps.turn !== turn || !turn) return;
  run = maps.run || run;
  items = maps.over ? maps.items : { ...items, ...maps.items };
  root.dataset.looking = maps.over ? "" : "1";
  root.dataset.maps = Object.keys(items).join(" ");
  find(".st-said").textContent = maps.failed || "";
  find(".st-said").dataset.failed = maps.failed ? "1" : "";
  draw_maps();
  if (laid) lay(laid);
}

function draw_maps() { for (const [kind, row] of Object.entries(rows)) row.look(items[kind], laid === kind); if (!laid) root.dataset.laid = ""; }

// -- on the page
function draw() {
  if (!card() || !held()) return;
  const { common, expert } = held(), base = card().base(), nets = Object.values(base.nets || {}), none = !base.ready || !nets.some((net) => net.ready);
  root.dataset.mode = expert ? "expert" : "simple";
  find(".st-recipe select").value = common.recipe;
  find(".st-geometry input").checked = common.geometry;
  find(".st-geometry").hidden = common.recipe !== "defect";
  find(".st-more").setAttribute("aria-expanded", more);
  find(".st-more").textContent = more ? words.fewer : words.more;
  const lack = find(".st-lack"), first = base.nets?.hed || nets[0];
  lack.hidden = !none;
  lack.firstElementChild.textContent = base.ready ? words.no_nets.replace("%", base.label) : words.no_base;
  lack.querySelector("code").textContent = first ? `python -m pipelines fetch ${[base.ready ? "" : base.name, first.name].filter(Boolean).join(" && python -m pipelines fetch ")}` : "";
  const usual = card().usual("steer");
  for (const kind of props.kinds) {
    rows[kind].tile.hidden = !stands(kind);
    rows[kind].show(common.steer[kind], usual[kind], net_of(kind), none);
  }
  draw_maps();
  look();
  root.dataset.ready = "1";
}

find(".st-recipe select").onchange = (event) => card().recipe(event.target.value);
find(".st-geometry input").onchange = (event) => card().set("geometry", event.target.checked);
find(".st-more").onclick = () => { more = !more; draw(); };
find(".st-find").onclick = () => tried.open();
find(".st-lack button").onclick = () => trigger("models");

root.steer = {
  why,
  note() {
    if (!card() || !canvas() || !canvas().stamp() || !whole()) return "";
    return held().common.recipe === "defect" ? words.whole : words.whole_recipe;
  },
  wanted() { return { maps: JSON.parse(signature())[4].map(([kind]) => kind), turn, before: run }; },
  tried() { return tried.values(); },
};

document.addEventListener("flawsmith-form", draw);
document.addEventListener("flawsmith-canvas", () => { if (root.offsetParent) draw(); });
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "m" || event.ctrlKey || event.metaKey || event.altKey || !root.offsetParent) return;
  if (!event.target.closest?.(`#${props.painted} .mc, .st-map`) || event.target.matches("input, textarea")) return;
  event.preventDefault();
  next_map();
});
watch(["maps", "grid"], () => { heard_of_maps(); tried.show(props.grid); });
new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) draw(); }).observe(root);
draw();
