// A data set on its way into a project: sent as a ZIP or opened in a folder, looked through, shown as it was understood, taken in.
// The runs go on without the page: what it needs to find them again is kept in the browser. Shares the names of shelf.js.

const knowing = find(".shf-ingest"), shown_set = find(".shf-known"), coming = find(".shf-coming"), target = find("select[name=target]");
const SET = "flawsmith-data-set", ENDED = ["done", "failed", "cancelled", "quarantined"], FOLLOW_MS = 500, PIECE = 8 * 2 ** 20, MOST_ZIP = 1000 * 2 ** 20;
let held = recalled_set(); // {data, label, layout, check, ingest, choices, boxes, into}: what is open; null for none
let told_of = null; // what the server says of its newest run, the look through or the taking in
let following = 0, sending = null; // sending: a ZIP on its way, {name, done, size, stop}

function recalled_set() { try { return JSON.parse(localStorage.getItem(SET) || "null"); } catch { return null; } }
function keep_set() { try { if (held) localStorage.setItem(SET, JSON.stringify(held)); else localStorage.removeItem(SET); } catch { /* a browser that keeps nothing forgets it at a refresh */ } }
function filled_in(text, values) { return text.replace(/\{(\w+)\}/g, (hole, name) => (name in values ? values[name] : hole)); }
function whole(value) { return Number(value).toLocaleString(props.language); }
function set_ended() { return told_of !== null && ENDED.includes(told_of.state); }

// -- what comes as a ZIP, a piece at a time
async function take_zip([file, ...more]) {
  const words = props.words, name = encodeURIComponent(file.name), headers = { "X-Filename": name, "Content-Type": "application/zip" };
  if (more.length || sending) trigger("refuse", { sentence: filled(words.one_zip, (more[0] || file).name) });
  if (sending) return;
  if (file.size > MOST_ZIP) { trigger("refuse", { sentence: filled(words.zip_large, file.name, bytes(MOST_ZIP)) }); return; }
  sending = { name: file.name, done: 0, size: file.size, stop: new AbortController() };
  let upload = "", made = null;
  draw_coming();
  try {
    for (let at = 0; !made; at = sending.done) {
      const piece = file.slice(at, at + PIECE), last = at + piece.size >= file.size;
      if (last) sending.done = file.size;
      draw_coming();
      const found = await asked("POST", `/api/uploads/zip?${query({ upload, at, last })}`, piece, sending.stop.signal, headers);
      if (last) made = found; else { ({ upload } = found); sending.done = found.bytes; }
    }
  } catch (problem) {
    if (!sending.stop.signal.aborted) refuse(problem);
    if (upload) asked("DELETE", `/api/uploads/zip/${upload}`).catch(() => {});
  }
  sending = null;
  draw_coming();
  if (made) open_as_set(made.id, made.label);
}

// A folder with labels, as a ZIP that is packed here; one that is too large for that gives its pictures alone.
async function take_folder(files) {
  const name = place(files[0]).split("/")[0], size = files.reduce((sum, file) => sum + file.size, 0);
  if (files.length > MOST_ZIPPED || size > MOST_ZIP) { take_in(files.filter((file) => PICTURE.test(file.name)), 0, true); return; }
  if (sending) { trigger("refuse", { sentence: filled(props.words.one_zip, name) }); return; }
  sending = { name, done: 0, size, stop: new AbortController() };
  draw_coming();
  let zip = null;
  try { zip = await packed_files(name, files.map((file) => ({ name: place(file), file })), () => sending.stop.signal.aborted); } catch (problem) { refuse(problem); }
  sending = null;
  draw_coming();
  if (zip) await take_zip([zip]);
}

// -- looking through, taking in
async function open_place() {
  const { root, path } = seen;
  try {
    const made = await asked("POST", "/api/datasets", { root, path });
    dialog.close();
    await open_as_set(made.id, made.label);
  } catch (problem) { refuse(problem); }
}

// One at a time: while another is taken in, that one is shown.
async function open_as_set(data, label) {
  if (held && held.ingest && !set_ended()) { ingesting.show_set(); return; }
  if (held && held.check && !set_ended()) await stop_set();
  held = { data, label, layout: "auto", check: "", ingest: "", choices: {}, boxes: "keep", into: project && !all ? project.id : "" };
  if (!knowing.open) knowing.showModal();
  await look_through();
}

