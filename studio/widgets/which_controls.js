const root = element.querySelector(".wh");
// One field as a control: its words, a number with a slider, or a choice, and beside it what it was before somebody changed it.
// A value of null means that it was left alone. Knows the field's make and words; nothing of what it is for.

const SHORT = 30;
const shown_number = (value) => String(Math.abs(value) < 0.05 ? +Number(value).toPrecision(3) : +Number(value).toFixed(3)); // 0.00002 is a learning rate

function made(tag, more = {}, ...children) {
  const found = Object.assign(document.createElement(tag), more);
  found.append(...children);
  return found;
}

class Control {
  // field: {kind, label, help, low, high, step, choices, auto}; change(value) is called when a person set it.
  constructor(name, id, field, words, change) {
    Object.assign(this, { name, field, words, change, value: undefined });
    const label = made("label", { htmlFor: `${id}-value` }, field.label, " ", made("code", {}, name));
    this.back = made("button", { type: "button", className: "wh-back", hidden: true });
    this.back.onclick = () => this.change(this.usual);
    this.box = made("div", { className: `wh-field wh-${field.kind}`, id, title: field.help }, made("div", { className: "wh-line" }, label, this.back), made("div", { className: "wh-entry" }, ...this.entry(id)));
    if (field.kind === "slide") this.box.lastChild.prepend(this.slider());
    this.box.append(made("p", { className: "wh-help", id: `${id}-help` }, field.help));
  }

  entry(id) {
    const { field } = this, auto = "auto" in field;
    if (field.kind === "choice") {
      this.input = made("select", { id: `${id}-value` });
      if (auto) this.input.append(made("option", { value: "" }, field.auto));
      this.input.append(...field.choices.map(([value, label]) => made("option", { value }, label)));
      this.input.onchange = () => this.change(this.input.value === "" && auto ? null : this.input.value);
    } else if (field.kind === "text") {
      this.input = made("textarea", { id: `${id}-value`, rows: 2, maxLength: 2000 });
      this.input.onchange = () => this.change(this.input.value.trim());
    } else if (field.kind === "switch") {
      this.input = made("input", { id: `${id}-value`, type: "checkbox" });
      this.input.onchange = () => this.change(this.input.checked);
    } else {
      this.input = made("input", { id: `${id}-value`, type: "number", step: "any", min: field.low, max: field.high, placeholder: auto ? field.auto : "" });
      this.input.onchange = () => this.typed();
      this.input.onkeydown = (event) => { if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) this.typed(); };
    }
    this.input.setAttribute("aria-describedby", `${id}-help`);
    return [this.input];
  }

  typed() {
    const text = this.input.value.trim();
    if (text === "") { if ("auto" in this.field) this.change(null); else this.show(this.value, this.usual, this.named); return; }
    const value = Number(text);
    if (Number.isFinite(value)) this.change(this.field.whole ? Math.round(value) : value);
  }

  slider() {
    const { low, high, step, label } = this.field;
    this.range = made("input", { type: "range", min: low, max: high, step, ariaLabel: label });
    this.range.oninput = () => this.change(Number(this.range.value));
    return this.range;
  }

  // usual: what the preset says, or what stands when nobody chose; named: whether it is the preset that says so.
  show(value, usual, named, drawn) {
    Object.assign(this, { value, usual, named });
    const left = value === null || value === undefined;
    if (this.field.kind === "switch") this.input.checked = Boolean(value);
    else if (this.field.kind === "text") { if (document.activeElement !== this.input) this.input.value = value || ""; }
    else if (this.field.kind === "choice") this.input.value = left ? "" : value;
    else if (document.activeElement !== this.input || Number(this.input.value) !== value) this.input.value = left ? "" : shown_number(value);
    if (this.range) {
      this.range.max = Math.max(this.field.high, left ? this.field.low : value);
      this.range.step = left || on_step(value, this.field) ? this.field.step : "any";
      this.range.value = left ? drawn ?? this.field.low : value;
    }
    this.box.classList.toggle("auto", left);
    this.changed = JSON.stringify(value ?? null) !== JSON.stringify(usual ?? null);
    this.back.hidden = !this.changed;
    const was = this.written(usual);
    this.back.replaceChildren(made("i"), (named ? this.words.changed : this.words.unusual).replace("%", was));
    this.back.title = this.back.ariaLabel = this.words.back.replace("%", was);
  }

  written(value) {
    if (value === null || value === undefined) return this.field.auto || "";
    if (this.field.kind === "switch") return value ? this.words.on : this.words.off;
    if (this.field.kind === "text") return value ? `${value.slice(0, SHORT)}${value.length > SHORT ? "…" : ""}` : this.words.empty;
    if (this.field.kind !== "choice") return shown_number(value);
    return (this.field.choices.find(([one]) => one === value) || [value, value])[1];
  }
}

// A slider jumps to its steps; a value between two of them, typed or restored, must stay where it is.
function on_step(value, { low, step }) {
  const steps = (value - low) / step;
  return Math.abs(steps - Math.round(steps)) < 1e-6;
}
