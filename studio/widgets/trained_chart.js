const root = element.querySelector(".td");
// The course of a training as a picture: loss by term, raw and smoothed, held-out loss as dots, the learning rate on an axis of its own
// below. Drawn anew when there are new numbers or another width; colours come from the page. Knows numbers, no training.

const SVG = "http://www.w3.org/2000/svg", LEFT = 58, RIGHT = 14, TOP = 8, LOSS_H = 206, RATE_H = 44, BETWEEN = 20, FOOT = 34;

function made(tag, more = {}, ...children) {
  const found = Object.assign(document.createElement(tag), more);
  found.append(...children);
  return found;
}

function drawn(tag, more = {}, ...children) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(more)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

// Round numbers between low and high, about so many.
function ticks(low, high, many) {
  const raw = (high - low) / Math.max(1, many), power = 10 ** Math.floor(Math.log10(raw || 1)), step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw) || power;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const short = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1).replace(".0e", "e").replace("e-", "e−") : `${+value.toPrecision(3)}`);

// The range that most of it lies in: one wild step must not flatten all others.
function range_of(values, sure) {
  const order = values.filter((one) => one !== null).sort((a, b) => a - b);
  if (!order.length && !sure.length) return [0, 1];
  const at = (share) => order[Math.min(order.length - 1, Math.round(share * (order.length - 1)))];
  const all = [...(order.length ? [at(0.01), at(0.98)] : []), ...sure], low = Math.min(...all), high = Math.max(...all), room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return [Math.max(0, low - room), high + room];
}

class Chart {
  constructor(box, legend, words, language) {
    Object.assign(this, { box, legend, words, language, data: null, width: 0 });
    new ResizeObserver(() => { if (box.clientWidth && Math.abs(box.clientWidth - this.width) > 1) this.draw(); }).observe(box);
    box.addEventListener("pointermove", (event) => this.point(event.clientX - box.getBoundingClientRect().left));
    box.addEventListener("pointerleave", () => this.point(null));
  }

  // data: {columns, points, smooth, held_out, total}
  show(data) {
    const key = JSON.stringify([data.points.at(-1), data.points.length, data.held_out.length, data.total]);
    if (key === this.key) return;
    this.key = key;
    this.data = data;
    this.draw();
  }

