// The rows of the table: a caption is edited where it stands. What is typed is kept in the browser until the server has it, so that
// neither a refused change nor a refresh loses it. Shares the names of caption_open.js.

const body = find(".cap-table tbody"), proposals = new Map(); // asset -> what the run on show said of it
const drafts_at = () => `${MEMORY}-drafts-${project.id}`;
let drafts = {}, pending = Promise.resolve(); // what is still on its way to the server

function recall_drafts() { try { drafts = JSON.parse(localStorage.getItem(drafts_at()) || "{}"); } catch { drafts = {}; } }
function keep_draft(asset, text) {
  if (text === undefined) { if (!(asset in drafts)) return; delete drafts[asset]; } else drafts[asset] = text;
  try { if (Object.keys(drafts).length) localStorage.setItem(drafts_at(), JSON.stringify(drafts)); else localStorage.removeItem(drafts_at()); }
  catch { /* full: what is typed stays on the page */ }
}

// -- drawing
function row_of(record) {
  const tick = made("input", { type: "checkbox", ariaLabel: fill(words.choose_row, { name: record.name }) });
  const look = made("button", { type: "button", className: "cap-thumb", title: words.compare_help, ariaLabel: fill(words.compare_row, { name: record.name }) }, made("img", { src: picture_of(record, 256), alt: "", loading: "lazy" }));
  const box = editor(record), row = made("tr", {}, made("td", {}, tick), made("td", {}, look), made("td", { className: "cap-name" }), made("td", {}, box, made("div", { className: "cap-said", hidden: true })), made("td", { className: "cap-tags" }));
  row.dataset.asset = record.asset;
  row.record = record;
  tick.onclick = (event) => choose(row, event.shiftKey);
  look.onclick = () => compare(record);
  dress(row);
  return row;
}

// The row again with what is known now; a text somebody is at stays.
function dress(row) {
  const { record } = row, named = row.querySelector(".cap-name"), box = row.querySelector(".cap-edit"), text = drafts[record.asset];
  named.replaceChildren(made("span", { title: record.name }, record.name), made("small", {}, called(record.defect)));
  box.show(text === undefined ? record.caption : text);
  if (text === record.caption) keep_draft(record.asset); else if (text !== undefined && !box.state) box.say("draft", words.unsaved);
  row.querySelector(".cap-tags").replaceChildren(...record.tags.split(", ").filter(Boolean).map((tag) => made("span", {}, tag)));
  row.querySelector("[type=checkbox]").checked = chosen.has(record.asset);
  row.classList.toggle("chosen", chosen.has(record.asset));
  propose(row);
}

// What a run would write here, where it is something else than what stands here.
function propose(row) {
  const said = proposals.get(row.record.asset), box = row.querySelector(".cap-said");
  box.hidden = !said || !said.caption || said.caption === row.record.caption;
  if (box.hidden || box.textContent.startsWith(said.caption)) return;
  const take = made("button", { type: "button", ariaLabel: fill(words.take_row, { name: row.record.name }) }, words.take);
  take.onclick = () => give(row.record, said.caption);
  box.replaceChildren(made("span", {}, said.caption), take);
}

function draw_rows(now) {
  const same = now.length === records.length && now.every((one, place) => one.asset === records[place].asset) && body.children.length === now.length;
  if (same) now.forEach((one, place) => { Object.assign(records[place], one); dress(body.children[place]); });
  else { records = now; body.replaceChildren(...records.map(row_of)); }
  records.forEach((one) => { if (chosen.has(one.asset)) chosen.set(one.asset, one); });
}

const row_at = (asset) => body.querySelector(`[data-asset="${CSS.escape(asset)}"]`);

