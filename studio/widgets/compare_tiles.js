// The variants of a run side by side, each in a pane of one size, all under one lens: what is zoomed or moved in one is in all.
// Knows pictures and verdicts as it is given them. stencil and OUTLINE come from compare_looks.js.

const MANY = 16, SMALLER_PX = 1024; // so many pictures are shown as smaller copies, or the browser runs out of memory

class Tiles {
  constructor(stage, box) {
    Object.assign(this, { stage, box, items: [], width: 1, height: 1, zoom: 1, x: 0, y: 0, fitted: true, columns: 1, outlined: true, shown: new Map(), onmove: () => {}, on: false });
  }

  // (x, y) is the picture's point in the middle of every pane.
  open(items, width, height) {
    const other = width !== this.width || height !== this.height || items.length !== this.items.length;
    Object.assign(this, { items, width, height, on: true });
    for (const url of this.shown.keys()) if (!items.some((item) => item.after === url)) this.shown.delete(url);
    if (this.box.children.length !== items.length) this.build();
    for (const item of items) this.load(item);
    if (other || this.fitted) this.fit(); else this.move(0, 0);
  }

  build() {
    this.box.replaceChildren(...this.items.map((item, place) => {
      const pane = document.createElement("div");
      pane.className = "cmp-pane";
      pane.id = `${this.box.id}-${place}`;
      pane.role = "option";
      pane.append(document.createElement("canvas"));
      return pane;
    }));
  }

  mark(chosen, name) {
    this.items.forEach((item, place) => {
      const pane = this.box.children[place];
      pane.dataset.verdict = item.verdict || "";
      pane.ariaSelected = place === chosen;
      pane.ariaLabel = name(item, place);
    });
    this.box.setAttribute("aria-activedescendant", `${this.box.id}-${chosen}`);
  }

  async load(item) {
    if (this.shown.has(item.after)) return;
    const held = { image: null, outline: null };
    this.shown.set(item.after, held);
    const small = this.items.length > MANY ? `${item.after.split("?")[0]}?side=${SMALLER_PX}` : item.after;
    try {
      const [image, mask] = await Promise.all([picture(small), item.mask ? picture(item.mask) : null]);
      if (!mask) { held.image = image; this.onmove(); return; }
      const { mask: painted, box, room } = stencil(mask, this.width, this.height, this.zoom);
      Object.assign(held, { image, outline: box && traced(painted, this.width, box.map((edge, k) => edge + (k < 2 ? -room - 1 : room + 1)), this.height) });
    } catch { this.shown.delete(item.after); }
    this.onmove();
  }

  ready() { return this.items.every((item) => this.shown.get(item.after)?.image); }

  // As many columns as leave each picture largest.
  fit() {
    const wide = this.stage.clientWidth, high = this.stage.clientHeight, count = Math.max(1, this.items.length);
    if (!wide) return;
    let best = 0;
    for (let columns = 1; columns <= count; columns++) {
      const zoom = Math.min(wide / columns / this.width, high / Math.ceil(count / columns) / this.height);
      if (zoom > best * 1.001) { best = zoom; this.columns = columns; }
    }
    this.box.style.gridTemplateColumns = `repeat(${this.columns}, 1fr)`;
    this.box.style.gridTemplateRows = `repeat(${Math.ceil(count / this.columns)}, 1fr)`;
    const pane = this.box.firstElementChild;
    Object.assign(this, { zoom: Math.min((pane.clientWidth - 8) / this.width, (pane.clientHeight - 8) / this.height, 8), x: this.width / 2, y: this.height / 2, fitted: true });
    this.onmove();
  }

  resize() { if (this.fitted) this.fit(); else this.onmove(); }

  zoom_at(x, y, factor) {
    const corner = this.stage.getBoundingClientRect(), zoom = Math.min(Math.max(this.zoom * factor, 0.02), 32);
    const frame = this.box.children[Math.max(0, this.at(corner.left + x, corner.top + y))].getBoundingClientRect();
    const dx = corner.left + x - (frame.left + frame.right) / 2, dy = corner.top + y - (frame.top + frame.bottom) / 2;
    this.x += dx / this.zoom - dx / zoom;
    this.y += dy / this.zoom - dy / zoom;
    this.zoom = zoom;
    this.move(0, 0);
  }

  pan(dx, dy) { this.move(dx, dy); }

  move(dx, dy) {
    this.fitted = false;
    this.x = Math.min(Math.max(this.x - dx / this.zoom, 0), this.width);
    this.y = Math.min(Math.max(this.y - dy / this.zoom, 0), this.height);
    this.onmove();
  }

  show_box(box, most) {
    const pane = this.box.firstElementChild;
    this.zoom = Math.min(pane.clientWidth / (1.6 * (box[2] - box[0])), pane.clientHeight / (1.6 * (box[3] - box[1])), most);
    Object.assign(this, { x: (box[0] + box[2]) / 2, y: (box[1] + box[3]) / 2 });
    this.move(0, 0);
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    this.items.forEach((item, place) => {
      const canvas = this.box.children[place].firstElementChild, held = this.shown.get(item.after);
      const wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio), scale = this.zoom * ratio;
      if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
      const pen = canvas.getContext("2d");
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, wide, high);
      if (!held?.image) return;
      pen.imageSmoothingEnabled = scale < 1.5;
      pen.imageSmoothingQuality = "high";
      pen.setTransform(scale, 0, 0, scale, wide / 2 - this.x * scale, high / 2 - this.y * scale);
      pen.drawImage(held.image, 0, 0, this.width, this.height);
      if (!this.outlined || !held.outline) return;
      pen.lineWidth = (1.5 * ratio) / scale;
      pen.strokeStyle = `rgb(${OUTLINE})`;
      pen.stroke(held.outline);
    });
  }

  // Which pane a point of the screen lies in; -1 for none.
  at(x, y) {
    const frames = [...this.box.children].map((pane) => pane.getBoundingClientRect());
    return frames.findIndex((frame) => x >= frame.left && x < frame.right && y >= frame.top && y < frame.bottom);
  }
}

// The edges between what is painted and what is not, as lines that any zoom leaves thin.
function traced(mask, width, box, height) {
  const path = new Path2D(), [x0, y0, x1, y1] = [Math.max(0, box[0]), Math.max(0, box[1]), Math.min(width, box[2]), Math.min(height, box[3])];
  const is = (x, y) => x >= x0 && y >= y0 && x < x1 && y < y1 && mask[y * width + x] > 0;
  const walk = (lines, steps, differs, draw) => {
    for (let line = lines[0]; line <= lines[1]; line++) {
      let from = -1;
      for (let step = steps[0]; step <= steps[1]; step++) {
        const edge = step < steps[1] && differs(line, step);
        if (edge && from < 0) from = step;
        if (!edge && from >= 0) { draw(line, from, step); from = -1; }
      }
    }
  };
  walk([y0, y1], [x0, x1], (y, x) => is(x, y - 1) !== is(x, y), (y, from, to) => { path.moveTo(from, y); path.lineTo(to, y); });
  walk([x0, x1], [y0, y1], (x, y) => is(x - 1, y) !== is(x, y), (x, from, to) => { path.moveTo(x, from); path.lineTo(x, to); });
  return path;
}

function picture(url) {
  return new Promise((done, failed) => { const image = new Image(); image.onload = () => done(image); image.onerror = failed; image.src = url; });
}
