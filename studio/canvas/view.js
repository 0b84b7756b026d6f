// What part of a picture is on the screen, and how masks look over it. The work is a matter of screen pixels, never of the
// picture's, so that painting on a 4K photograph feels as it does on a small one. Knows nothing of tools or strokes.

class View {
  constructor(stage, picture, ink) {
    Object.assign(this, { stage, picture, ink, image: null, width: 0, height: 0, over: null, zoom: 1, x: 0, y: 0, ratio: 1, opacity: 0.45, outline: false, onmove: () => {} });
  }

  show(image, width, height) {
    Object.assign(this, { image, width, height, over: null });
    this.resize();
    this.fit();
  }

  resize() {
    this.ratio = window.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(this.stage.clientWidth * this.ratio)), high = Math.max(1, Math.round(this.stage.clientHeight * this.ratio));
    for (const canvas of [this.picture, this.ink]) if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  }

  whole() {
    const margin = 12;
    return Math.min((this.stage.clientWidth - 2 * margin) / this.width, (this.stage.clientHeight - 2 * margin) / this.height);
  }

  fit() {
    this.fitted = true;
    this.zoom = Math.min(Math.max(this.whole(), 0.01), 8);
    this.x = (this.stage.clientWidth - this.width * this.zoom) / 2;
    this.y = (this.stage.clientHeight - this.height * this.zoom) / 2;
    this.onmove();
  }

  // Zooms by `factor` so that the point under (x, y), in screen pixels from the stage's corner, stays where it is.
  zoom_at(x, y, factor) {
    const zoom = Math.min(Math.max(this.zoom * factor, Math.min(0.05, this.whole())), 32);
    this.x = x - (x - this.x) * (zoom / this.zoom);
    this.y = y - (y - this.y) * (zoom / this.zoom);
    this.zoom = zoom;
    this.pan(0, 0);
  }

  // A picture can be moved, never lost: a strip of it always stays on the stage.
  pan(dx, dy) {
    this.fitted = false;
    const keep = 48;
    this.x = Math.min(Math.max(this.x + dx, keep - this.width * this.zoom), this.stage.clientWidth - keep);
    this.y = Math.min(Math.max(this.y + dy, keep - this.height * this.zoom), this.stage.clientHeight - keep);
    this.onmove();
  }

  point(event) {
    const frame = this.stage.getBoundingClientRect();
    return [(event.clientX - frame.left - this.x) / this.zoom, (event.clientY - frame.top - this.y) / this.zoom];
  }

  // Where a place in the picture is on the stage, in screen pixels.
  screen([x, y]) { return [x * this.zoom + this.x, y * this.zoom + this.y]; }

  draw_picture() {
    const pen = this.picture.getContext("2d"), scale = this.zoom * this.ratio;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.picture.width, this.picture.height);
    if (!this.image) return;
    pen.imageSmoothingEnabled = scale < 1.5; // closer than that, a person wants to see pixels
    pen.imageSmoothingQuality = "high";
    pen.setTransform(scale, 0, 0, scale, this.x * this.ratio, this.y * this.ratio);
    pen.drawImage(this.over || this.image, 0, 0, this.width, this.height); // what lies over it has its size, whatever its own
  }

  // layers: [{mask, rgb: [r, g, b], strong}], later ones on top. dirty: rectangle in picture pixels, or null for everything.
  draw_ink(layers, dirty) {
    const pen = this.ink.getContext("2d"), scale = this.zoom * this.ratio, left = this.x * this.ratio, top = this.y * this.ratio;
    const area = dirty || [0, 0, this.width, this.height];
    const x0 = Math.max(0, Math.floor(area[0] * scale + left) - 3), x1 = Math.min(this.ink.width, Math.ceil(area[2] * scale + left) + 3);
    const y0 = Math.max(0, Math.floor(area[1] * scale + top) - 3), y1 = Math.min(this.ink.height, Math.ceil(area[3] * scale + top) + 3);
    if (!dirty) pen.clearRect(0, 0, this.ink.width, this.ink.height);
    if (x0 >= x1 || y0 >= y1) return;
    // A few screen pixels more on each side, so that the outline at the edge of the rectangle knows its neighbours.
    const edge = Math.max(1, Math.round(this.ratio)), wide = x1 - x0 + 2 * edge, high = y1 - y0 + 2 * edge;
    const owner = new Uint8Array(wide * high), far = edge * wide;
    const columns = this.steps(x0 - edge, wide, left, scale, this.width), rows = this.steps(y0 - edge, high, top, scale, this.height);
    layers.forEach((layer, index) => cover(owner, wide, high, columns, rows, layer.mask, this.width, index + 1));
    const image = pen.createImageData(x1 - x0, y1 - y0), pixels = new Uint32Array(image.data.buffer), fills = [0], lines = [0];
    for (const layer of layers) { fills.push(packed(layer.rgb, this.outline || this.over ? 0 : this.opacity)); lines.push(packed(layer.rgb, layer.strong ? 1 : 0.75)); }
    for (let y = 0; y < y1 - y0; y++) for (let x = 0; x < x1 - x0; x++) {
      const at = (y + edge) * wide + x + edge, who = owner[at];
      if (!who) continue;
      const inside = owner[at - edge] === who && owner[at + edge] === who && owner[at - far] === who && owner[at + far] === who;
      pixels[y * (x1 - x0) + x] = inside ? fills[who] : lines[who];
    }
    pen.putImageData(image, x0, y0);
  }

  // For each screen column (or row): the first picture pixel it shows and the one after the last.
  steps(start, count, offset, scale, limit) {
    const found = new Int32Array(count * 2);
    for (let i = 0; i < count; i++) {
      const from = Math.floor((start + i - offset + 0.001) / scale);
      found[2 * i] = Math.min(Math.max(from, 0), limit);
      found[2 * i + 1] = Math.min(Math.max(scale < 1 ? Math.floor((start + i + 1 - offset - 0.001) / scale) + 1 : from + 1, 0), limit);
    }
    return found;
  }
}

// A screen pixel is covered when ANY picture pixel under it is: a thin scratch must not fall through the grid when zoomed out.
function cover(owner, wide, high, columns, rows, mask, width, mark) {
  for (let y = 0; y < high; y++) for (let row = rows[2 * y]; row < rows[2 * y + 1]; row++) {
    const line = row * width;
    for (let x = 0; x < wide; x++) {
      const last = columns[2 * x + 1];
      for (let column = columns[2 * x]; column < last; column++) if (mask[line + column]) { owner[y * wide + x] = mark; break; }
    }
  }
}

// Little-endian RGBA, which every browser's ImageData is.
function packed(rgb, alpha) {
  return ((Math.round(alpha * 255) << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0]) >>> 0;
}
