// The steps of the tour: where each is done, what it points at, and by what the page shows that it was done. Reads the page;
// changes nothing of it.

const on_page = (selector) => document.querySelector(selector);
const STEPS = [
  { name: "sample", tabs: ["paint", "paint-where"], at: [".mc-first:has(button)", "#samples"], done: (now, before) => now.picture && now.picture !== before.picture },
  { name: "stroke", tabs: ["paint", "paint-where"], at: ["#paint-canvas .mc-stage"], hand: "#paint-canvas .mc", done: (now, before) => now.painted && now.painted !== before.painted },
  { name: "defect", tabs: ["paint"], at: ["#which"], done: (now, before) => now.severity !== before.severity || now.busy },
  { name: "generate", tabs: ["paint"], at: ["#generate"], done: (now, before) => now.result && now.result !== before.result },
  { name: "compare", tabs: ["paint", "paint-judge"], at: ["#compare .cmp-stage"], hand: "#compare .cmp", done: (now, before) => now.look !== before.look },
  { name: "judge", tabs: ["paint", "paint-judge"], at: ["#compare .cmp-foot"], hand: "#compare .cmp", done: (now, before) => now.verdicts && now.verdicts !== before.verdicts },
  { name: "review", tabs: [], at: ["#tabs > .tab-wrapper [role=tab][data-tab-id=review]"], done: (now) => now.review },
  { name: "export", tabs: ["review"], at: ["#pack"], done: (now, before) => now.zip && now.zip !== before.zip },
];

// Past the last step: what was exported, when something was.
const END = { name: "end", tabs: [], at: ["#pack-link a"] };

// How often somebody set how severe it is: another defect sets it too, by its preset.
let set_by_hand = 0;
function heed(event) { if (event.target.closest("#field-severity")) set_by_hand += 1; }

// What of the page the steps wait for.
function seen() {
  const canvas = on_page("#paint-canvas .mc")?.dataset || {}, result = on_page("#compare .cmp"), shown = result?.dataset || {};
  return {
    picture: canvas.empty !== "1" && canvas.ready === "1" ? on_page("#paint-canvas .mc-facts i")?.textContent : "",
    painted: Number(canvas.painted),
    severity: set_by_hand,
    busy: Boolean(on_page("#generate")?.disabled),
    result: shown.ready === "1" ? shown.run : "",
    look: `${shown.look} ${result?.querySelector(".cmp-split")?.ariaValueNow}`,
    verdicts: [...(result?.querySelectorAll(".cmp-strip [data-verdict]") || [])].map((one) => one.dataset.verdict).join(" ").trim(),
    review: in_sight(on_page("#review")),
    zip: on_page("#pack-link a")?.href,
  };
}

function in_sight(one) { return Boolean(one && one.checkVisibility() && one.getBoundingClientRect().width); }

// What a step points at, or null when it is not to be seen.
function pointed(step) { return step.at.map(on_page).find(in_sight) || null; }

// To where the step is done: first the tab, then the tab within it. A tab is drawn only once it is open.
function bring(step) {
  for (const tab of step.tabs) on_page(`[role=tab][data-tab-id="${tab}"][aria-selected=false]`)?.click();
}
