// Tools that do not change the marks: ruler, hand, the place of a comment.

import { paintRuler } from "../paint.js";
import { measured } from "../../../web/pages/ruler.js";
import { far } from "../shapes.js";

export class Ruler {
  constructor(editor) {
    Object.assign(this, { editor, name: "ruler", title: "Ruler", key: "m", cursor: "crosshair" });
  }

  down({ at }) {
    this.line = [at, at];
  }

  move({ at }) {
    if (!this.line) return;
    this.line = [this.line[0], at];
    this.drawn = this.line;
    this.editor.view.repaint();
  }

  up() {
    this.line = null;
  }

  cancel() {
    [this.line, this.drawn] = [null, null];
    this.editor.view.repaint();
  }

  paint(context, view) {
    if (this.drawn && far(...this.drawn) > 0) paintRuler(context, view, this.drawn, measured(...this.drawn, this.editor.image.spacing));
  }
}

export class Hand {
  constructor(editor) {
    Object.assign(this, { editor, name: "hand", title: "Move the image", key: "h", cursor: "grab" });
  }

  down({ screen }) {
    this.from = screen;
  }

  move({ screen }) {
    if (!this.from) return;
    this.editor.view.pan(screen[0] - this.from[0], screen[1] - this.from[1]);
    this.from = screen;
  }

  up() {
    this.from = null;
  }

  cancel() {
    this.from = null;
  }
}

/** A place for a comment. */
export class Pin {
  constructor(editor) {
    Object.assign(this, { editor, name: "comment", title: "Comment at a place", key: "c", cursor: "copy" });
  }

  down({ at }) {
    this.editor.dispatchEvent(new CustomEvent("pin", { detail: at }));
  }

  move() {}

  up() {}

  cancel() {}
}
