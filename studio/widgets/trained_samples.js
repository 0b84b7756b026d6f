// What a training shows of itself: the samples of one step beside real pictures of its data, or one sample over all steps. Pictures that
// are shown already stay as they are. Knows addresses of pictures; made and root come from trained_chart.js.

class Samples {
  constructor(words, language) {
    Object.assign(this, { words, language, looks: [], real: [], at: null, mode: "step", seed: 0, prompt: "", picture: 0, label: "" });
    this.find = (selector) => root.querySelector(`.td-samples ${selector}`);
    this.slider = this.find(".td-at input");
    [this.prompts, this.pictures] = root.querySelectorAll(".td-pick select");
    this.slider.oninput = () => { this.at = Number(this.slider.value) === this.looks.length - 1 ? null : Number(this.slider.value); this.draw(); }; // at the end it follows
    this.prompts.onchange = () => { this.prompt = this.prompts.value; this.draw(); };
    this.pictures.onchange = () => { this.picture = Number(this.pictures.value); this.draw(); };
    root.querySelectorAll("[data-look]").forEach((one) => { one.onclick = () => { this.mode = one.dataset.look; this.draw(); }; });
  }

  show(run, looks, seed, label) {
    if (run !== this.run) Object.assign(this, { run, at: null, real: [], prompt: "", picture: 0, key: "" });
    Object.assign(this, { looks, seed, label });
    this.draw();
  }

  beside(pictures) { this.real = pictures; this.key = ""; this.draw(); }

  draw() {
    const { looks, words } = this, box = root.querySelector(".td-samples");
    box.hidden = !looks.length;
    if (!looks.length) return;
    const spot = Math.min(this.at ?? looks.length - 1, looks.length - 1), look = looks[spot], all = this.mode === "all";
    const key = JSON.stringify([this.run, looks.length, spot, this.mode, this.prompt, this.picture, this.real.length]);
    if (key === this.key) return;
    this.key = key;
    root.querySelectorAll("[data-look]").forEach((one) => one.setAttribute("aria-pressed", one.dataset.look === this.mode));
    this.find(".td-at").hidden = all || looks.length < 2;
    this.find(".td-pick").hidden = !all;
    this.find(".td-beside").hidden = all;
    this.find(".td-grid").hidden = !all;
    this.slider.max = looks.length - 1;
    this.slider.value = spot;
    const step = fill(words.at_step, { step: whole(look.step) });
    this.slider.setAttribute("aria-valuetext", step);
    this.find(".td-at span").textContent = step;
    if (all) this.draw_all(); else this.draw_step(look, step);
  }

  draw_step(look, step) {
    const rows = Object.entries(look.prompts).map(([prompt, files]) => made("figure", {}, this.caption(prompt), this.tiles(files.map((file, at) => ({ file, title: `${this.name(prompt)}, ${step}, ${fill(this.words.seed, { seed: this.seed + at })}` })), prompt.startsWith("@"))));
    this.find(".td-made").replaceChildren(made("h3", {}, fill(this.words.made_at, { step: whole(look.step) })), ...rows);
    this.find(".td-real").hidden = !this.real.length;
    this.find(".td-real h3").textContent = fill(this.words.real, { label: this.label });
    if (this.find(".td-real .td-tiles").dataset.of !== this.run || this.find(".td-real .td-tiles").children.length !== this.real.length) {
      const tiles = this.tiles(this.real.map((file) => ({ file, title: fill(this.words.real, { label: this.label }) })));
      tiles.dataset.of = this.run;
      this.find(".td-real .td-tiles").replaceWith(tiles);
    }
  }

  // Steps x one prompt and one seed.
  draw_all() {
    const prompts = [...new Set(this.looks.flatMap((one) => Object.keys(one.prompts)))], prompt = prompts.includes(this.prompt) ? this.prompt : prompts[0];
    const many = Math.max(1, ...this.looks.map((one) => one.prompts[prompt]?.length || 0)), number = Math.min(this.picture, many - 1);
    this.prompts.replaceChildren(...prompts.map((one) => made("option", { value: one }, this.name(one))));
    this.prompts.value = prompt;
    this.pictures.replaceChildren(...Array.from({ length: many }, (_, at) => made("option", { value: at }, fill(this.words.seed, { seed: this.seed + at }))));
    this.pictures.value = number;
    const tiles = this.looks.filter((one) => one.prompts[prompt]?.[number]).map((one) => {
      const step = fill(this.words.at_step, { step: whole(one.step) });
      return made("figure", {}, this.picture_of({ file: one.prompts[prompt][number], title: `${this.name(prompt)}, ${step}, ${fill(this.words.seed, { seed: this.seed + number })}` }), made("figcaption", {}, step));
    });
    this.find(".td-grid").replaceChildren(...tiles);
    this.find(".td-grid").classList.toggle("td-wide", prompt.startsWith("@"));
  }

  // What is no prompt but a view of the training is called by what it shows.
  name(prompt) { return prompt.startsWith("@") ? this.words.views[prompt.slice(1)] : prompt; }

  caption(prompt) { return made("figcaption", { title: this.name(prompt) }, prompt.startsWith("@") ? this.name(prompt) : made("q", {}, prompt)); }

  tiles(shown, wide = false) { return made("div", { className: wide ? "td-tiles td-wide" : "td-tiles" }, ...shown.map((one) => this.picture_of(one))); }

  picture_of({ file, title }) {
    const button = made("button", { type: "button", title, ariaLabel: title }, made("img", { src: file, alt: "", loading: "lazy", decoding: "async" }));
    button.onclick = () => {
      const zoom = root.querySelector(".td-zoom");
      zoom.querySelector("img").src = file;
      zoom.querySelector("p").textContent = title;
      zoom.showModal();
    };
    return button;
  }
}
