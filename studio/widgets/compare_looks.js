// One result over what was there before: beside a handle, alone, in turns, or only what differs between the two. Draws pictures
// it is given; loads none. View comes from the canvas.

const FLIP_MS = 500;
const OUTLINE = [255, 214, 0];
const ROOM_PX = 8, MOST_ROOM = 32;

class Pair extends View {
  constructor(stage, picture, ink) {
    super(stage, picture, ink);
    Object.assign(this, { outline: true, before: null, mask_box: null, before_url: "", look: "after", share: 0.5, flip: false, changed: null });
  }

  split_x() { return this.share * this.stage.clientWidth; }

  front() {
    if (this.look === "before" || (this.look === "flicker" && this.flip)) return this.before;
    return this.look === "difference" && this.changed ? this.changed.canvas : this.image;
  }

  draw_picture() {
    const after = this.image;
    this.image = this.front() || after;
    super.draw_picture();
    this.image = after;
    if (this.look !== "split" || !this.before) return;
    const pen = this.picture.getContext("2d"), scale = this.zoom * this.ratio;
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.beginPath();
    pen.rect(0, 0, this.split_x() * this.ratio, this.picture.height);
    pen.clip();
    pen.setTransform(scale, 0, 0, scale, this.x * this.ratio, this.y * this.ratio);
    pen.drawImage(this.before, 0, 0, this.width, this.height);
    pen.restore();
  }
}

// What differs between two pictures of one size, amplified; where nothing differs it is black, to the last bit.
class Changed {
  constructor(before, after) {
    this.width = after.naturalWidth;
    this.height = after.naturalHeight;
    const one = this.pixels(before), other = this.pixels(after), { width, height } = this;
    let [x0, y0, x1, y1] = [width, height, 0, 0];
    for (let y = 0, at = 0; y < height; y++) for (let x = 0; x < width; x++, at += 4) {
      if (one[at] === other[at] && one[at + 1] === other[at + 1] && one[at + 2] === other[at + 2]) continue;
      if (x < x0) x0 = x;
      if (x >= x1) x1 = x + 1;
      if (y < y0) y0 = y;
      y1 = y + 1;
    }
    this.box = x1 ? [x0, y0, x1, y1] : null;
    this.canvas = new OffscreenCanvas(width, height);
    this.pen = this.canvas.getContext("2d");
    this.pen.fillRect(0, 0, width, height);
    if (!this.box) return;
    this.levels = new Uint8Array(3 * (x1 - x0) * (y1 - y0));
    for (let y = y0, to = 0; y < y1; y++) for (let x = x0; x < x1; x++) for (let k = 0; k < 3; k++, to++) {
      const at = 4 * (y * width + x) + k;
      this.levels[to] = Math.abs(one[at] - other[at]);
    }
  }

  pixels(image) {
    const pen = new OffscreenCanvas(this.width, this.height).getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0, this.width, this.height);
    return pen.getImageData(0, 0, this.width, this.height).data;
  }

  amplify(gain) {
    if (!this.box) return;
    const [x0, y0, x1, y1] = this.box, image = this.pen.createImageData(x1 - x0, y1 - y0), out = image.data;
    for (let from = 0, at = 0; from < this.levels.length; from += 3, at += 4) {
      for (let k = 0; k < 3; k++) out[at + k] = this.levels[from + k] * gain;
      out[at + 3] = 255;
    }
    this.pen.putImageData(image, x0, y0);
  }
}

// The mask as the View wants it, at the size of the picture that is shown, and wider by ROOM_PX on the screen when the whole
// picture fits there: the outline goes around the defect, and leaves even a hair's breadth of it free. Also the box around it.
function stencil(image, width, height, zoom) {
  const room = Math.min(MOST_ROOM, Math.max(2, Math.round(ROOM_PX / (zoom || 1))));
  const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = false;
  pen.drawImage(image, 0, 0, width, height);
  const pixels = pen.getImageData(0, 0, width, height).data, mask = new Uint8Array(width * height);
  let box = null;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = y * width + x;
    if (pixels[4 * at] <= 127) continue;
    box = joined(box, [x, y, x + 1, y + 1]);
    const edge = !x || !y || x === width - 1 || y === height - 1 || pixels[4 * at - 4] <= 127 || pixels[4 * at + 4] <= 127 || pixels[4 * (at - width)] <= 127 || pixels[4 * (at + width)] <= 127;
    if (edge) capsule(mask, width, height, x + 0.5, y + 0.5, x + 0.5, y + 0.5, room, 255); else mask[at] = 255;
  }
  return { mask, box, room };
}
