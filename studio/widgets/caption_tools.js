// Find and replace, tags, and templates: each works on the rows that are chosen, else on all that the filter finds; shows first what it
// would do; and is one step that can be taken back. Shares the names of caption_open.js.

const LOOK_MS = 350, SHOWN_DIFFERENCES = 20, SHOWN_TEMPLATES = 3, MOST_TOKENS = 160;

// -- what differs, word by word: [[said in both, before, after], ...]
function difference(before, after) {
  const cut = (text) => text.match(/\s+|[\w']+|[^\w\s]/gu) || [], one = cut(before), other = cut(after);
  if (one.length > MOST_TOKENS || other.length > MOST_TOKENS) return [["", before, after]];
  const long = Array.from({ length: one.length + 1 }, () => new Uint16Array(other.length + 1));
  for (let i = one.length - 1; i >= 0; i--) for (let j = other.length - 1; j >= 0; j--) long[i][j] = one[i] === other[j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
  const parts = [];
  let i = 0, j = 0;
  const push = (at, text) => { const last = parts.at(-1); if (last && (at ? !last[0] : last[0] && !last[1] && !last[2])) last[at] += text; else { const part = ["", "", ""]; part[at] = text; parts.push(part); } };
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) { push(0, one[i]); i++; j++; }
    else if (j >= other.length || (i < one.length && long[i + 1][j] >= long[i][j + 1])) push(1, one[i++]);
    else push(2, other[j++]);
  }
  return parts;
}

function shown_difference(one) {
  const before = made("p", {}), after = made("p", {});
  for (const [both, was, is] of difference(one.before, one.after)) {
    if (both) { before.append(both); after.append(both); }
    if (was) before.append(made("del", {}, was));
    if (is) after.append(made("ins", {}, is));
  }
  if (!one.before) before.append(made("em", {}, words.nothing));
  if (!one.after) after.append(made("em", {}, words.nothing));
  return made("li", {}, made("small", {}, one.name), before, after);
}

// Asks what would change while it is typed; only the newest answer counts.
class Preview {
  constructor(panel, button, label, ask) {
    Object.assign(this, { panel, button, label, ask, round: 0, count: 0 });
    this.look = later(() => this.now(), LOOK_MS);
    this.button.onclick = () => this.go();
  }

  async now() {
    const mine = ++this.round, wanted = project && this.panel.offsetParent ? this.ask() : null, said = this.panel.querySelector(".cap-why"), list = this.panel.querySelector(".cap-changes");
    if (!wanted) { this.show(0, [], ""); return; }
    try {
      const seen = await asked("POST", below(wanted.path), { which: wanted.which || meant(), preview: true, ...wanted.body });
      if (mine === this.round) this.show(seen.count, seen.shown.slice(0, wanted.shown), seen.count ? "" : words.no_change);
    } catch (problem) { if (mine === this.round) { this.show(0, [], problem.message); said.classList.add("bad"); } }
    list.scrollTop = 0;
  }

  show(count, shown, why) {
    this.count = count;
    const said = this.panel.querySelector(".cap-why");
    said.textContent = why;
    said.classList.remove("bad");
    this.panel.querySelector(".cap-changes").replaceChildren(...shown.map(shown_difference));
    this.button.textContent = counted(this.label, count);
    this.button.disabled = !count;
    const more = this.panel.querySelector(".cap-more");
    more.textContent = count > shown.length && shown.length ? fill(words.and_more, { n: whole(count - shown.length) }) : "";
  }

  async go() {
    const wanted = this.ask();
    if (!wanted || this.button.disabled) return;
    this.button.disabled = true;
    try {
      const step = await asked("POST", below(wanted.path), { which: wanted.which || meant(), preview: false, ...wanted.body });
      tell(step);
    } catch (problem) { refuse(problem); }
    await refresh();
  }
}

// -- find and replace
// The store finds those that hold the text faster than each can be looked at; it knows upper and lower case of ASCII alone.
function holding(sought, field, same_case) {
  const known = field !== "defect" && sought.length <= 200 && (same_case || /^[\x20-\x7e]*$/.test(sought)), which = meant();
  return known && !which.text ? { ...which, text: sought } : which;
}

const replacing = new Preview(find("#cap-panel-replace"), find("[data-act=replace]"), "replace_n", () => {
  const sought = find("#cap-find").value;
  const field = find("#cap-field").value, same_case = find("#cap-case").checked;
  return sought && { path: "replace", which: holding(sought, field, same_case), shown: SHOWN_DIFFERENCES, body: { field, find: sought, instead: find("#cap-instead").value, case: same_case, whole: find("#cap-whole").checked } };
});
all("#cap-panel-replace input, #cap-panel-replace select").forEach((one) => { one.oninput = replacing.look; });

// -- tags
// Of each tag of the project: how many of the pictures that are meant have it.
async function draw_tags() {
  if (!project || !find("#cap-panel-tags").offsetParent) return;
  const here = chosen.size ? tags_of([...chosen.values()]) : (await asked("GET", below(`tally?${query()}`)).catch((problem) => { refuse(problem); return { tags: {} }; })).tags;
  const known = Object.keys(counts?.tags || {}), of = how_many();
  find(".cap-tag-list").replaceChildren(...known.map((tag) => {
    const n = here[tag] || 0, button = made("button", { type: "button", title: fill(n === of ? words.tag_off : words.tag_on, { tag, n: whole(of) }) }, made("span", {}, tag), made("small", {}, n && n < of ? `${whole(n)} / ${whole(of)}` : whole(n)));
    button.setAttribute("aria-pressed", n === 0 ? "false" : n === of ? "true" : "mixed");
    button.disabled = !of;
    button.onclick = () => put_tag(n === of ? { remove: [tag] } : { add: [tag] });
    return button;
  }));
  find(".cap-no-tags").hidden = known.length > 0;
}

function tags_of(some) {
  const n = {};
  for (const one of some) for (const tag of one.tags.split(", ").filter(Boolean)) n[tag] = (n[tag] || 0) + 1;
  return n;
}

async function put_tag(what) {
  try {
    tell(await asked("POST", below("tags"), { which: meant(), ...what }));
    for (const one of chosen.values()) one.tags = [...one.tags.split(", ").filter((tag) => tag && !(what.remove || []).includes(tag) && !(what.add || []).includes(tag)), ...(what.add || [])].join(", ");
  } catch (problem) { refuse(problem); }
  await refresh();
}

find(".cap-new-tag").onsubmit = (event) => {
  event.preventDefault();
  const box = find("#cap-tag"), add = box.value.split(",").map(one_line).filter(Boolean);
  if (!add.length || !how_many()) return;
  box.value = "";
  put_tag({ add });
};

// -- templates
const templating = new Preview(find("#cap-panel-template"), find("[data-act=template]"), "write_n", () => ({ path: "template", shown: SHOWN_TEMPLATES, body: { template: find("#cap-template").value, templates: Object.fromEntries(Object.entries(held.templates).filter(([, text]) => text)) } }));

find("#cap-template").value = held.template;
find("#cap-template").oninput = () => { held.template = find("#cap-template").value; keep(); templating.look(); };
function draw_classes() {
  const box = find(".cap-classes"), names = Object.keys(counts?.classes || {});
  if (box.contains(document.activeElement)) return;
  box.replaceChildren(...names.map((name, place) => {
    const input = made("input", { type: "text", id: `cap-class-${place}`, maxLength: 1000, value: held.templates[name] || "", placeholder: words.as_above });
    input.oninput = () => { held.templates[name] = input.value; keep(); templating.look(); };
    return made("div", { className: "cap-line" }, made("label", { htmlFor: input.id }, `${called(name)} (${whole(counts.classes[name])})`), input);
  }));
}

// A field's button puts it where the cursor was.
let last_field = null;
root.addEventListener("focusin", (event) => { if (event.target.matches("#cap-template, .cap-classes input, #cap-mix")) last_field = event.target; });
root.addEventListener("click", (event) => {
  const field = event.target.closest("[data-field]")?.dataset.field;
  if (!field) return;
  const panel = event.target.closest("[role=tabpanel]"), box = last_field && panel.contains(last_field) ? last_field : panel.querySelector("#cap-template, #cap-mix"), at = box.selectionStart ?? box.value.length, mark = `{${field}}`;
  box.setRangeText(mark, at, box.selectionEnd ?? at, "end");
  box.focus();
  box.oninput();
});