// -- the caption, edited where it stands
// A box with the text and what became of it; also the one beside the large picture.
function editor(record, alone = false) {
  const text = made("textarea", { rows: 1, maxLength: 4000, spellcheck: false, placeholder: words.no_caption, ariaLabel: fill(words.caption_of, { name: record.name }) });
  const state = made("span", { className: "cap-state", role: "status" }), box = made("div", { className: "cap-edit" }, text, state);
  let sent = null, wanted = Promise.resolve();
  box.show = (now) => { if (document.activeElement !== text || text.value === "" || !(record.asset in drafts)) { if (text.value !== now) { text.value = now; grow(text); } } };
  box.say = (name, sentence = "") => { box.state = box.dataset.state = name; state.textContent = { saving: "…", saved: "✓", draft: "●", failed: "!" }[name] || ""; state.title = sentence; state.ariaLabel = sentence; box.querySelector("p")?.remove(); if (name === "failed") box.append(failed(sentence)); };
  const failed = (sentence) => { const again = made("button", { type: "button" }, words.again); again.onclick = () => { sent = null; box.save(); }; return made("p", { role: "alert" }, fill(words.not_saved, { why: sentence }), " ", again); };
  box.save = () => {
    const now = one_line(text.value);
    if (now === record.caption && sent === null) { keep_draft(record.asset); if (text.value !== now) text.value = now; if (box.state === "draft") box.say(""); return wanted; }
    if (now === sent) return wanted;
    sent = now;
    box.say("saving", words.saving);
    wanted = wanted.then(async () => {
      try {
        const step = await asked("POST", below("each"), { values: { [record.asset]: { caption: now } } });
        if (!step.count && now !== record.caption) throw new Error(words.row_gone);
        record.caption = now;
        if (one_line(text.value) === now) { keep_draft(record.asset); text.value = now; box.say("saved", words.saved); }
        changed_one(record);
      } catch (problem) { box.say("failed", problem.message); }
      if (sent === now) sent = null;
    });
    pending = Promise.all([pending, wanted]);
    return wanted;
  };
  text.oninput = () => { keep_draft(record.asset, text.value); if (box.state !== "draft") box.say("draft", words.unsaved); grow(text); };
  text.onblur = () => box.save();
  text.onkeydown = (event) => { if (!event.isComposing && !event.altKey) typed(event, record, box, text, alone); };
  requestAnimationFrame(() => grow(text));
  return box;
}

const GROWS = CSS.supports("field-sizing", "content");
function grow(text) { if (!GROWS && text.isConnected) { text.style.height = "auto"; text.style.height = `${text.scrollHeight + 2}px`; } }

function typed(event, record, box, text, alone) {
  const at_end = text.selectionStart === text.value.length, at_start = text.selectionEnd === 0, plain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  if (event.key === "Enter") {
    event.preventDefault();
    box.save();
    if ((event.ctrlKey || event.metaKey) && !alone) to_row(record, 1);
  } else if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    keep_draft(record.asset);
    text.value = record.caption;
    grow(text);
    box.say("");
  } else if (!alone && plain && ((event.key === "ArrowDown" && at_end) || (event.key === "ArrowUp" && at_start))) {
    event.preventDefault();
    to_row(record, event.key === "ArrowDown" ? 1 : -1);
  }
}

async function to_row(record, by) {
  const place = records.findIndex((one) => one.asset === record.asset) + by;
  if (!records[place] && !(await turn(by))) return;
  const row = body.children[records[place] ? place : by > 0 ? 0 : records.length - 1], text = row?.querySelector("textarea");
  if (!text) return;
  text.focus();
  text.setSelectionRange(text.value.length, text.value.length);
  row.scrollIntoView({ block: "nearest" });
}

// A caption that was clicked, not typed.
async function give(record, caption) {
  keep_draft(record.asset);
  try {
    await asked("POST", below("each"), { values: { [record.asset]: { caption } } });
    record.caption = one_line(caption);
    changed_one(record);
  } catch (problem) { refuse(problem); }
}

// The same record may be on show in the table and beside the large picture.
function changed_one(record) {
  const row = row_at(record.asset);
  if (row) { Object.assign(row.record, { caption: record.caption }); dress(row); }
  compared_again(record);
  stepped();
}

// What is being typed when the page goes away still reaches the server; where it does not, it is here when the page comes back.
addEventListener("pagehide", () => {
  const text = document.activeElement, row = text?.closest?.(".cap-table tr");
  if (!project || !row || !root.contains(text) || text.type !== "textarea" || one_line(text.value) === row.record.caption) return;
  fetch(below("each"), { method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body: JSON.stringify({ values: { [row.record.asset]: { caption: text.value } } }) });
});

// -- choosing
let anchor = "";
function choose(row, range) {
  const on = row.querySelector("[type=checkbox]").checked, rows = [...body.children], from = rows.findIndex((one) => one.dataset.asset === anchor), to = rows.indexOf(row);
  for (const one of range && from >= 0 ? rows.slice(Math.min(from, to), Math.max(from, to) + 1) : [row]) {
    if (on) chosen.set(one.dataset.asset, one.record); else chosen.delete(one.dataset.asset);
    dress(one);
  }
  anchor = row.dataset.asset;
  mark();
}
