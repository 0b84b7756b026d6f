// Packing the project that is open into one ZIP: a run of its own, followed here with Stop, and fetched when it is whole.

const PACK_POLL_MS = 400;
let packing = ""; // the run that packs, "" for none

async function pack() {
  if (packing || taking || !project) return;
  try {
    packing = (await asked("POST", "/api/runs", { task: "pack", project: project.id })).id;
    const whole = await packed(packing);
    if (whole.state === "done") fetch_packed(whole.id, project ? project.name : "project");
    else if (whole.sentence) refuse(new Error(whole.sentence));
  } catch (problem) { refuse(problem); }
  packing = "";
  show_taking();
}

// The run once it is over; how far it is stands above the pictures until then.
async function packed(id) {
  for (;;) {
    const run = await asked("GET", `/api/runs/${id}`);
    if (["done", "failed", "cancelled", "quarantined"].includes(run.state)) return run;
    show_taking(filled(props.words.packing, run.done, run.total));
    find("[data-act=stop]").hidden = false;
    await new Promise((next) => setTimeout(next, PACK_POLL_MS));
  }
}

function stop_packing() { asked("POST", `/api/runs/${packing}/stop`).catch(refuse); }

function fetch_packed(id, name) {
  Object.assign(document.createElement("a"), { href: `/files/${id}/project.zip`, download: `${name}.zip` }).click();
}