  draw() {
    const { data, box } = this;
    if (!data || !box.clientWidth || !data.points.length) { this.width = 0; return; }
    this.width = box.clientWidth;
    const terms = data.columns.slice(1, -1), steps = data.points.map((one) => one[0]), held = data.held_out, wide = this.width;
    const last = Math.max(steps.at(-1), held.at(-1)?.[0] || 0, data.total || 0), x = (step) => LEFT + ((wide - LEFT - RIGHT) * (step - 0)) / Math.max(1, last);
    const raws = terms.flatMap((name, at) => data.points.map((one) => one[at + 1])), sures = data.smooth.flat().filter((one) => one !== null).concat(held.map((one) => one[1]));
    const [low, high] = range_of(raws, sures), y = (value) => TOP + LOSS_H - (LOSS_H * (value - low)) / (high - low || 1);
    const rates = data.points.map((one) => one.at(-1)), most = Math.max(...rates.filter((one) => one !== null), 0) * 1.12 || 1, base = TOP + LOSS_H + BETWEEN + RATE_H, z = (rate) => base - (RATE_H * rate) / most;
    const svg = drawn("svg", { width: wide, height: base + FOOT, role: "img", "aria-label": this.told(terms, held) });
    svg.append(drawn("clipPath", { id: "td-inside" }, drawn("rect", { x: LEFT, y: TOP, width: wide - LEFT - RIGHT, height: LOSS_H })));
    const text = (said, at, row, more = {}) => { const one = drawn("text", { x: at, y: row, ...more }); one.textContent = said; svg.append(one); };
    for (const value of ticks(low, high, 6)) { svg.append(drawn("path", { class: "td-rule", d: `M${LEFT} ${y(value)}H${wide - RIGHT}` })); text(short(value), LEFT - 7, y(value) + 4, { "text-anchor": "end" }); }
    for (const value of [0, ticks(0, most, 2).at(-1)]) { svg.append(drawn("path", { class: "td-rule", d: `M${LEFT} ${z(value)}H${wide - RIGHT}` })); text(short(value), LEFT - 7, z(value) + 4, { "text-anchor": "end" }); }
    for (const step of ticks(0, last, Math.max(3, wide / 130))) if (Number.isInteger(step)) text(step.toLocaleString(this.language), x(step), base + 16, { "text-anchor": "middle" });
    text(this.words.axis_loss, 12, TOP + LOSS_H / 2, { class: "td-axis", "text-anchor": "middle", transform: `rotate(-90 12 ${TOP + LOSS_H / 2})` });
    text(this.words.axis_rate, LEFT, base - RATE_H - 2, { class: "td-axis" });
    text(this.words.axis_step, (LEFT + wide - RIGHT) / 2, base + 31, { class: "td-axis", "text-anchor": "middle" });
    const inside = drawn("g", { "clip-path": "url(#td-inside)" });
    svg.append(inside);
    const line = (values, place) => values.map((value, at) => (value === null ? "" : `${at && values[at - 1] !== null ? "L" : "M"}${x(steps[at]).toFixed(1)} ${place(value).toFixed(1)}`)).join("");
    terms.forEach((name, at) => inside.append(drawn("path", { class: `td-raw td-term${at % 5}`, d: line(data.points.map((one) => one[at + 1]), y) })));
    terms.forEach((name, at) => inside.append(drawn("path", { class: `td-line td-term${at % 5}`, d: line(data.smooth.map((one) => one[at]), y) })));
    if (held.length > 1) svg.append(drawn("path", { class: "td-heldline", d: held.map(([step, value], at) => `${at ? "L" : "M"}${x(step)} ${y(value)}`).join("") }));
    for (const [step, value] of held) svg.append(drawn("circle", { class: "td-held", cx: x(step), cy: y(value), r: 4.5 }));
    svg.append(drawn("path", { class: "td-rate", d: line(rates, z) }));
    this.cursor = drawn("path", { class: "td-cursor", d: "" });
    svg.append(this.cursor);
    Object.assign(this, { x, terms, base });
    box.replaceChildren(svg);
    this.name_lines();
  }

  named(term) { return this.words.terms[term] || term; }

  told(terms, held) {
    const first = this.data.points[0], last = this.data.points.at(-1), end = this.data.smooth.at(-1)[0] ?? last[1];
    const said = fill(this.words.chart_told, { first: short(first[1] ?? 0), step: whole(last[0]), last: short(end ?? 0) });
    return held.length ? `${said} ${fill(this.words.chart_held, { value: short(held.at(-1)[1]) })}` : said;
  }

  // What each line is; with a step, what it was there.
  name_lines(at = null) {
    const { data, terms } = this, spot = at === null ? data.points.length - 1 : at, values = data.points[spot], smooth = data.smooth[spot];
    const item = (kind, label, value) => made("span", {}, made("i", { className: kind }), `${label} `, made("b", {}, value));
    const found = terms.map((name, place) => item(`td-key td-term${place % 5}`, this.named(name), smooth[place] === null ? "–" : short(smooth[place])));
    const held = data.held_out.filter(([step]) => step <= values[0]).at(-1);
    if (data.held_out.length) found.push(item("td-key td-keyheld", this.words.held_out, held ? short(held[1]) : "–"));
    found.push(item("td-key td-keyrate", this.words.axis_rate, values.at(-1) === null ? "–" : short(values.at(-1))));
    this.legend.replaceChildren(made("strong", {}, fill(this.words.at_step, { step: whole(values[0]) })), ...found);
  }

  point(left) {
    if (!this.data || !this.cursor) return;
    if (left === null) { this.cursor.setAttribute("d", ""); this.name_lines(); return; }
    const near = this.data.points.reduce((best, one, at) => (Math.abs(this.x(one[0]) - left) < Math.abs(this.x(this.data.points[best][0]) - left) ? at : best), 0);
    this.cursor.setAttribute("d", `M${this.x(this.data.points[near][0])} ${TOP}V${this.base}`);
    this.name_lines(near);
  }
}
