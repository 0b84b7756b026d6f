// "Find good values": a small form, and the grid of pictures it fills; a click on one takes its values into the form. Shows what the
// run says; decides nothing. root, made and shown_number come from which_controls.js.

class Tried {
  // does: {start(), why() -> a sentence, most() -> the strongest map that is on, take(cell, scales)}.
  constructor(props, does) {
    Object.assign(this, { words: props.words, limits: props.tried, most: props.most, does, run: "", taken: -1 });
    this.dialog = root.querySelector(".st-dialog");
    this.form = this.dialog.querySelector("form");
    this.table = this.dialog.querySelector("table");
    const { guidance, control } = this.form.elements;
    guidance.value = props.tried.guidance.join(", ");
    control.value = props.tried.control.join(", ");
    this.form.oninput = () => this.tell();
    this.form.onsubmit = (event) => { event.preventDefault(); if (!this.tell()) { this.taken = -1; does.start(); } };
    this.dialog.querySelector(".st-close").onclick = () => this.dialog.close();
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  open() { this.tell(); this.dialog.showModal(); }

  // {guidance: [...], control: [...]} as it was written.
  values() {
    return Object.fromEntries(["guidance", "control"].map((name) => [name, this.form.elements[name].value.split(/[,;\s]+/).filter(Boolean).map(Number)]));
  }

  // What is wrong with it, said under the form; "" for nothing.
  tell() {
    const { words } = this, found = this.values(), many = found.guidance.length * found.control.length, wild = (list, low, high) => !list.length || list.length > this.limits.most || list.some((one) => !(one >= low && one <= high));
    let wrong = this.does.why();
    if (!wrong && wild(found.guidance, 1, 30)) wrong = words.wrong_guidance.replace("%", this.limits.most);
    if (!wrong && wild(found.control, 0, this.most)) wrong = words.wrong_control.replace("%", this.limits.most);
    if (!wrong && Math.max(...found.control) * this.does.most() > this.most + 1e-9) wrong = words.wrong_product;
    this.dialog.querySelector(".st-wrong").textContent = wrong;
    const button = this.dialog.querySelector(".st-try");
    button.textContent = words.try_all.replace("%", many || 0);
    button.classList.toggle("lacking", Boolean(wrong));
    return wrong;
  }

  show(grid) {
    const { words, table } = this, cells = grid?.cells || [], status = this.dialog.querySelector(".st-taken");
    table.hidden = !cells.length;
    this.dialog.dataset.busy = grid && !grid.over && cells.length ? "1" : "";
    if (grid?.run !== this.run) { this.run = grid?.run || ""; this.taken = -1; }
    if (!cells.length) return;
    const { guides, steers } = grid, head = made("tr", {}, made("td", {}, words.axes), ...guides.map((one) => this.heading("col", words.of_guidance.replace("%", one === null ? "–" : shown_number(one)))));
    table.replaceChildren(made("thead", {}, head), made("tbody", {}, ...steers.map((steer, line) => made("tr", {}, this.heading("row", words.of_control.replace("%", shown_number(steer))), ...guides.map((_, place) => made("td", {}, this.cell(cells, line * guides.length + place, grid)))))));
    const best = cells.some((one) => one.best);
    status.textContent = this.taken >= 0 ? this.said(cells[this.taken], words.taken) : grid.failed || grid.doing || (best ? words.star : grid.scored ? "" : words.choose);
  }

  heading(scope, text) { return made("th", { scope }, text); }

  said(cell, words) { return words.replace("%1", cell.guidance_scale === null ? "–" : shown_number(cell.guidance_scale)).replace("%2", shown_number(cell.control_scale)); }

  cell(cells, place, grid) {
    const one = cells[place], { words } = this;
    if (!one.file) return made("div", { className: "st-wait" });
    const button = made("button", { type: "button", className: "st-cell", title: one.told }, made("img", { src: one.file, alt: "" }), made("small", {}, one.told));
    button.ariaLabel = [this.said(one, words.cell), one.told, one.best ? words.best_of : ""].filter(Boolean).join(", ");
    button.setAttribute("aria-pressed", place === this.taken);
    if (one.best) { button.dataset.best = "1"; button.append(made("i", { title: words.best_of }, "★")); }
    button.onclick = () => { this.taken = place; this.does.take(one, grid.scales); this.show(grid); this.table.querySelectorAll(".st-cell[aria-pressed=true]")[0]?.focus(); };
    return button;
  }
}
