// The job bar: this browser's run as the page follows it, how long it will take, and how many others wait; a click lists them all,
// each with Stop. Asks /api/runs now and then. element, props and watch come from gr.HTML.

const root = element.querySelector(".bar"), find = (selector) => root.querySelector(selector), panel = find(".bar-panel"), opener = find(".bar-open");
const EVERY_MS = 3000, OPEN_MS = 1000, MOST = 20, SHOWN = 30, FEW_S = 5;
const paces = new Map(); // run -> [{at, done}, ...]: when this page saw another item of it finished
const language = document.documentElement.lang || undefined;
let last = 0, rows = [];

// Only what was seen to be finished counts: a run may have waited, or gone on after days, so its age says nothing.
function seen(id, done) {
  const known = paces.get(id) || [], at = performance.now();
  if (!known.length || known[known.length - 1].done < done) known.push({ at, done });
  else if (known[known.length - 1].done > done) known.splice(0, known.length, { at, done });
  if (known.length > SHOWN) known.shift();
  paces.set(id, known);
}

// Seconds, or null while two ends of an item have not been seen.
function left(id, done, total) {
  const known = paces.get(id) || [], first = known[1], end = known[known.length - 1];
  if (known.length < 3 || !total || done >= total) return null;
  const each = (end.at - first.at) / (end.done - first.done);
  return Math.max(0, ((total - end.done) * each - (performance.now() - end.at)) / 1000);
}

function time_left(id, done, total) {
  const seconds = left(id, done, total), words = props.words;
  if (seconds === null) return "";
  if (seconds < FEW_S) return words.left_moment;
  if (seconds < 55) return words.left_seconds.replace("%", Math.ceil(seconds / 5) * 5);
  if (seconds < 5400) return words.left_minutes.replace("%", Math.max(1, Math.round(seconds / 60)));
  return words.left_hours.replace("%", Math.round(seconds / 3600));
}

function show() {
  const job = props.value || {}, going = job.state === "running";
  if (job.run) seen(job.run, job.done);
  root.dataset.state = job.state || "idle";
  root.dataset.run = job.run || "";
  opener.title = find(".bar-text").textContent = job.text || props.words.idle;
  find(".bar-track i").style.width = `${job.total ? (100 * job.done) / job.total : 0}%`;
  find(".bar-left").textContent = going ? time_left(job.run, job.done, job.total) : "";
}

function state_of(run) {
  if (run.state === "running") return run.note === "stopping" ? props.words.stopping : props.words.progress.replace("%", run.done.toLocaleString(language)).replace("%", run.total.toLocaleString(language));
  return run.state === "waiting_disk" ? props.words.no_room : props.words.waits;
}

function part(tag, name, text) { const made = document.createElement(tag); made.className = name; made.textContent = text; return made; }

function line(run) {
  const item = document.createElement("li"), stop = part("button", "bar-stop", props.words.stop), track = part("span", "bar-track", ""), done = document.createElement("i");
  const title = props.words.tasks[run.task] || run.task, when = new Date(run.created * 1000).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
  item.dataset.run = run.id;
  item.dataset.state = run.state;
  stop.type = "button";
  stop.ariaDisabled = run.note === "stopping"; // `disabled` would throw the focus out of the list
  stop.ariaLabel = `${props.words.stop}: ${title}, ${when}`;
  stop.onclick = async () => { if (stop.ariaDisabled === "true") return; stop.ariaDisabled = "true"; await fetch(`${props.runs}/${run.id}/stop`, { method: "POST" }); count(); };
  done.style.width = `${run.total ? (100 * run.done) / run.total : 0}%`;
  track.append(done);
  item.append(part("b", "", title), part("span", "bar-when", when), part("span", "bar-state", state_of(run)), part("span", "bar-left", run.state === "running" ? time_left(run.id, run.done, run.total) : ""), track, stop);
  return item;
}

// The line that has the focus keeps it; of one that went, the list as a whole has it: another Enter must not stop another run.
function list() {
  const list_of = find("ul"), focused = list_of.contains(document.activeElement) ? document.activeElement.closest("li").dataset.run : "";
  list_of.replaceChildren(...rows.map(line));
  find(".bar-none").hidden = rows.length > 0;
  const again = focused && [...list_of.children].find((item) => item.dataset.run === focused);
  if (again) again.querySelector("button").focus(); else if (focused) panel.focus();
}

async function count() {
  if (document.hidden || !root.isConnected) return;
  last = performance.now();
  const others = find(".bar-others"), words = props.words;
  try {
    const answer = await (await fetch(`${props.runs}?open=true&limit=${MOST}`)).json(), mine = props.value && props.value.run;
    rows = answer.runs.filter((run) => run.task !== "annotate" || run.id === mine); // maps for the eye: nobody waits for them
    const open = answer.open - (answer.runs.length - rows.length);
    for (const run of rows) if (run.state === "running") seen(run.id, run.done);
    const more = open - (rows.some((run) => run.id === mine) ? 1 : 0);
    others.textContent = more ? words.others.replace("%", more.toLocaleString(language)) : "";
    find(".bar-rest").textContent = open > rows.length ? words.rest.replace("%", (open - rows.length).toLocaleString(language)) : "";
    list();
    if (root.dataset.state === "away") location.reload(); // the stream that results come by ended with the old server
  } catch (problem) {
    root.dataset.state = "away";
    find(".bar-text").textContent = words.away;
  }
}

opener.addEventListener("click", () => panel.togglePopover());
panel.addEventListener("toggle", (event) => {
  const open = event.newState === "open", frame = opener.getBoundingClientRect();
  opener.ariaExpanded = open;
  if (!open) return;
  Object.assign(panel.style, { top: `${frame.bottom + 6}px`, left: `${Math.max(8, Math.min(frame.right, innerWidth - 8) - panel.offsetWidth)}px` });
  panel.tabIndex = -1;
  panel.focus();
  count();
});

watch("value", show);
show();
setInterval(() => {
  if (root.dataset.state === "running") show();
  const open = panel.matches(":popover-open");
  if (performance.now() - last >= (open ? OPEN_MS : EVERY_MS) - 50) count();
}, OPEN_MS);
count();