async function look_through() {
  following++;
  if (held.check && told_of && !set_ended()) await stop_set();
  Object.assign(held, { check: "", ingest: "", choices: {} });
  told_of = null;
  await submit_set("check", { task: "check", data: held.data, layout: held.layout });
}

async function take_set() {
  const faults = Object.fromEntries(Object.entries(held.choices).filter(([, choice]) => choice));
  held.project = target.value;
  await submit_set("ingest", { task: "ingest", data: held.data, layout: told_of.found.layout, project: target.value, boxes: held.boxes, faults });
}

async function submit_set(kind, request) {
  const before = told_of;
  told_of = { state: "queued", done: 0, total: 0 };
  draw_set();
  try { held[kind] = (await asked("POST", "/api/runs", request)).id; }
  catch (problem) {
    told_of = kind === "ingest" ? before : { state: "failed", sentence: problem.message, found: null };
    refuse(problem);
    draw_set();
    return;
  }
  await follow_set();
}

// Also of a page that was loaded anew while it goes on.
async function follow_set() {
  if (!held || !(held.ingest || held.check)) { held = null; draw_coming(); return; }
  const mine = ++following, kind = held.ingest ? "ingests" : "checks", id = held.ingest || held.check;
  keep_set();
  while (mine === following && root.isConnected) {
    try { told_of = await asked("GET", `/api/datasets/${kind}/${id}?${query({ language: props.language })}`); }
    catch (problem) { if (problem.lost) { await new Promise((done) => { setTimeout(done, 4 * FOLLOW_MS); }); continue; } if (mine === following) forget_set(); return; }
    if (mine !== following) return;
    draw_set();
    if (set_ended()) break;
    await new Promise((done) => { setTimeout(done, FOLLOW_MS); });
  }
  if (mine === following && held.ingest && set_ended()) await taken();
}

// It is over: the pictures are shown, where somebody waits for them; else what was on show is read again.
async function taken() {
  const found = told_of.found, summary = summed();
  try { localStorage.removeItem(SET); } catch { /* nothing was kept */ }
  try {
    await reload();
    if (found && knowing.open && (!project || project.id !== found.project)) await choose_project(found.project);
    else await refresh();
  } catch (problem) { refuse(problem); }
  if (knowing.open) return;
  show_report({ sum: `${held.label}: ${summary[0]}`, refused: summary.slice(1) });
  forget_set();
}

function summed() {
  const words = props.words, { found, state, sentence } = told_of;
  if (!found) return [state === "cancelled" ? words.take_stopped : filled_in(words.take_failed, { why: sentence || "" })];
  const lines = [filled_in(words.taken_in, { n: whole(found.added) })], open = found.faults.filter((one) => one.stops && !held.choices[one.kind]);
  if (!found.added && found.images) lines.push(filled_in(words.taken_before, { n: whole(found.images - found.unread) }));
  if (found.left_out) lines.push(filled_in(words.taken_out, { n: whole(found.left_out), list: open.map((one) => filled_in(words.fault_count, { fault: words.faults[one.kind] || one.kind, n: whole(one.count) })).join(", ") }));
  if (found.unread) lines.push(filled_in(words.taken_unread, { n: whole(found.unread) }));
  return lines;
}

async function stop_set() {
  if (sending) { sending.stop.abort(); return; }
  const id = held && (held.ingest || held.check);
  if (id) await asked("POST", `/api/runs/${id}/stop`).catch(refuse);
}

function forget_set() { following++; held = told_of = null; keep_set(); if (knowing.open) knowing.close(); draw_coming(); }

// -- the strip above the pictures, while the dialogue is closed
function draw_coming() {
  const words = props.words, bar = coming.querySelector("progress"), say = coming.querySelector("span"), button = (act) => coming.querySelector(`[data-act=${act}]`);
  coming.hidden = !sending && (!held || knowing.open);
  if (coming.hidden) return;
  const waits = sending || !set_ended();
  bar.hidden = !waits;
  button("show_set").hidden = Boolean(sending);
  button("stop_set").hidden = !waits;
  button("forget_set").hidden = Boolean(waits);
  if (sending) {
    const { name, done, size } = sending;
    if (done < size) bar.value = done / size; else bar.removeAttribute("value");
    say.textContent = done < size ? filled_in(words.sending, { name, done: bytes(done), size: bytes(size) }) : filled_in(words.unpacking, { name });
    return;
  }
  gone_so_far(bar);
  say.textContent = `${held.label}: ${waits ? said_so_far() : words.understood}`;
}

