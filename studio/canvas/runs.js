// Masks as text, small enough to be saved: lengths of unpainted and painted runs in turn, row by row in the box around what is
// painted, seven bits a byte, in base64. And masks from one size to another. Knows nothing of strokes or of the screen.

// The box around what is painted, [x0, y0, x1, y1) in pixels, or null.
function bounds(mask, width, height) {
  let x0 = width, x1 = 0, y0 = height, y1 = 0;
  for (let y = 0; y < height; y++) {
    const row = mask.subarray(y * width, (y + 1) * width), from = row.indexOf(255);
    if (from < 0) continue;
    x0 = Math.min(x0, from); x1 = Math.max(x1, row.lastIndexOf(255) + 1); y0 = Math.min(y0, y); y1 = y + 1;
  }
  return x1 > x0 ? [x0, y0, x1, y1] : null;
}

// {x, y, width, height, runs}, or null when nothing is painted.
function packed_mask(mask, width, height) {
  const found = bounds(mask, width, height);
  if (!found) return null;
  const [x0, y0, x1, y1] = found, text = [];
  let value = 0, count = 0;
  const put = () => { while (count > 127) { text.push(String.fromCharCode((count & 127) | 128)); count >>>= 7; } text.push(String.fromCharCode(count)); };
  for (let y = y0; y < y1; y++) for (let i = y * width + x0; i < y * width + x1; i++) {
    if (mask[i] !== value) { put(); value = mask[i]; count = 0; }
    count++;
  }
  put();
  return { x: x0, y: y0, width: x1 - x0, height: y1 - y0, runs: btoa(text.join("")) };
}

// Paints what was packed into a mask that is `width` wide; returns the box.
function stamp(mask, width, packed) {
  const text = atob(packed.runs);
  let at = 0, count = 0, shift = 0, painted = false;
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i);
    count |= (byte & 127) << shift;
    shift += 7;
    if (byte & 128) continue;
    for (let left = painted ? count : 0, from = at; left > 0; ) {
      const row = Math.floor(from / packed.width), column = from % packed.width, length = Math.min(left, packed.width - column);
      const start = (packed.y + row) * width + packed.x + column;
      mask.fill(255, start, start + length);
      from += length; left -= length;
    }
    at += count;
    count = shift = 0;
    painted = !painted;
  }
  return [packed.x, packed.y, packed.x + packed.width, packed.y + packed.height];
}

// A mask in another size, (along, down) times as large and moved by (dx, dy). Larger: every pixel repeated. Smaller: a pixel is
// painted when ANY of those it stands for is, so that a thin scratch stays whole. What was made larger comes back the same.
function scaled(mask, width, height, to_width, to_height, [along, down], [dx, dy] = [0, 0]) {
  const found = new Uint8Array(to_width * to_height);
  if (along >= 1) {
    const columns = Int32Array.from({ length: to_width }, (_, x) => Math.floor((x + 0.5 - dx) / along));
    for (let y = 0; y < to_height; y++) {
      const row = Math.floor((y + 0.5 - dy) / down);
      if (row < 0 || row >= height) continue;
      for (let x = 0; x < to_width; x++) if (columns[x] >= 0 && columns[x] < width) found[y * to_width + x] = mask[row * width + columns[x]];
    }
    return found;
  }
  const columns = Int32Array.from({ length: width }, (_, x) => Math.min(to_width - 1, Math.max(0, Math.floor((x + 0.5) * along + dx))));
  for (let y = 0; y < height; y++) {
    const row = Math.min(to_height - 1, Math.max(0, Math.floor((y + 0.5) * down + dy)));
    for (let x = 0; x < width; x++) if (mask[y * width + x]) found[row * to_width + columns[x]] = 255;
  }
  return found;
}
