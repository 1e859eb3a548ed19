// Tools that draw shapes: {name, title, key, cursor, mark, down, move, up, cancel, paint}.
//
// A tool works on the editor: its view, its marks, the chosen finding. What is being drawn is the tool's own until it
// is finished; only then do the marks change, in one step that can be undone.

import { paintShapes } from "../paint.js";
import { boxed, far, simpler } from "../shapes.js";

const CLOSE = 9; // screen pixels within which a corner is taken
const DRAG = 4; // screen pixels from which a press is a drag

/** What is being drawn, shown as it will look. */
function preview(context, view, editor, shape, open = false) {
  const how = { colourOf: editor.colourOf, seen: () => true, opacity: () => 1, dash: open ? [4, 3] : [] };
  paintShapes(context, view, [{ label: editor.finding, ...shape }], how);
}

export class Ellipse {
  constructor(editor) {
    Object.assign(this, { editor, name: "ellipse", title: "Ellipse", key: "e", cursor: "crosshair", mark: "ellipse" });
    this.last = [6, 6];
  }

  down({ at, screen }) {
    this.start = { at, screen };
    this.shape = null;
  }

  move({ at, screen, shift, alt }) {
    if (!this.start || (!this.shape && far(screen, this.start.screen) < DRAG)) return;
    this.shape = { kind: "ellipse", ...boxed(this.start.at, at, { round: shift, middle: alt }) };
    this.editor.view.repaint();
  }

  up() {
    // a click without a drag: an ellipse as large as the last one, for many small lesions
    const shape = this.shape ?? (this.start && { kind: "ellipse", centre: this.start.at, radii: this.last, turn: 0 });
    this.cancel();
    if (!shape) return;
    this.last = shape.radii;
    this.editor.draw(shape);
  }

  cancel() {
    [this.start, this.shape] = [null, null];
    this.editor.view.repaint();
  }

  paint(context, view) {
    if (this.shape) preview(context, view, this.editor, this.shape);
  }
}

export class Polygon {
  constructor(editor) {
    Object.assign(this, { editor, name: "polygon", title: "Polygon", key: "p", cursor: "crosshair", mark: "polygon" });
    this.corners = [];
  }

  down({ at, screen }) {
    const { view } = this.editor;
    if (this.corners.length > 2 && far(screen, view.toScreen(this.corners[0])) < CLOSE) return this.finish();
    const again = this.corners.length && far(screen, view.toScreen(this.corners.at(-1))) < 3;
    if (again && this.corners.length > 2) return this.finish(); // a double click
    if (!again) this.corners.push(at);
    this.pressed = screen;
    this.line = [at];
    return view.repaint();
  }

  move({ at, screen }) {
    if (!this.line) return;
    if (far(screen, this.editor.view.toScreen(this.line.at(-1))) >= 3) this.line.push(at);
    this.next = at;
    this.editor.view.repaint();
  }

  hover(event) {
    this.next = event?.at ?? null;
    if (this.corners.length) this.editor.view.repaint();
  }

  up({ screen }) {
    if (!this.line) return;
    const drawn = this.line.length > 4 && this.line.some((p) => far(this.editor.view.toScreen(p), this.pressed) > 3 * DRAG);
    if (drawn) {
      // drawn by hand: the line is the outline, with the corners that it needs to within half a screen pixel
      this.corners.push(...simpler(this.line, 0.5 / this.editor.view.scale).slice(1));
      if (this.corners.length > 2) this.finish();
    }
    this.line = null;
    this.pressed = screen;
  }

  /** One corner back; false where there is none. */
  back() {
    if (!this.corners.length) return false;
    this.corners.pop();
    this.editor.view.repaint();
    return true;
  }

  /** Close what is open. */
  finish() {
    const corners = this.corners;
    this.cancel();
    if (corners.length > 2) this.editor.draw({ kind: "polygon", corners });
    return corners.length > 2;
  }

  cancel() {
    [this.corners, this.line] = [[], null];
    this.editor.view.repaint();
  }

  paint(context, view) {
    const line = this.line ? this.line.slice(1) : [];
    const all = [...this.corners, ...line, ...(this.next && this.corners.length ? [this.next] : [])];
    if (this.corners.length) preview(context, view, this.editor, { kind: "polygon", corners: all }, true);
    if (!this.corners.length) return;
    const [x, y] = view.toScreen(this.corners[0]);
    context.fillStyle = "#ffffff";
    context.fillRect(x - 3.5, y - 3.5, 7, 7);
  }
}

export class Point {
  constructor(editor) {
    Object.assign(this, { editor, name: "point", title: "Point", key: "o", cursor: "crosshair", mark: "point" });
  }

  down({ at }) {
    this.editor.draw({ kind: "point", at });
  }

  move() {}

  up() {}

  cancel() {}
}
