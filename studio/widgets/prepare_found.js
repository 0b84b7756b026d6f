// What a run of Prepare says at the right: how far it is, the folders as a picture, or the windows that were cut. Shares the names of
// prepare.js.

const MOST_FOLDERS = 200, OUTLINE_PX = 256;
const CROSS = "M6 6l12 12M18 6 6 18", FOLDER_SHAPE = "M3.5 6.500h6l2 2.500h9v9.500h-17z";
const SVG = "http://www.w3.org/2000/svg";

function counted(name, n, more = {}) { return fill(words[n === 1 ? `${name}_one` : name] || words[name], { n: whole(n), ...more }); }
function para(text, className = "") { return made("p", { className }, text); }
function press(text, onclick, className = "pp-button") { return made("button", { type: "button", className, onclick }, text); }
function sentence(text) { return text.charAt(0).toUpperCase() + text.slice(1); }

function shape(path) {
  const svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

function draw_found() {
  const box = find(".pp-found"), now = told[held.task], job = held.jobs[held.task], fit = fits();
  const key = JSON.stringify([held.task, now, job, fit, held.task === "organize" && moves, sets.datasets.length]);
  if (box.dataset.of === key) return;
  box.dataset.of = key;
  const inner = box.contains(document.activeElement) && document.activeElement !== box;
  box.ariaBusy = String(running());
  const parts = !now ? [] : running() ? [going(now)] : now.state !== "done" ? [ended(now)] : held.task === "crop" ? cut(now.found, job) : job.undo ? undone(now.found, job) : sorted(now.found, job, fit);
  const others = held.task === "organize" ? moves.filter((one) => one.id !== job?.id || now?.state !== "done") : [];
  if (!parts.length) parts.push(para(words[`${held.task}_how`], "pp-empty"));
  if (others.length) parts.push(earlier(others));
  box.replaceChildren(...parts);
  if (inner) box.focus();
}

function going(now) {
  const bar = made("progress", { max: 1, ariaLabel: words.found });
  if (now.total) bar.value = now.done / now.total;
  const text = now.state === "queued" ? words.waits : now.note ? sentence(now.note) : words.works;
  return made("div", {}, made("h3", {}, text), made("div", { className: "pp-going" }, bar, press(words.stop, stop_job)), para(words.goes_on, "pp-note"));
}

function ended(now) {
  const text = now.state === "cancelled" ? words.stopped : sentence(now.sentence || words.failed);
  return made("div", {}, made("h3", {}, text), ...(held.jobs[held.task].dry_run ? [] : [made("div", { className: "pp-acts" }, press(words.go_on, go_on))]));
}

function onward(data, label) { return made("div", { className: "pp-acts" }, press(words.train_with, () => train_with(data, label), "pp-button pp-main"), press(words.take_in, () => take_in(data, label))); }

// -- sorting
function sorted(found, job, fit) {
  const folders = Object.entries(found.tree).sort(([, a], [, b]) => !a.noun - !b.noun || b.images - a.images), values = { folders: counted("folders", folders.length), label: job.label }, parts = [];
  if (!found.dry_run && found.mode === "copy") parts.push(made("h3", {}, counted("copied", found.images, values)), para(fill(words.copied_where, { label: name_of(found.data, job.label) })), onward(found.data, name_of(found.data, job.label)));
  else if (!found.dry_run) parts.push(made("h3", {}, counted("moved", found.moved, values)), made("div", { className: "pp-acts" }, press(words.undo, () => undo(job))));
  else {
    const none = found.mode === "move" && !found.moved;
    parts.push(made("h3", {}, none ? words.nothing_moves : counted(found.mode === "move" ? "would_move" : "would_copy", found.mode === "move" ? found.moved : found.images, values)));
    if (!fit) parts.push(para(words.stale, "pp-stale"));
  }
  if (found.without_noun) parts.push(para(counted("without_noun", found.without_noun), "pp-note"));
  if (!folders.some(([, one]) => one.noun)) parts.push(para(words.no_nouns, "pp-note"));
  const most = Math.max(...folders.map(([, one]) => one.images));
  const list = made("ol", { className: "pp-tree", ariaLabel: words.tree }, ...folders.slice(0, MOST_FOLDERS).map(([path, one]) => folder_line(path, one, most, found.dry_run)));
  if (folders.length > MOST_FOLDERS) list.append(made("li", {}, para(counted("more_folders", folders.length - MOST_FOLDERS))));
  parts.push(list);
  if (found.dry_run && Object.keys(found.unassigned).length) parts.push(made("section", {}, made("h4", {}, words.unassigned), made("div", { className: "pp-words" }, ...Object.entries(found.unassigned).map(word_chip))));
  if (found.notes.length) parts.push(made("section", {}, made("h4", {}, words.notes), made("ul", { className: "pp-notes" }, ...found.notes.map((text) => made("li", {}, sentence(text))))));
  return parts;
}

function folder_line(path, one, most, may_leave) {
  const bar = shape(`M0 0H${((100 * one.images) / most).toFixed(2)}V10H0z`), row = made("li", {}, shape(FOLDER_SHAPE));
  bar.setAttribute("viewBox", "0 0 100 10");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("class", "pp-bar");
  if (!one.noun) row.dataset.rest = "1";
  const rest = one.images > one.examples.length ? " …" : "", about = one.examples.join(" · ") + rest;
  row.append(made("div", {}, made("b", { title: path }, path), made("small", { title: about }, about)), bar, made("em", {}, whole(one.images)));
  if (one.noun && may_leave) {
    const title = fill(words.leave_noun, { noun: one.noun }), out = made("button", { type: "button", className: "pp-out", title, ariaLabel: title, onclick: () => leave_out(one.noun, true) }, shape(CROSS));
    row.append(out);
  }
  return row;
}

// A word that was left out by hand can come back.
function word_chip([word, count]) {
  const number = made("small", {}, whole(count)), away = listed(value_of("leave_out") || "").includes(word);
  if (!away) return made("span", {}, word, number);
  const title = fill(words.bring_noun, { noun: word });
  return made("button", { type: "button", title, ariaLabel: title, onclick: () => leave_out(word, false) }, "↩ ", word, number);
}

function undone(found, job) {
  const parts = [made("h3", {}, counted("undone", found.moved, { label: job.label }))];
  for (const name of ["changed", "kept", "gone"]) if (found[name].length) parts.push(para(fill(words[`undone_${name}`], { list: found[name].join(", ") })));
  return parts;
}

function earlier(list) {
  const when = new Intl.DateTimeFormat(props.language, { dateStyle: "medium", timeStyle: "short" });
  const rows = list.map((one) => made("li", {}, made("span", {}, `${counted("moved", one.moved, { label: one.label })} · ${when.format(one.created * 1000)}`), press(words.undo, () => undo(one))));
  return made("section", {}, made("h4", {}, words.earlier), made("ul", { className: "pp-moves" }, ...rows));
}

// -- cutting
function cut(found, job) {
  const parts = [made("h3", {}, counted("cut_done", found.images, { label: job.label })), para(fill(words.cut_counts, { good: whole(found.good), defective: whole(found.defective), sources: whole(found.sources) }))];
  if (found.left_out) parts.push(para(counted("cut_left_out", found.left_out), "pp-note"));
  if (found.unmarked.length) parts.push(para(fill(words.cut_unmarked, { list: found.unmarked.join(", ") }), "pp-note"));
  const tiles = found.crops.map((one) => {
    const seen = made("div", {}, made("img", { src: one.thumb, alt: "", loading: "lazy" })), title = [one.name, one.defect].filter(Boolean).join(" · ");
    if (one.mask) outline(one.mask, seen);
    return made("figure", { title }, seen, made("figcaption", {}, one.defect || words.no_mask));
  });
  parts.push(onward(job.id, job.label), made("div", { className: "pp-crops" }, ...tiles));
  if (found.images > tiles.length) parts.push(para(counted("cut_more", found.images - tiles.length), "pp-note"));
  return parts;
}

// The edge of a mask, drawn over its picture.
function outline(address, seen) {
  const mask = new Image();
  mask.onload = () => {
    const { naturalWidth: width, naturalHeight: height } = mask, canvas = made("canvas", { width, height }), pen = canvas.getContext("2d");
    pen.drawImage(mask, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height), inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[4 * (y * width + x)] > 127;
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(root).getPropertyValue("--amber");
    const step = Math.max(1, Math.round(Math.max(width, height) / 128));
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      if (inside(x, y) && !(inside(x - 1, y) && inside(x + 1, y) && inside(x, y - 1) && inside(x, y + 1))) pen.fillRect(x - (step >> 1), y - (step >> 1), step, step);
    }
    seen.append(canvas);
  };
  mask.src = `${address}?side=${OUTLINE_PX}&exact=true`;
}
