// A list to choose from that finds what is typed. Knows labels; nothing of products or defects.

class Picker {
  constructor(host, label, name, pick) {
    Object.assign(this, { items: [], value: "", pick, at: -1 });
    this.input = made("input", { id: `${name}-choice`, type: "text", autocomplete: "off", spellcheck: false });
    this.list = made("div", { className: "wh-list", id: `${name}-list`, popover: "manual" });
    for (const [key, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": this.list.id, "aria-autocomplete": "list", "aria-haspopup": "listbox" })) this.input.setAttribute(key, value);
    this.list.setAttribute("role", "listbox");
    this.list.ariaLabel = label;
    host.prepend(made("label", { htmlFor: this.input.id }, label));
    host.append(this.input, this.list);
    this.input.onclick = () => { if (!this.open) this.unfold(); };
    this.input.onblur = () => this.fold();
    this.input.oninput = () => { if (!this.open) this.unfold(); this.filter(this.input.value); };
    this.input.onkeydown = (event) => this.key(event);
    this.list.onmousedown = (event) => event.preventDefault();
    this.list.onclick = (event) => { const option = event.target.closest("[role=option]"); if (option) this.take(option.dataset.id); };
    addEventListener("scroll", (event) => { if (this.open && !this.list.contains(event.target)) this.place(); }, true);
  }

  get open() { return this.list.matches(":popover-open"); }

  show(items, value) {
    Object.assign(this, { items, value });
    const now = items.find((one) => one.id === value);
    if (!this.open) this.input.value = now ? now.label : "";
    else this.filter("");
  }

  unfold() {
    this.list.showPopover();
    this.input.setAttribute("aria-expanded", "true");
    this.filter("");
    this.input.select();
    this.place();
    this.move(Math.max(0, this.shown.findIndex((one) => one.id === this.value)));
  }

  place() {
    const box = this.input.getBoundingClientRect(), below = innerHeight - box.bottom - 12, above = box.top - 12, up = below < 180 && above > below;
    Object.assign(this.list.style, { left: `${box.left}px`, width: `${box.width}px`, maxHeight: `${Math.max(120, up ? above : below)}px`, top: up ? "auto" : `${box.bottom + 4}px`, bottom: up ? `${innerHeight - box.top + 4}px` : "auto" });
  }

  fold() {
    if (!this.open) return;
    this.list.hidePopover();
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.show(this.items, this.value);
  }

  filter(text) {
    const wanted = text.trim().toLocaleLowerCase();
    this.shown = this.items.filter((one) => one.label.toLocaleLowerCase().includes(wanted));
    this.list.replaceChildren(...this.shown.map((one, place) => {
      const option = made("div", { id: `${this.list.id}-${place}` }, one.label);
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", one.id === this.value);
      option.dataset.id = one.id;
      if (one.tag) option.append(" ", made("small", {}, one.tag));
      return option;
    }));
    this.move(0);
  }

  move(place) {
    this.at = Math.min(Math.max(place, 0), this.shown.length - 1);
    [...this.list.children].forEach((option, i) => option.classList.toggle("at", i === this.at));
    const option = this.list.children[this.at];
    if (!option) return;
    this.input.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  }

  take(id) {
    this.value = id;
    this.fold();
    this.pick(id);
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) {
      event.preventDefault();
      if (this.open) this.move(this.at + steps[event.key]); else this.unfold();
    } else if (event.key === "Enter" && this.open && this.shown[this.at] && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.take(this.shown[this.at].id);
    } else if (event.key === "Escape" && this.open) {
      event.preventDefault();
      event.stopPropagation();
      this.fold();
    }
  }
}
