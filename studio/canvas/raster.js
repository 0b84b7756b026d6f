// Draws into a mask: a Uint8Array of width x height, 0 or 255. Exact pixels, no soft edges, so that a 1-px line stays 1 px.
// Knows nothing of the screen. Every function returns the rectangle it touched, [x0, y0, x1, y1) in pixels, or null.

// All pixels whose centre lies within `radius` of the segment a-b: a convex shape, so every row is one run.
function capsule(mask, width, height, ax, ay, bx, by, radius, value) {
  const top = Math.max(0, Math.floor(Math.min(ay, by) - radius)), bottom = Math.min(height, Math.ceil(Math.max(ay, by) + radius) + 1);
  const length = Math.hypot(bx - ax, by - ay);
  const nx = length ? (-(by - ay) / length) * radius : 0, ny = length ? ((bx - ax) / length) * radius : 0;
  const corners = [[ax + nx, ay + ny], [bx + nx, by + ny], [bx - nx, by - ny], [ax - nx, ay - ny]];
  let x0 = width, x1 = 0, y0 = height, y1 = 0;
  for (let row = top; row < bottom; row++) {
    const y = row + 0.5;
    let low = Infinity, high = -Infinity;
    for (const [cx, cy] of [[ax, ay], [bx, by]]) {
      const rest = radius * radius - (y - cy) * (y - cy);
      if (rest >= 0) { const half = Math.sqrt(rest); low = Math.min(low, cx - half); high = Math.max(high, cx + half); }
    }
    if (length) for (let i = 0; i < 4; i++) {
      const [px, py] = corners[i], [qx, qy] = corners[(i + 1) % 4];
      if ((py <= y) === (qy <= y)) continue;
      const x = px + ((y - py) / (qy - py)) * (qx - px);
      low = Math.min(low, x); high = Math.max(high, x);
    }
    // The small allowance keeps a centre that lies exactly on the edge, whatever the rounding of the last digit says.
    const from = Math.max(0, Math.ceil(low - 0.5 - 1e-6)), to = Math.min(width, Math.floor(high - 0.5 + 1e-6) + 1);
    if (from >= to) continue;
    mask.fill(value, row * width + from, row * width + to);
    x0 = Math.min(x0, from); x1 = Math.max(x1, to); y0 = Math.min(y0, row); y1 = row + 1;
  }
  return x1 > x0 ? [x0, y0, x1, y1] : null;
}

function box(mask, width, height, ax, ay, bx, by, value) {
  const x0 = Math.max(0, Math.floor(Math.min(ax, bx))), x1 = Math.min(width, Math.floor(Math.max(ax, bx)) + 1);
  const y0 = Math.max(0, Math.floor(Math.min(ay, by))), y1 = Math.min(height, Math.floor(Math.max(ay, by)) + 1);
  if (x0 >= x1 || y0 >= y1) return null;
  for (let row = y0; row < y1; row++) mask.fill(value, row * width + x0, row * width + x1);
  return [x0, y0, x1, y1];
}

// The ellipse that fills the whole pixels from one corner to the other, as a rectangle would.
function ellipse(mask, width, height, ax, ay, bx, by, value) {
  const x0 = Math.floor(Math.min(ax, bx)), x1 = Math.floor(Math.max(ax, bx)) + 1, y0 = Math.floor(Math.min(ay, by)), y1 = Math.floor(Math.max(ay, by)) + 1;
  let dirty = null;
  for (let row = Math.max(0, y0); row < Math.min(height, y1); row++) {
    const off = (2 * row + 1 - y0 - y1) / (y1 - y0), half = ((x1 - x0) / 2) * Math.sqrt(1 - off * off), middle = (x0 + x1) / 2;
    const from = Math.max(0, Math.ceil(middle - half - 0.5 - 1e-6)), to = Math.min(width, Math.floor(middle + half - 0.5 + 1e-6) + 1);
    if (from >= to) continue;
    mask.fill(value, row * width + from, row * width + to);
    dirty = joined(dirty, [from, row, to, row + 1]);
  }
  return dirty;
}

// All pixels whose centre the loop goes round, however often: a hand that crosses its own way leaves no hole.
function polygon(mask, width, height, points, value) {
  const ys = points.map((point) => point[1]), last = Math.min(height, Math.ceil(Math.max(...ys)));
  let dirty = null;
  for (let row = Math.max(0, Math.floor(Math.min(...ys))); row < last; row++) {
    const y = row + 0.5, crossings = [];
    points.forEach(([px, py], i) => {
      const [qx, qy] = points[(i + 1) % points.length];
      if ((py <= y) !== (qy <= y)) crossings.push([px + ((y - py) / (qy - py)) * (qx - px), qy > py ? 1 : -1]);
    });
    crossings.sort((a, b) => a[0] - b[0]);
    let turns = 0;
    crossings.forEach(([x, turn], i) => {
      turns += turn;
      if (!turns || i + 1 === crossings.length) return;
      const from = Math.max(0, Math.ceil(x - 0.5)), to = Math.min(width, Math.ceil(crossings[i + 1][0] - 0.5));
      if (from >= to) return;
      mask.fill(value, row * width + from, row * width + to);
      dirty = joined(dirty, [from, row, to, row + 1]);
    });
  }
  return dirty;
}

