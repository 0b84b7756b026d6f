// Pictures in, masks in and out, and the masks painted last. Shares the names of canvas.js.

// -- a picture in: by the file dialogue, or dropped on the stage; what the server says of it comes back as the value
async function send(file) {
  if (!file) return;
  root.dataset.ready = "0";
  try {
    const { asset, request } = await take(props, file);
    root.dataset.ready = picture ? "1" : "0";
    if (request) trigger("restore", { asset }); // one of our own pictures: what it was made from comes back
    else if (!picture || picture.asset !== asset) trigger("open", { asset }); // else it is open already, and what is painted stays
  } catch (problem) { refuse(problem.message); }
}

function refuse(sentence) { root.dataset.ready = picture ? "1" : "0"; trigger("refuse", { sentence: String(sentence) }); }

// -- strokes that the server draws: they stand among the others at once, and get their pixels when it has answered
function stamp_stroke(shape, points, wide) {
  const [seed] = crypto.getRandomValues(new Uint32Array(1)), every = Math.ceil(points.length / MOST_STAMP_POINTS);
  const stroke = { tool: "stamp", shape, size: wide, seed, area: active, points: points.filter((_, i) => i % every === 0 || i === points.length - 1) };
  strokes.apply(stroke);
  settle(stroke);
}

function settle(stroke) {
  const owner = strokes;
  const answer = drawn(props, stroke, owner.width, owner.height).then(
    (found) => owner.settle(stroke, found),
    (problem) => { owner.drop(stroke); refuse(problem.message); },
  );
  const done = answer.then(() => { settling.delete(done); if (owner === strokes) { tell(); trigger("input"); } });
  settling.add(done);
}

// -- a mask in and out: the file has the picture's full size, the view may be smaller
async function import_mask(file) {
  if (!file) return;
  const owner = strokes, area = active, opened = picture;
  root.dataset.ready = "0";
  try {
    const { asset } = await take(props, file), found = await read_mask(props, asset, opened, owner.width, owner.height);
    owner.apply({ tool: "import", area, ...found });
    root.dataset.ready = "1";
    if (owner === strokes) { tell(); trigger("input"); }
  } catch (problem) { refuse(problem.message); }
}

async function export_mask() {
  await Promise.all(settling);
  const { width, height, name } = picture, scale = [width / view.width, height / view.height];
  const full = scaled(strokes.mask(active), view.width, view.height, width, height, scale);
  const link = document.createElement("a"), place = strokes.areas().indexOf(active);
  link.href = URL.createObjectURL(await png_file(full, width, height));
  link.download = `${name.replace(/\.[^.]*$/, "")}-mask${place ? `-${place + 1}` : ""}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// What is painted in all areas becomes the mask of the project's picture. Who keeps it is the page.
async function keep_of_picture() {
  find(".mc-masks").hidePopover();
  await Promise.all(settling);
  const { width, height, name, asset } = picture, whole = new Uint8Array(view.width * view.height);
  for (const number of strokes.areas()) if (strokes.masks.has(number)) strokes.mask(number).forEach((value, i) => { if (value) whole[i] = 255; });
  if (!area(whole)) { refuse(props.words.paint_first); return; }
  root.dataset.ready = "0";
  try {
    const full = scaled(whole, view.width, view.height, width, height, [width / view.width, height / view.height]);
    const file = new File([await png_file(full, width, height)], `${name.replace(/\.[^.]*$/, "")}-mask.png`);
    const { asset: mask } = await take(props, file);
    root.dataset.ready = "1";
    trigger("of_picture", { project: home.split("/").at(-2), asset, mask, defect: strokes.note(active).defect || "", back: root.dataset.drawing === "1" });
  } catch (problem) { refuse(problem.message); }
}

// -- the masks painted last
function remember_all() {
  for (const number of strokes.areas()) if (strokes.masks.has(number)) {
    remember(strokes.mask(number), strokes.width, strokes.height, props.titles[strokes.note(number).defect] || props.words.area);
  }
}

function show_last() {
  const found = last_masks();
  find(".mc-last").replaceChildren(...found.map((one) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = button.ariaLabel = `${props.words.reuse}: ${one.title}`;
    button.append(small_picture(one));
    button.onclick = () => { find(".mc-masks").hidePopover(); reuse(one); };
    return button;
  }));
  find(".mc-last").hidden = find(".mc-last-title").hidden = !found.length;
  find("[data-act=export]").disabled = !(strokes.masks.has(active) && area(strokes.mask(active)));
}

function reuse(one) { put(fitted(one, view.width, view.height), active); }

// A mask of the view's size takes the place of what is painted in an area.
function put(mask, area) {
  strokes.apply({ tool: "import", area, ...packed_mask(mask, view.width, view.height) });
  tell();
  trigger("input");
  root.focus({ preventScroll: true });
}

// -- areas that come with the value: each is filled from its mask's asset, and what the canvas held goes undoably
async function fill_areas(given) {
  const owner = strokes, opened = picture;
  const found = await Promise.all(given.map(({ mask }) => read_mask(props, mask, opened, owner.width, owner.height)));
  if (owner !== strokes) return;
  const there = owner.areas();
  given.forEach(({ mask, ...note }, index) => {
    const number = there[index] || owner.unused();
    if (index >= there.length) owner.apply({ tool: "add", area: number });
    owner.apply({ tool: "import", area: number, ...found[index] });
    owner.notes.set(number, note);
  });
  for (const number of there.slice(given.length)) owner.apply({ tool: "remove", area: number });
  active = owner.areas()[0];
}

// A picture may be dropped anywhere on the page while the tab is shown that the canvas is in. Who takes a drop first keeps it.
function accept_files() {
  find("input[name=picture]").addEventListener("change", (event) => { send(event.target.files[0]); event.target.value = ""; });
  find("input[name=mask]").addEventListener("change", (event) => { import_mask(event.target.files[0]); event.target.value = ""; });
  const ours = (event) => !event.defaultPrevented && event.dataTransfer.types.includes("Files") && tab_shown();
  const over = (event) => { if (ours(event)) { event.preventDefault(); root.dataset.drop = "1"; } };
  const leave = (event) => { if (!event.relatedTarget) root.dataset.drop = ""; };
  const drop = (event) => { root.dataset.drop = ""; if (ours(event)) { event.preventDefault(); send(event.dataTransfer.files[0]); } };
  for (const [name, heard] of Object.entries({ dragover: over, dragleave: leave, drop })) document.addEventListener(name, heard);
}

// The outermost tab around the canvas: one inside it may hide the canvas while a result is looked at.
function tab_shown() {
  let outer = root;
  for (let one = root.closest("[role=tabpanel]"); one; one = one.parentElement.closest("[role=tabpanel]")) outer = one;
  return outer.offsetParent !== null;
}
