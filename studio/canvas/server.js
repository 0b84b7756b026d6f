// What the canvas asks the server: to take a file, to draw a stroke of a defect brush, to read a mask file. Every refusal comes
// as an Error with the server's sentence. Knows nothing of strokes or of the screen.

const BAND = 256; // rows decoded at once: a mask of 40 megapixels would be 160 MB of RGBA

async function asked(words, address, options) {
  let answer = null;
  try { answer = await fetch(address, options); } catch (silent) { throw new Error(words.unreachable); }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error.message);
  return body;
}

function take(props, file) {
  const form = new FormData();
  form.append("file", file);
  return asked(props.words, props.uploads, { method: "POST", body: form });
}

// The pixels of a stamp stroke on a view of width x height, packed.
async function drawn(props, stroke, width, height) {
  const points = stroke.points.map(([x, y]) => [x, y]);
  const body = JSON.stringify({ shape: stroke.shape, width, height, points, width_px: stroke.size, seed: stroke.seed });
  const found = await asked(props.words, props.shapes, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const mask = new Uint8Array(width * height);
  await each_painted(found, (x, y) => { mask[y * width + x] = 255; });
  return packed_mask(mask, width, height);
}

// An uploaded mask for `picture`, packed for its view. Pixels come together as `scaled` brings them.
async function read_mask(props, asset, picture, width, height) {
  const found = await asked(props.words, `${props.masks}/${asset}?width=${picture.width}&height=${picture.height}`);
  const mask = new Uint8Array(width * height), along = width / picture.width, down = height / picture.height;
  await each_painted(found, (x, y) => { mask[Math.floor((y + 0.5) * down) * width + Math.floor((x + 0.5) * along)] = 255; });
  return packed_mask(mask, width, height);
}

async function each_painted(found, each) {
  const bytes = Uint8Array.from(atob(found.mask), (one) => one.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const pen = Object.assign(document.createElement("canvas"), { width: found.width, height: BAND }).getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < found.height; top += BAND) {
    const rows = Math.min(BAND, found.height - top);
    pen.drawImage(bitmap, 0, top, found.width, rows, 0, 0, found.width, rows);
    const pixels = pen.getImageData(0, 0, found.width, rows).data;
    for (let i = 0; i < found.width * rows; i++) if (pixels[4 * i] > 127) each(found.x + (i % found.width), found.y + top + Math.floor(i / found.width));
  }
  bitmap.close();
}