function gone_so_far(bar) { if (told_of && told_of.total > 1 && told_of.done) bar.value = told_of.done / told_of.total; else bar.removeAttribute("value"); }

function said_so_far() {
  const words = props.words;
  if (!told_of || told_of.state === "queued") return words.waiting;
  return told_of.note || (held.ingest ? words.taking_in : words.looking);
}

// -- the dialogue
function draw_set() {
  draw_coming();
  if (!knowing.open || !held) return;
  const words = props.words, over = set_ended(), found = over ? told_of.found : null, ready = Boolean(found) && !held.ingest, taken_in = over && held.ingest;
  find(".shf-set").textContent = held.label;
  for (const button of knowing.querySelectorAll(".shf-foot [data-act]")) button.hidden = { stop_set: over, take_set: !ready, close_set: !taken_in }[button.dataset.act];
  find(".shf-target").hidden = !ready;
  if (ready) {
    find("[data-act=take_set]").textContent = filled_in(words.take_in_n, { n: whole(found.images) });
    find("[data-act=take_set]").disabled = !found.images;
    draw_target();
  }
  if (!over) {
    let bar = shown_set.querySelector(".shf-wait progress");
    if (!bar) {
      bar = Object.assign(made("progress", ""), { max: 1, ariaLabel: words.understood });
      shown_set.replaceChildren(made("div", "shf-wait", made("p", ""), bar, made("small", "")));
    }
    gone_so_far(bar);
    bar.hidden = told_of.state === "queued";
    shown_set.querySelector(".shf-wait p").textContent = said_so_far();
    shown_set.querySelector(".shf-wait small").textContent = held.ingest ? words.goes_on : "";
  } else if (taken_in) shown_set.replaceChildren(made("div", "shf-wait", ...summed().map((text, place) => made(place ? "p" : "strong", "", text))));
  else if (found) draw_understood(found);
  else {
    const why = told_of.state === "cancelled" ? words.look_stopped : filled_in(words.look_failed, { why: told_of.sentence || "" });
    const again = Object.assign(made("button", "shf-add", words.look_again), { type: "button", onclick: look_through });
    shown_set.replaceChildren(layout_line(null), made("div", "shf-wait", made("p", "", why), again));
  }
}

function option(value, text) { return Object.assign(document.createElement("option"), { value, textContent: text }); }

function choosing(label, options, value, change) {
  const select = Object.assign(document.createElement("select"), { ariaLabel: label });
  select.append(...options.map(([key, text]) => option(key, text)));
  select.value = value;
  select.onchange = () => { change(select.value); keep_set(); };
  return select;
}

function draw_target() {
  const words = props.words, options = project ? [option("", words.into_new), option(project.id, filled_in(words.into_this, { name: project.name }))] : [option("", words.into_new)];
  const key = options.map((one) => one.value + one.textContent).join();
  if (target.dataset.of === key) return;
  target.dataset.of = key;
  target.replaceChildren(...options);
  target.value = project && held.into === project.id ? held.into : "";
}

function layout_line(found) {
  const words = props.words, box = made("label", "shf-layout", made("span", "", words.layout));
  const name = (key) => (key === "auto" && found && held.layout === "auto" ? filled_in(words.found_layout, { layout: words.layouts[found.layout] || found.layout }) : words.layouts[key]);
  box.append(choosing(words.layout, Object.keys(words.layouts).map((key) => [key, name(key)]), held.layout, (value) => { held.layout = value; look_through(); }), made("small", "", words.say_layout));
  return box;
}

