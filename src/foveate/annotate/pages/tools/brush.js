// The tools that paint and erase; a stroke is one change, however long.

import { radius } from "../painted_layer.js";

/** Brush (value 1) and eraser (value 0) on the painted layer of the chosen finding. */
export class Brush {
  constructor(editor, { value }) {
    const names = value ? ["brush", "Brush", "b"] : ["eraser", "Eraser", "x"];
    Object.assign(this, { editor, value, name: names[0], title: names[1], key: names[2], cursor: "none", mark: "brush" });
  }

  down({ at, pressure, rubber }) {
    const { editor } = this;
    [this.label, this.doubtful] = [editor.finding, editor.doubtful];
    this.layer = editor.marks.layer(this.label, this.doubtful);
    this.layer.begin();
    this.now = rubber ? 0 : this.value; // the other end of a pen wipes
    this.last = at;
    this.layer.stroke(at, at, radius(editor.size, pressure), this.now);
    editor.view.repaint();
  }

  move({ at, pressure }) {
    this.hovered = at;
    if (!this.layer) return;
    this.layer.stroke(this.last, at, radius(this.editor.size, pressure), this.now);
    this.last = at;
    this.editor.view.repaint();
  }

  hover(event) {
    this.hovered = event?.at ?? null;
    this.editor.view.repaint();
  }

  up() {
    if (!this.layer) return;
    const layer = this.layer;
    this.layer = null;
    const flipped = layer.end();
    if (flipped) this.editor.marks.painted(this.label, this.doubtful, layer, flipped);
  }

  cancel() {
    if (!this.layer) return;
    const flipped = this.layer.end();
    if (flipped) this.layer.toggle(flipped);
    this.layer = null;
    this.editor.view.repaint();
  }

  paint(context, view) {
    if (!this.hovered) return;
    const [x, y] = view.toScreen(this.hovered);
    const size = Math.max(1.5, radius(this.editor.size, 1) * view.scale);
    for (const [colour, width] of [["rgb(0 0 0 / 70%)", 3], ["#ffffff", 1.2]]) {
      context.beginPath();
      context.arc(x, y, size, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.setLineDash(this.value ? [] : [4, 3]);
      context.stroke();
    }
    context.setLineDash([]);
  }
}
