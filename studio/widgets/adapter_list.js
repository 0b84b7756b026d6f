// Adapters laid over a base, each with how much of it: a menu of those there are, and a line for each that was taken.
// Knows no form: what is held is read and changed where it lies. made and shown_number come from which_controls.js.

const MOST_USES = 8;

class AdapterList {
  // known() -> [{id, label, family, triggers}], uses() -> [{path, weight}] to change in place, named(path) -> what one is called that is
  // not known any more; changed() comes after each change, say(word) when an adapter's own word is wanted in the prompt.
  constructor(select, box, words, { known, uses, named = () => "", changed, say }) {
    Object.assign(this, { select, box, words, known, uses, named, changed, say, drawn: "" });
    select.onchange = () => {
      if (select.value) uses().push({ path: select.value, weight: 1 });
      changed();
    };
  }

  show() {
    const known = this.known(), uses = this.uses(), { select, box, words } = this;
    const left = known.filter((one) => !uses.some((use) => use.path === one.id));
    select.replaceChildren(made("option", { value: "" }, words.add_adapter), ...left.map((one) => made("option", { value: one.id }, one.family ? `${one.label} (${one.family})` : one.label)));
    select.hidden = !left.length || uses.length >= MOST_USES;
    const key = JSON.stringify([uses.map((use) => use.path), known.map((one) => [one.id, one.label])]);
    if (this.drawn === key) uses.forEach((use, place) => this.weigh(box.children[place], use.weight));
    else box.replaceChildren(...uses.map((use, place) => this.line(use, place)));
    this.drawn = key;
    return known.length + uses.length > 0;
  }

  line(use, place) {
    const { words } = this, entry = this.known().find((one) => one.id === use.path), label = entry?.label || this.named(use.path) || use.path;
    const range = made("input", { type: "range", min: -1, max: 2, step: 0.05, ariaLabel: `${label}: ${words.weight}` });
    const number = made("input", { type: "number", min: -2, max: 2, step: "any", ariaLabel: `${label}: ${words.weight}` });
    const remove = made("button", { type: "button", title: words.remove, ariaLabel: `${label}: ${words.remove}`, onclick: () => { this.uses().splice(place, 1); this.changed(); } }, "×");
    const weigh = (value) => { this.uses()[place].weight = Math.min(2, Math.max(-2, value)); this.changed(); };
    range.oninput = () => weigh(Number(range.value));
    number.onchange = () => { if (number.value !== "" && Number.isFinite(Number(number.value))) weigh(Number(number.value)); else this.changed(); };
    const line = made("div", { className: "wh-use" }, made("div", {}, made("strong", { title: label }, label), remove), made("div", {}, range, number));
    const word = entry?.triggers[0];
    if (word) line.append(made("button", { type: "button", className: "wh-link", onclick: () => this.say(word) }, words.trigger.replace("%", word)));
    this.weigh(line, use.weight);
    return line;
  }

  weigh(line, weight) {
    const [range, number] = line.querySelectorAll("input");
    range.value = weight;
    if (document.activeElement !== number || Number(number.value) !== weight) number.value = shown_number(weight);
  }
}