function draw_understood(found) {
  const words = props.words, sizes = Object.entries(found.sizes || {}), asks = found.faults.filter((one) => one.stops), hints = found.faults.filter((one) => !one.stops);
  const fact = (name, value) => made("div", "", made("dt", "", name), made("dd", "", value)), facts = [fact(words.fact_pictures, whole(found.images)), fact(words.fact_good, whole(found.good))];
  if (found.masks) facts.push(fact(words.fact_masks, whole(found.masks)));
  if (found.boxes) facts.push(fact(words.fact_boxes, whole(found.boxes)));
  const size = (text) => text.replace(" x ", " × "), few = sizes.slice(0, 5).reduce((sum, [, number]) => sum + number, 0) > found.images / 2; // a bar for each would tell nothing
  if (sizes.length === 1) facts.push(fact(words.fact_sizes, size(sizes[0][0])));
  else if (sizes.length && !few) facts.push(fact(words.fact_sizes, `${size(found.from_size)} – ${size(found.to_size)}`));
  const parts = [layout_line(found), made("dl", "shf-knows", ...facts)], graphs = [];
  const classes = Object.entries(found.classes).sort((a, b) => b[1] - a[1]);
  if (classes.length) graphs.push(bars(words.classes, classes));
  if (sizes.length > 1 && few) graphs.push(bars(words.fact_sizes, [...sizes.slice(0, 5).map(([text, number]) => [size(text), number]), ...rest_of(sizes, found.other_sizes || 0)]));
  if (graphs.length) parts.push(made("div", "shf-graphs", ...graphs));
  if (found.boxes) {
    const ways = choosing(words.boxes_become, Object.entries(words.box_ways), held.boxes, (value) => { held.boxes = value; });
    parts.push(made("label", "shf-layout", made("span", "", words.boxes_become), ways));
  }
  if (asks.length) {
    const every = Object.assign(made("button", "shf-add", words.recommend_all), { type: "button", onclick: () => { for (const one of asks) held.choices[one.kind] = one.choices[0]; keep_set(); draw_understood(found); } });
    const head = made("div", "shf-row", made("h3", "", filled_in(words.faults_title, { n: asks.length })), made("div", "shf-space"), every);
    parts.push(made("section", "shf-faults", head, made("p", "", words.faults_how), ...asks.map((one) => fault_line(one, "later"))));
  }
  if (hints.length) parts.push(made("section", "shf-faults", made("h3", "", filled_in(words.hints_title, { n: hints.length })), ...hints.map((one) => fault_line(one, "as_is"))));
  if (!found.faults.length) parts.push(made("p", "shf-fine", words.faults_none));
  shown_set.replaceChildren(...parts);
}

function rest_of(sizes, other) {
  const rest = sizes.slice(5).reduce((sum, [, number]) => sum + number, other);
  return rest ? [[props.words.other_sizes, rest]] : [];
}

// One kind of fault: how many, some of them in sentences, and what is to be done. Undecided is a choice too.
function fault_line(fault, undecided) {
  const words = props.words, title = filled_in(words.fault_count, { fault: words.faults[fault.kind] || fault.kind, n: whole(fault.count) }), rest = fault.count - fault.sentences.length;
  const list = made("ul", "", ...fault.sentences.map((text) => made("li", "", text)), ...(rest > 0 ? [made("li", "", filled_in(words.fault_more, { n: whole(rest) }))] : []));
  const given = fault.choices.filter((one) => undecided === "later" || one !== "use").map((one, at) => [one, undecided === "later" && !at ? filled_in(words.recommended, { choice: words.choices[one] }) : words.choices[one]]);
  const options = undecided === "later" ? [...given, ["", words.later]] : [["", words.as_is], ...given];
  const select = choosing(`${title}: ${words.what_to_do}`, options, held.choices[fault.kind] || "", (value) => { held.choices[fault.kind] = value; });
  return made("div", "shf-fault", made("details", "", made("summary", "", title), list), ...(fault.choices.length ? [select] : []));
}

knowing.addEventListener("close", () => { if (held && held.ingest && set_ended()) forget_set(); else draw_coming(); });
document.addEventListener("flawsmith-open-set", (event) => { if (root.isConnected) open_as_set(event.detail.data, event.detail.label); });
addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });
const ingesting = {
  open_set: open_place, take_set, stop_set, forget_set, close_set: () => knowing.close(),
  show_set: () => { knowing.showModal(); draw_set(); },
};
