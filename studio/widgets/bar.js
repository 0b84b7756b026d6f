// The job bar: this browser's run as the page follows it, and how many others wait, asked of /api/runs now and then.
// element, props and watch come from gr.HTML.
const root = element.querySelector(".bar"), find = (selector) => root.querySelector(selector);
const EVERY_MS = 3000;

function show() {
  const job = props.value || {};
  root.dataset.state = job.state || "idle";
  root.title = find(".bar-text").textContent = job.text || props.words.idle;
  find(".bar-track i").style.width = `${job.total ? (100 * job.done) / job.total : 0}%`;
}

async function count() {
  if (document.hidden || !root.isConnected) return;
  const others = find(".bar-others");
  try {
    const answer = await fetch(`${props.runs}?limit=50`), waiting = (await answer.json()).runs.filter((run) => run.state === "queued" || run.state === "running");
    const mine = props.value && props.value.run, more = waiting.filter((run) => run.id !== mine).length;
    others.textContent = more ? props.words.others.replace("%", more) : "";
    if (root.dataset.state === "away") location.reload(); // the stream that results come by ended with the old server
  } catch (problem) {
    root.dataset.state = "away";
    find(".bar-text").textContent = props.words.away;
  }
}

watch("value", show);
show();
setInterval(count, EVERY_MS);
count();
