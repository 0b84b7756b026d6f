// One picture, large, and beside it what each captioner said of it in the newest runs: one is taken by a click or by its number.
// Shares the names of caption_open.js.

const OVERLAY_PX = 1024;
let compared = null, offers = [], turning = 0; // the record; what can be taken: [{text, run, captioner}]

async function compare(record) {
  const mine = ++turning, opened = !compared;
  compared = record;
  root.dataset.view = "compare";
  find(".cap-compare").hidden = false;
  find(".cap-list").hidden = true;
  const stage = find(".cap-stage"), marked = made("img", { className: "cap-mark", alt: "" });
  stage.replaceChildren(made("img", { src: picture_of(record, OVERLAY_PX), alt: record.name }));
  if (record.mask || (record.boxes && record.boxes !== "[]")) { marked.src = below(`overlay/${record.asset}?side=${OVERLAY_PX}`); marked.onerror = () => marked.remove(); stage.append(marked); }
  const place = first + records.findIndex((one) => one.asset === record.asset);
  find(".cap-which").replaceChildren(made("strong", {}, record.name), made("small", {}, `${called(record.defect)} · ${whole(place + 1)} / ${whole(total)}`));
  find("[data-act=before]").disabled = place <= 0;
  find("[data-act=after]").disabled = place + 1 >= total;
  const box = editor(record, true);
  find(".cap-now").replaceChildren(box);
  box.show(drafts[record.asset] ?? record.caption);
  if (opened) find(".cap-stage").focus();
  try {
    const said = await asked("GET", below(`captions/of/${record.asset}`));
    if (mine === turning) draw_said(said);
  } catch (problem) { if (mine === turning) refuse(problem); }
}

function compared_again(record) {
  if (!compared || compared.asset !== record.asset) return;
  compared.caption = record.caption;
  find(".cap-now .cap-edit").show(record.caption);
  mark_taken();
}

// One card a captioner and text, the newest first; what a run put together itself, and CLIP's order where it ranked.
function draw_said(said) {
  offers = [];
  const cards = [], known = new Set();
  for (const one of said) {
    const scores = new Map(one.scores), chosen_by = one.scores.length ? words.chosen_clip : words.chosen_run;
    const lines = [...Object.entries(one.said).map(([name, text]) => [name, words.captioners[name] || name, text]), ["", chosen_by, one.caption]];
    const alone = Object.values(one.said).length === 1 && Object.values(one.said)[0] === one.caption;
    for (const [captioner, label, text] of alone ? lines.slice(0, 1) : lines) {
      const key = `${captioner} ${text}`;
      if (known.has(key) || (!captioner && !text)) continue;
      known.add(key);
      cards.push(card(one, captioner, label, text, scores.get(text)));
    }
    if (one.scores.length > 1) cards.push(ranking(one));
  }
  find(".cap-cards").replaceChildren(...cards);
  find(".cap-none-said").hidden = cards.length > 0;
  draw_bulk(said);
  mark_taken();
}

function card(one, captioner, label, text, score) {
  const head = made("div", {}, made("b", {}, label), made("small", {}, clock(one.created))), box = made("li", { className: "cap-card" }, head, made("p", {}, text || words.said_nothing));
  if (score !== undefined) head.append(made("small", { title: words.score_help }, fill(words.score, { n: score.toFixed(3) })));
  if (text) box.append(taker({ text, run: one.run, captioner }));
  return box;
}

function ranking(one) {
  const most = Math.max(...one.scores.map(([, score]) => score)), list = made("ol", {});
  for (const [text, score] of one.scores) {
    const bar = made("i", {});
    bar.style.setProperty("--share", most > 0 ? Math.max(0, score / most) : 0);
    list.append(made("li", {}, made("span", {}, text), made("small", {}, score.toFixed(3)), taker({ text, run: one.run, captioner: "" }), bar));
  }
  return made("li", { className: "cap-card cap-ranking" }, made("details", {}, made("summary", {}, fill(words.ranking, { n: one.scores.length })), list));
}

function taker(offered) {
  const n = offers.push(offered), button = made("button", { type: "button", className: "cap-take", title: n < 10 ? fill(words.take_key, { n }) : "" }, words.take);
  button.dataset.n = n;
  button.setAttribute("aria-label", fill(words.take_this, { text: offered.text.slice(0, 80) }));
  button.onclick = () => give(compared, offered.text);
  return button;
}

function mark_taken() {
  for (const button of all(".cap-take")) {
    const taken = offers[button.dataset.n - 1]?.text === compared?.caption;
    button.disabled = taken;
    button.textContent = taken ? words.taken : words.take;
  }
}

// Newest run of each captioner: its words for all that the filter finds.
function draw_bulk(said) {
  const newest = new Map();
  for (const one of said) for (const name of [...Object.keys(one.said).filter((each) => one.said[each]), ""]) if (!newest.has(name)) newest.set(name, one.run);
  find(".cap-bulk").hidden = !newest.size;
  find(".cap-bulk span").textContent = counted("bulk", how_many());
  find(".cap-bulk div").replaceChildren(...[...newest].map(([name, id]) => {
    const button = made("button", { type: "button" }, name ? words.captioners[name] || name : words.chosen_run);
    button.onclick = () => take_all(id, name);
    return button;
  }));
}

async function step(by) {
  const place = records.findIndex((one) => one.asset === compared?.asset) + by;
  if (records[place]) { compare(records[place]); return; }
  if (await turn(by)) compare(records[by > 0 ? 0 : records.length - 1]);
}

function back() {
  const { asset } = compared || {};
  compared = null;
  turning++;
  root.dataset.view = "table";
  find(".cap-compare").hidden = true;
  find(".cap-list").hidden = false;
  const row = asset && row_at(asset);
  if (row) { row.scrollIntoView({ block: "nearest" }); row.querySelector(".cap-thumb").focus(); }
}

find(".cap-compare").addEventListener("keydown", (event) => {
  if (event.target.matches("textarea, input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), Escape: back };
  const act = acts[event.key] || (/^[1-9]$/.test(event.key) && offers[event.key - 1] ? () => give(compared, offers[event.key - 1].text) : null);
  if (!act) return;
  event.preventDefault();
  act();
});
