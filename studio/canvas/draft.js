// What is being drawn and is no stroke yet: a layer of its own over the ink, so that a pointer move costs a line on the screen
// and not the mask. Knows the view; nothing of the tools' gestures.

class Draft {
  constructor(view, canvas) { Object.assign(this, { view, canvas }); }

  // items: [{tool, size, points, rgb}], points in picture pixels; `open` is where the next corner of a polygon would be.
  draw(items) {
    const { view, canvas } = this, pen = canvas.getContext("2d"), scale = view.zoom * view.ratio;
    if (canvas.width !== view.ink.width || canvas.height !== view.ink.height) Object.assign(canvas, { width: view.ink.width, height: view.ink.height });
    else if (this.drawn) { pen.setTransform(1, 0, 0, 1, 0, 0); pen.clearRect(0, 0, canvas.width, canvas.height); }
    this.drawn = items.length > 0;
    for (const item of items) {
      pen.setTransform(scale, 0, 0, scale, view.x * view.ratio, view.y * view.ratio);
      pen.strokeStyle = pen.fillStyle = `rgba(${item.rgb.join(",")},0.6)`;
      pen.lineWidth = item.size;
      pen.lineCap = pen.lineJoin = "round";
      pen.beginPath();
      const [[ax, ay], [bx, by]] = [item.points[0], item.points.at(-1)];
      if (item.tool === "rectangle") { pen.rect(ax, ay, bx - ax, by - ay); pen.fill(); }
      else if (item.tool === "ellipse") { pen.ellipse((ax + bx) / 2, (ay + by) / 2, Math.abs(bx - ax) / 2, Math.abs(by - ay) / 2, 0, 0, 2 * Math.PI); pen.fill(); }
      else if (item.tool === "polygon" || item.tool === "lasso") this.loop(pen, item, scale);
      else { for (const [x, y] of item.points) pen.lineTo(x, y); pen.lineTo(bx, by); pen.stroke(); }
    }
  }

  // A loop: what it would fill, its edge, and for a polygon its corners.
  loop(pen, item, scale) {
    const points = item.open ? [...item.points, item.open] : item.points, unit = this.view.ratio / scale;
    pen.globalAlpha = 0.45;
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.fill();
    pen.globalAlpha = 1;
    for (const [colour, width] of [["rgba(0,0,0,0.75)", 3], ["#fff", 1.5]]) { pen.strokeStyle = colour; pen.lineWidth = width * unit; pen.stroke(); }
    if (item.tool === "lasso") return;
    item.points.forEach(([x, y], i) => {
      pen.beginPath();
      pen.arc(x, y, (i ? 3.5 : 5.5) * unit, 0, 2 * Math.PI);
      pen.fillStyle = "#fff";
      pen.fill();
      pen.strokeStyle = "rgba(0,0,0,0.75)";
      pen.stroke();
    });
  }
}
