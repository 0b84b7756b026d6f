// How thin a mask is. Knows nothing of strokes, units or the screen.
//
// Along the middle of what is painted (where no pixel near by lies deeper) the width is taken across: from the runs of painted
// pixels to all sides. The answer is the width that one in twenty of those places does not reach, so that the tip of a
// tapered scratch does not speak for the whole of it, and a fine line beside a large spot is still heard.

const NEAR = 3; // a pixel less deep than one this near is part of the bulge or the end of something thicker
const THIN_SHARE = 0.05;

// In pixels, or 0 when nothing is painted.
function thinnest(mask, width, height) {
  const found = bounds(mask, width, height);
  if (!found) return 0;
  const wide = found[2] - found[0] + 2, high = found[3] - found[1] + 2, depth = depths(mask, width, found, wide, high), widths = [];
  for (let y = 1; y < high - 1; y++) for (let x = 1; x < wide - 1; x++) {
    const here = depth[y * wide + x];
    if (here && deepest(depth, wide, high, x, y, here)) widths.push(across(depth, wide, x, y, here));
  }
  widths.sort((a, b) => a - b);
  return widths[Math.floor(THIN_SHARE * widths.length)];
}

// Steps of a chess king to the nearest unpainted pixel, in the box and a pixel around it.
function depths(mask, width, [x0, y0, x1, y1], wide, high) {
  const depth = new Uint16Array(wide * high);
  for (let y = y0; y < y1; y++) for (let x = x0; x < x1; x++) {
    const at = (y - y0 + 1) * wide + x - x0 + 1;
    if (mask[y * width + x]) depth[at] = 1 + Math.min(depth[at - 1], depth[at - wide - 1], depth[at - wide], depth[at - wide + 1]);
  }
  for (let y = high - 2; y > 0; y--) for (let x = wide - 2; x > 0; x--) {
    const at = y * wide + x;
    if (depth[at]) depth[at] = Math.min(depth[at], 1 + Math.min(depth[at + 1], depth[at + wide - 1], depth[at + wide], depth[at + wide + 1]));
  }
  return depth;
}

function deepest(depth, wide, high, x, y, here) {
  const at = y * wide + x;
  if (depth[at - 1] > here || depth[at + 1] > here || depth[at - wide] > here || depth[at + wide] > here) return false;
  const top = Math.max(0, y - NEAR), bottom = Math.min(high - 1, y + NEAR), left = Math.max(0, x - NEAR), right = Math.min(wide - 1, x + NEAR);
  for (let row = top; row <= bottom; row++) for (let column = left; column <= right; column++) if (depth[row * wide + column] > here) return false;
  return true;
}

function across(depth, wide, x, y, here) {
  if (here > 64) return 2 * here - 1; // far from thin: near enough, and no long way to walk
  const at = y * wide + x, most = 4 * here;
  const run = (step) => {
    let count = 1;
    for (let i = at + step; count < most && depth[i]; i += step) count++;
    for (let i = at - step; count < most && depth[i]; i -= step) count++;
    return count;
  };
  const flat = run(1), upright = run(wide);
  // A thin strip that leans: its width from where it cuts a row and a column, half a pixel for the steps of its edge. Diagonal runs would count in steps of 1.4.
  if (here < 3) return Math.max(1, Math.min(flat, upright, (flat * upright) / Math.hypot(flat, upright) + 0.5));
  return Math.min(flat, upright, Math.SQRT2 * run(wide + 1), Math.SQRT2 * run(wide - 1));
}