// One pixel more on every side, corners too. Beyond the picture there is nothing, so nothing grows in from there.
function grow(mask, width, height) {
  const row = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    const line = mask.subarray(y * width, (y + 1) * width);
    row.set(line);
    for (let x = 0; x < width; x++) if (row[x]) { if (x) line[x - 1] = 255; if (x + 1 < width) line[x + 1] = 255; }
  }
  const flat = mask.slice();
  for (let i = 0; i < mask.length; i++) if (flat[i]) { if (i >= width) mask[i - width] = 255; if (i + width < mask.length) mask[i + width] = 255; }
}

function invert(mask) { for (let i = 0; i < mask.length; i++) mask[i] = 255 - mask[i]; }

// Thin brushes paint whole pixels: the pointer is taken to the middle of the pixel it is in, for two pixels to the nearest
// corner, from where both are reached.
function snapped(point, size) {
  if (size >= 3) return point;
  return size < 2 ? [Math.floor(point[0]) + 0.5, Math.floor(point[1]) + 0.5, point[2]] : [Math.round(point[0]), Math.round(point[1]), point[2]];
}

// A radius a hair under size/2 keeps a 4-px brush from growing to 5 px when its middle falls on a pixel's middle.
function radius_of(size, pressure) {
  return Math.max(0.5, (size * pressure) / 2 - 0.01);
}

// One pixel for each step along the longer side: whole, and nowhere two thick.
function thin(mask, width, height, ax, ay, bx, by, value) {
  const x0 = Math.floor(ax), y0 = Math.floor(ay), x1 = Math.floor(bx), y1 = Math.floor(by), steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0));
  let dirty = null;
  for (let i = 0; i <= steps; i++) {
    const x = Math.round(x0 + ((x1 - x0) * i) / (steps || 1)), y = Math.round(y0 + ((y1 - y0) * i) / (steps || 1));
    if (x < 0 || y < 0 || x >= width || y >= height) continue;
    mask[y * width + x] = value;
    dirty = joined(dirty, [x, y, x + 1, y + 1]);
  }
  return dirty;
}

function joined(a, b) {
  if (!a || !b) return a || b;
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

function segment(mask, width, height, stroke, from, to) {
  const a = snapped(from, stroke.size), b = snapped(to, stroke.size), value = stroke.tool === "eraser" ? 0 : 255;
  if (stroke.size * b[2] < 1.5) return thin(mask, width, height, a[0], a[1], b[0], b[1], value);
  return capsule(mask, width, height, a[0], a[1], b[0], b[1], radius_of(stroke.size, b[2]), value);
}

// One stroke, whole. A stroke is {tool, size, points: [[x, y, pressure], ...]} in picture pixels; a stamp and an import
// bring their pixels (runs.js) and may still wait for them.
function rasterise(mask, width, height, stroke) {
  const points = stroke.points, whole = [0, 0, width, height];
  switch (stroke.tool) {
    case "clear": case "remove": mask.fill(0); return whole;
    case "invert": invert(mask); return whole;
    case "grow": for (let i = 0; i < (stroke.steps ?? 1); i++) grow(mask, width, height); return whole;
    case "shrink": invert(mask); for (let i = 0; i < (stroke.steps ?? 1); i++) grow(mask, width, height); invert(mask); return whole;
    case "rectangle": return box(mask, width, height, points[0][0], points[0][1], points[1][0], points[1][1], 255);
    case "ellipse": return ellipse(mask, width, height, points[0][0], points[0][1], points[1][0], points[1][1], 255);
    case "polygon": return polygon(mask, width, height, points, 255);
    case "line": return segment(mask, width, height, stroke, points[0], points[1]);
    case "import": mask.fill(0); stamp(mask, width, stroke); return whole;
    case "stamp": return stroke.runs ? stamp(mask, width, stroke) : null;
  }
  let dirty = segment(mask, width, height, stroke, points[0], points[0]);
  for (let i = 1; i < points.length; i++) dirty = joined(dirty, segment(mask, width, height, stroke, points[i - 1], points[i]));
  return dirty;
}

function area(mask) {
  let count = 0;
  for (let i = 0; i < mask.length; i++) count += mask[i] & 1;
  return count;
}
