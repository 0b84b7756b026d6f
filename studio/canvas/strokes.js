// What was painted, as strokes: undo and redo walk along them, and the masks are always what the strokes say.
// Several areas stand side by side, each with its own mask. Knows nothing of the screen.

const INKS = [[255, 72, 48], [0, 168, 240], [64, 196, 84], [232, 72, 200], [250, 190, 0], [140, 104, 255], [0, 190, 170], [255, 136, 0]];

class Strokes {
  constructor(width, height) {
    Object.assign(this, { width, height, done: [], undone: [], masks: new Map(), notes: new Map() });
  }

  // The areas there are now, in the order they were added. Area 1 is always the first to be there.
  areas() {
    let found = [1];
    for (const stroke of this.done) {
      if (stroke.tool === "add") found.push(stroke.area);
      if (stroke.tool === "remove") found = found.filter((area) => area !== stroke.area);
    }
    return found;
  }

  // The lowest number that no stroke, done or undone, ever used: a redo must find its area untouched.
  unused() {
    return 1 + Math.max(1, ...this.done.concat(this.undone).map((stroke) => stroke.area));
  }

  mask(area) {
    if (!this.masks.has(area)) this.masks.set(area, new Uint8Array(this.width * this.height));
    return this.masks.get(area);
  }

  note(area) {
    if (!this.notes.has(area)) this.notes.set(area, {});
    return this.notes.get(area);
  }

  layers(active) {
    const shown = this.areas().filter((area) => this.masks.has(area));
    shown.sort((a, b) => (a === active) - (b === active));
    return shown.map((area) => ({ mask: this.masks.get(area), rgb: INKS[(area - 1) % INKS.length], strong: area === active }));
  }

  // A stroke in the making: pixels follow at once, the list gets it when it is finished.
  begin(stroke) {
    this.current = stroke;
    return rasterise(this.mask(stroke.area), this.width, this.height, stroke);
  }

  extend(point) {
    const points = this.current.points;
    points.push(point);
    return segment(this.mask(this.current.area), this.width, this.height, this.current, points[points.length - 2], point);
  }

  finish() {
    if (!this.current) return;
    this.done.push(this.current);
    this.undone = [];
    this.current = null;
  }

  abandon() {
    const stroke = this.current;
    this.current = null;
    if (stroke) this.rebuild(stroke.area);
  }

  apply(stroke) {
    this.done.push(stroke);
    this.undone = [];
    this.perform(stroke);
  }

  perform(stroke) {
    if (stroke.tool !== "add") rasterise(this.mask(stroke.area), this.width, this.height, stroke);
  }

  // The pixels of a stamp have come: they go where the stamp stands among the strokes, not on top of the later ones.
  settle(stroke, found) {
    Object.assign(stroke, found);
    delete stroke.points;
    if (this.done.includes(stroke)) this.rebuild(stroke.area);
  }

  // The stamp could not be drawn: it never was.
  drop(stroke) {
    this.done = this.done.filter((one) => one !== stroke);
    this.undone = this.undone.filter((one) => one !== stroke);
  }

  // Stamps that still wait for their pixels.
  waiting() { return this.done.filter((stroke) => stroke.tool === "stamp" && !stroke.runs); }

  undo() {
    const stroke = this.done.pop();
    if (!stroke) return;
    this.undone.push(stroke);
    this.rebuild(stroke.area);
  }

  redo() {
    const stroke = this.undone.pop();
    if (!stroke) return;
    this.done.push(stroke);
    this.perform(stroke);
  }

  // All that is needed to have the same masks again: strokes and notes are small, masks are not.
  saved() {
    return { width: this.width, height: this.height, done: this.done, notes: [...this.notes] };
  }

  restore(saved) {
    if (saved.width !== this.width || saved.height !== this.height) return;
    Object.assign(this, { done: saved.done, undone: [], notes: new Map(saved.notes) });
    for (const area of new Set(this.done.map((stroke) => stroke.area))) this.rebuild(area);
  }

  rebuild(area) {
    this.mask(area).fill(0);
    for (const stroke of this.done) if (stroke.area === area) this.perform(stroke);
  }
}
