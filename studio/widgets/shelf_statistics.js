// The dialogue that shows what the pictures have in common, drawn: classes, parts, sizes, and how large and where the defects
// are. Shares the names of shelf.js; the server counts.

const figures = find(".shf-figures"), SVG = "http://www.w3.org/2000/svg";

function drawn(name, values, ...inside) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) one.setAttribute(key, value);
  one.append(...inside);
  return one;
}

function made(name, className, ...inside) {
  const one = Object.assign(document.createElement(name), { className });
  one.append(...inside);
  return one;
}

function share(value) {
  const percent = 100 * value;
  return `${percent.toLocaleString(props.language, { maximumSignificantDigits: 2 })} %`;
}

async function statistics() {
  const id = project && project.id;
  if (!id) return;
  figures.replaceChildren(made("p", "", props.words.counting));
  find(".shf-of").textContent = "";
  find(".shf-statistics").showModal();
  try {
    const found = await asked("GET", `/api/projects/${id}/statistics?${query(wanted())}`);
    draw_statistics(found);
  } catch (problem) { find(".shf-statistics").close(); refuse(problem); }
}

function draw_statistics(found) {
  const words = props.words, count = (number) => filled(number === 1 ? words.one : words.many, number);
  find(".shf-of").textContent = filtered() ? filled(words.of, found.pictures, all) : count(found.pictures);
  const classes = Object.entries(found.classes).map(([name, number]) => [class_said(name), number, colour_of(name)]);
  const parts = ["train", "val", "test", ""].filter((name) => found.parts[name]).map((name) => [name ? words.parts[name] : words.no_part, found.parts[name]]);
  const sizes = found.sizes.map(([width, height, number]) => [`${width} × ${height}`, number]);
  if (found.other_sizes) sizes.push([words.other_sizes, found.other_sizes]);
  const notes = [];
  if (found.sized < found.pictures) notes.push(filled(words.sampled_sizes, found.sized, found.pictures));
  const sections = [bars(words.classes, classes), bars(words.sizes, sizes, notes), bars(words.part, parts)];
  sections.push(found.measured ? areas(found) : section(words.areas, made("p", "", words.no_masks)));
  figures.replaceChildren(...sections, ...(found.measured ? [heat(found)] : []));
  figures.scrollTop = 0;
}

function section(title, ...inside) { return made("section", "", made("h3", "", title), ...inside); }

function bars(title, rows, notes = []) {
  const most = Math.max(1, ...rows.map(([, count]) => count)), list = made("ol", "shf-bars");
  for (const [name, count, colour] of rows) {
    const bar = drawn("rect", { width: (100 * count) / most, height: 10 }), row = made("li", "", made("span", "", name), drawn("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, bar), made("b", "", count.toLocaleString(props.language)));
    row.firstChild.title = name;
    if (colour) bar.style.fill = colour;
    list.append(row);
  }
  return section(title, list, ...notes.map((text) => made("p", "", text)));
}

// How large the defects are: a bar for each half power of ten.
function areas(found) {
  const words = props.words, wide = 440, high = 130, foot = 18, most = Math.max(1, ...found.areas), step = wide / found.areas.length, parts = [];
  found.areas.forEach((count, place) => {
    const tall = (count / most) * (high - 16);
    parts.push(drawn("rect", { x: place * step + 2, y: high - tall, width: step - 4, height: tall, rx: 2 }));
    if (count) parts.push(drawn("text", { x: (place + 0.5) * step, y: high - tall - 4, "text-anchor": "middle" }, count.toLocaleString(props.language)));
  });
  parts.push(drawn("path", { d: `M0 ${high}H${wide}` }));
  found.edges.forEach((edge, place) => {
    if (place % 2) return;
    const at = place === 0 ? "start" : place === found.edges.length - 1 ? "end" : "middle";
    parts.push(drawn("text", { x: place * step, y: high + foot - 3, "text-anchor": at }, share(edge)));
  });
  const said = filled(words.median, share(found.median)), picture = drawn("svg", { viewBox: `0 0 ${wide} ${high + foot}`, role: "img", "aria-label": `${words.areas}: ${said}`, class: "shf-histogram" }, ...parts);
  return section(words.areas, picture, ...[said, ...sampled(found)].map((text) => made("p", "", text)));
}

function sampled(found) {
  const words = props.words, looked = found.measured + found.unread, notes = [];
  if (looked < found.marked) notes.push(filled(words.sampled_masks, looked, found.marked));
  if (found.unread) notes.push(filled(words.unread, found.unread));
  return notes;
}

// Where they lie: the darker a cell, the more pictures have a defect there.
function heat(found) {
  const words = props.words, [width, height] = found.shape || [1, 1], side = found.grid, row = made("div", "shf-heat");
  for (const { defect, count, cells } of found.heat) {
    const most = Math.max(1, ...cells), name = defect === null ? words.all_classes : class_said(defect), said = filled(words.darkest, share(most / count));
    const parts = cells.flatMap((value, place) => (value ? [drawn("rect", { x: place % side, y: Math.floor(place / side), width: 1, height: 1, "fill-opacity": (0.12 + 0.88 * (value / most)).toFixed(3) })] : []));
    const map = drawn("svg", { viewBox: `0 0 ${side} ${side}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${said}` }, ...parts);
    map.style.aspectRatio = `${width} / ${height}`;
    if (defect !== null) map.style.fill = colour_of(defect);
    row.append(made("figure", "", map, made("figcaption", "", made("b", "", name), ` (${count.toLocaleString(props.language)})`, made("small", "", said))));
  }
  const box = section(words.where, row);
  box.className = "shf-wide";
  return box;
}

const counting = { statistics, no_statistics: () => find(".shf-statistics").close() };
