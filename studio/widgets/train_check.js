// The look through a data set before anything learns from it: what it holds, and every fault with a choice. Shares the names of train.js.

const CHECK_MS = 500;
let check = null, checking = 0; // check: what the server says of the look through the data that is chosen

function found_by_check() { return check && check.data === held.data ? check.found : null; }
function classes() { return Object.entries(found_by_check()?.classes || {}); }
function faults() { return found_by_check()?.faults || []; }
function stopping() { return faults().filter((one) => one.stops); }
function settled() { return !stopping().length || held.settled[held.data] === check.id; }
function choice_of(fault) { return (held.choices[held.data] || {})[fault.kind] || fault.choices[0]; }

// The one that was made before, while its run is there; else a new one.
async function look_through(anew = false) {
  const data = held.data, mine = ++checking;
  check = null;
  if (!data) { changed(); return; }
  const count = sets.projects.find((one) => one.id === data)?.count;
  if (count !== undefined) { // single pictures that somebody took in, one by one
    check = { id: data, data, state: "done", found: { images: count, good: count, classes: {}, faults: [] } };
    changed();
    return;
  }
  try {
    let id = anew ? "" : held.checks[data];
    if (id) { try { check = { ...(await asked("GET", `/api/datasets/checks/${id}?${tongue}`)), data }; } catch { id = ""; } }
    if (id && check.state !== "done" && OVER.includes(check.state)) id = "";
    if (!id) {
      check = { id: "", data, state: "queued", done: 0, total: 0 };
      draw();
      ({ id } = await asked("POST", "/api/runs", { task: "check", data }));
      held.checks[data] = id;
      keep();
    }
    while (mine === checking && root.isConnected) {
      check = { ...(await asked("GET", `/api/datasets/checks/${id}?${tongue}`)), data };
      changed();
      if (OVER.includes(check.state)) break;
      await pause(CHECK_MS);
    }
  } catch (problem) {
    if (mine !== checking) return;
    delete held.checks[data];
    check = { id: "", data, state: "failed", sentence: problem.message, found: null };
  }
  if (mine === checking) changed();
}

function draw_check() {
  const box = root.querySelector(".tr-check"), found = found_by_check(), key = JSON.stringify([check, held.settled[held.data], held.choices[held.data]]);
  box.hidden = !check;
  if (!check || box.dataset.of === key) return;
  const open = [...box.querySelectorAll("details[open]")].map((one) => one.dataset.kind);
  box.dataset.of = key;
  if (!found) {
    const waits = !OVER.includes(check.state), share = check.total ? fill(words.check_share, { done: whole(check.done), total: whole(check.total) }) : "";
    const said = waits ? [words.checking, share].filter(Boolean).join(" ") : fill(words.check_failed, { why: check.sentence || words.check_stopped });
    box.className = `tr-check ${waits ? "busy" : "odd"}`;
    box.replaceChildren(made("p", {}, said));
    if (!waits) box.append(again());
    return;
  }
  const stops = stopping(), hints = faults().filter((one) => !one.stops), fine = settled();
  const kinds = classes(), parts = [fill(words.check_found, { n: whole(found.images), good: whole(found.good) })];
  if (kinds.length) parts.push(fill(words.check_kinds, { n: kinds.length, list: kinds.map(([name, n]) => `${name} (${whole(n)})`).join(", ") }));
  box.className = `tr-check ${stops.length ? (fine ? "settled" : "asks") : "fine"}`;
  box.replaceChildren(made("p", { title: parts.join(" ") }, parts.join(" ")));
  if (stops.length) {
    box.append(made("h2", {}, fine ? fill(words.faults_settled, { n: stops.length }) : fill(stops.length === 1 ? words.faults_one : words.faults_many, { n: stops.length })));
    if (!fine || held.reopened) box.append(...stops.map((one) => fault_line(one, open)));
    const acts = made("div", { className: "tr-acts" });
    if (!fine) acts.append(made("button", { type: "button", className: "tr-settle", onclick: () => { held.settled[held.data] = check.id; held.reopened = false; changed(); find("#train").focus(); } }, words.settle));
    else acts.append(made("button", { type: "button", className: "wh-link", onclick: () => { delete held.settled[held.data]; changed(); } }, words.settle_again));
    acts.append(again());
    box.append(acts);
  }
  if (hints.length) box.append(made("details", { className: "tr-hints", open: open.includes("hints") }, made("summary", {}, fill(hints.length === 1 ? words.hints_one : words.hints_many, { n: hints.length })), ...hints.map((one) => fault_line(one, open))));
  const more = box.querySelector(".tr-hints");
  if (more) more.dataset.kind = "hints";
  if (!stops.length && check.id !== held.data) box.append(made("div", { className: "tr-acts" }, again()));
}

function again() { return made("button", { type: "button", className: "wh-link", onclick: () => look_through(true) }, words.check_again); }

function fault_line(fault, open) {
  const title = fill(words.fault_count, { fault: words.faults[fault.kind] || fault.kind, n: whole(fault.count) });
  const line = made("details", { className: "tr-fault", open: open.includes(fault.kind) }, made("summary", {}, title), made("ul", {}, ...(fault.sentences || []).map((text) => made("li", {}, text))));
  line.dataset.kind = fault.kind;
  const rest = fault.count - (fault.sentences || []).length;
  if (rest > 0) line.querySelector("ul").append(made("li", {}, fill(words.fault_more, { n: whole(rest) })));
  const select = made("select", { ariaLabel: `${title}: ${words.what_to_do}` }, ...fault.choices.map((one, at) => made("option", { value: one }, at ? words.choices[one] : fill(words.recommended, { choice: words.choices[one] }))));
  select.value = choice_of(fault);
  select.onchange = () => { held.choices[held.data] = { ...(held.choices[held.data] || {}), [fault.kind]: select.value }; changed(); };
  return made("div", { className: "tr-line" }, line, fault.choices.length ? select : "");
}
