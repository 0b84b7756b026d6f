// One kind of map: a small picture of it, a switch, how strongly it holds, and under Expert how it is made. Knows what it is given;
// nothing of the canvas. made and Control come from which_controls.js.

class MapRow {
  // props as steering.offered gives them; does: {change(said), lay(), models(), upload(file)}.
  constructor(kind, props, does) {
    const { words } = props, name = words[kind];
    Object.assign(this, { kind, words, does, name });
    this.picture = made("img", { alt: "" });
    this.map = made("button", { type: "button", className: "st-map", ariaLabel: words.lay.replace("%", name), title: `${words.lay.replace("%", name)} (M)` }, this.picture, made("span", {}, name));
    this.map.onclick = () => does.lay();
    this.toggle = made("input", { type: "checkbox", id: `steer-on-${kind}`, ariaLabel: words.use.replace("%", name) });
    this.toggle.setAttribute("role", "switch");
    this.toggle.onchange = () => does.change({ on: this.toggle.checked });
    const slide = { kind: "slide", low: 0, high: props.most, step: 0.05, whole: false };
    this.scale = new Control(kind, `steer-${kind}`, { ...slide, label: name, help: words[`${kind}_help`] }, words, (scale) => does.change({ scale }));
    this.scale.range.ariaLabel = `${words.scale}: ${name}`;
    this.scale.box.firstChild.prepend(this.toggle);
    this.why = made("p", { className: "st-why" });
    this.get = made("button", { type: "button", className: "wh-link st-get" }, words.get);
    this.get.onclick = () => does.models();
    this.expert = [
      new Control("start", `steer-${kind}-start`, { ...slide, high: 1, label: words.start, help: words.start_help }, words, (start) => does.change({ start })),
      new Control("end", `steer-${kind}-end`, { ...slide, high: 1, label: words.end, help: words.end_help }, words, (end) => does.change({ end })),
      new Control("annotator", `steer-${kind}-annotator`, { kind: "choice", label: words.annotator, help: words.annotator_help, choices: props.annotators[kind].map((one) => [one, one === "auto" ? words.best : one]) }, words, (annotator) => does.change({ annotator })),
    ];
    if (kind === "canny") for (const edge of ["low", "high"]) this.expert.push(new Control(edge, `steer-canny-${edge}`, { ...slide, high: 255, step: 1, whole: true, label: words[edge], help: words[`${edge}_help`] }, words, (value) => does.change({ [edge]: value })));
    this.by = made("p", { className: "wh-help" });
    this.file = made("input", { type: "file", accept: "image/*", className: "st-file", tabIndex: -1, ariaLabel: words.upload });
    this.file.onchange = () => { const [file] = this.file.files; this.file.value = ""; if (file) does.upload(file); };
    this.own = made("button", { type: "button", className: "wh-link", onclick: () => this.file.click() }, words.upload);
    this.drop = made("button", { type: "button", className: "wh-link", onclick: () => does.change({ image: "", name: "" }) }, words.no_upload);
    const more = made("div", { className: "st-expert" }, ...this.expert.map((one) => one.box), this.by, made("div", { className: "st-own" }, this.own, this.drop), this.file);
    const side = made("div", { className: "st-side" }, this.scale.box, this.why);
    this.tile = made("div", { className: "st-tile" }, made("div", { className: "st-line" }, this.map, side), more);
    this.tile.dataset.kind = kind;
  }

  // held: what is chosen for it, usual: what the preset says, net: what steers the base by it, if anything fits.
  show(held, usual, net, quiet) {
    const { words } = this, usable = Boolean(net?.ready), on = held.on && usable;
    this.tile.dataset.on = on ? "1" : "";
    this.tile.dataset.usable = usable ? "1" : "";
    this.toggle.checked = on;
    this.toggle.disabled = !usable;
    const off = held.on !== usual.on && usable;
    this.scale.show(held.scale, usual.scale, true);
    const was = usual.on ? shown_number(usual.scale) : words.off, { back } = this.scale;
    back.hidden = !usable || !(off || this.scale.changed); // one mark for both: whether it is on, and how strongly
    back.replaceChildren(made("i"), was);
    back.title = back.ariaLabel = words.back.replace("%", was);
    back.onclick = () => this.does.change({ on: usual.on, scale: usual.scale });
    for (const one of this.expert) one.show(held[one.name], usual[one.name], false);
    const why = !net ? words.fits_none : net.ready ? "" : words.not_here.replace("%", net.name);
    this.why.replaceChildren(...(why && !quiet ? [made("span", { title: [net?.why, net?.remedy].filter(Boolean).join(" · ") }, why), ...(net ? [this.get] : [])] : []));
    this.drop.hidden = !held.image;
    this.own.textContent = held.image ? `${words.uploaded} ${held.name}` : words.upload;
  }

  look(item, laid) {
    const address = item?.small || "";
    if (this.picture.getAttribute("src") !== address) { if (address) this.picture.src = address; else this.picture.removeAttribute("src"); }
    this.tile.dataset.map = address ? "1" : "";
    this.map.setAttribute("aria-pressed", laid);
    this.map.disabled = !address;
    this.by.textContent = item ? this.words.by.replace("%", item.by) : "";
  }
}
