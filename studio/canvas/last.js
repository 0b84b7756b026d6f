// The masks this browser painted last, to be used again: their pixels as text, and a small copy to know them by. They stay in
// this browser. Knows nothing of strokes or of the screen.

const LAST = "flawsmith-last-masks";
const MOST_LAST = 12;
const MOST_LAST_TEXT = 300000;
const SMALL_PX = 72;

// [{title, width, height, mask, small}], newest first; width and height are those of the view it was painted on.
function last_masks() {
  return JSON.parse(localStorage.getItem(LAST) || "[]");
}

function remember(mask, width, height, title) {
  const kept = packed_mask(mask, width, height);
  if (!kept || kept.runs.length > MOST_LAST_TEXT) return;
  const scale = Math.min(1, SMALL_PX / Math.max(width, height)), wide = Math.max(1, Math.round(width * scale)), high = Math.max(1, Math.round(height * scale));
  const small = { ...packed_mask(scaled(mask, width, height, wide, high, [scale, scale]), wide, high), wide, high };
  const others = last_masks().filter((one) => one.mask.runs !== kept.runs || one.width !== width || one.height !== height);
  const found = [{ title, width, height, mask: kept, small }, ...others].slice(0, MOST_LAST);
  // A full store holds fewer: the oldest go first.
  while (found.length) {
    try { localStorage.setItem(LAST, JSON.stringify(found)); return; } catch (full) { found.pop(); }
  }
}

// A remembered mask as large as this view allows, in its middle.
function fitted(one, width, height) {
  const mask = new Uint8Array(one.width * one.height);
  stamp(mask, one.width, one.mask);
  return fit_mask(mask, one.width, one.height, width, height);
}

function fit_mask(mask, from_width, from_height, width, height) {
  const scale = Math.min(width / from_width, height / from_height);
  return scaled(mask, from_width, from_height, width, height, [scale, scale], [(width - from_width * scale) / 2, (height - from_height * scale) / 2]);
}

function small_picture(one) {
  const { wide, high } = one.small, mask = new Uint8Array(wide * high), canvas = document.createElement("canvas");
  Object.assign(canvas, { width: wide, height: high });
  stamp(mask, wide, one.small);
  const pen = canvas.getContext("2d"), image = pen.createImageData(wide, high);
  new Uint32Array(image.data.buffer).forEach((_, i, pixels) => { pixels[i] = mask[i] ? 0xffffffff : 0xff2b2724; });
  pen.putImageData(image, 0, 0);
  return canvas;
}
