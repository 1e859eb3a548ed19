// The tool that chooses, moves and reshapes what was drawn.

import { coarse } from "../../../web/pages/pointer.js";
import { area, contains, edge, far, handles, inserted, moved, pulled } from "../shapes.js";

const CLOSE = coarse() ? 22 : 9; // screen pixels within which a handle is taken: a finger covers more than a pointer
const DRAG = 4; // screen pixels from which a press is a drag

/** Select, move, rotate, resize; corners are dragged, added on an edge, removed with Alt. */
export class Select {
  constructor(editor) {
    Object.assign(this, { editor, name: "select", title: "Select and move", key: "v", cursor: "default" });
  }

  /** The smallest shape under a place; null if none. */
  under(at) {
    const { editor } = this;
    const reach = CLOSE / 2 / editor.view.scale;
    const hit = editor.marks.state.shapes.filter((one) => one.kind !== "regions" && editor.seen(one.label))
      .filter((one) => contains(one, at, one.kind === "point" ? 2.5 * reach : reach));
    return hit.sort((a, b) => area(a) - area(b))[0] ?? null;
  }

  down({ at, screen, alt, extend, shift }) {
    const { editor } = this;
    this.from = { at, screen };
    this.moved = null;
    this.pan = null;
    const [only] = editor.chosen();
    if (only && editor.selection.size === 1) {
      const handle = handles(only, 26 / editor.view.scale).find((one) => far(editor.view.toScreen(one.at), screen) < CLOSE);
      if (handle?.name === "corner" && alt) return editor.cutCorner(handle.index);
      if (handle) {
        editor.corner = handle.name === "corner" ? handle.index : null;
        this.act = (p) => [pulled(only, handle, p)];
        return editor.view.repaint();
      }
      const near = only.kind === "polygon" && edge(only, at);
      if (near && near.distance * editor.view.scale < CLOSE / 2) {
        const grown = inserted(only, near.index, at);
        editor.corner = near.index + 1;
        this.moved = [grown];
        this.act = (p) => [pulled(grown, { name: "corner", index: near.index + 1 }, p)];
        return editor.show(this.moved);
      }
    }
    const hit = this.under(at);
    if (!hit) {
      if (!extend && !shift) editor.choose([]);
      this.act = null;
      this.pan = screen; // beside every shape the image itself is moved
      return undefined;
    }
    const kept = editor.selection.has(hit.id) || extend || shift ? editor.chosen().filter((one) => one.id !== hit.id) : [];
    editor.choose([...kept.map((one) => one.id), hit.id]);
    const all = editor.chosen();
    this.act = (p) => all.map((one) => moved(one, [p[0] - at[0], p[1] - at[1]]));
    return undefined;
  }

  move({ at, screen }) {
    if (this.pan) {
      this.editor.view.pan(screen[0] - this.pan[0], screen[1] - this.pan[1]);
      this.pan = screen;
    } else if (this.act && (this.moved || far(screen, this.from.screen) >= DRAG)) {
      this.moved = this.act(at);
      this.editor.show(this.moved);
    }
  }

  up() {
    const list = this.moved;
    this.cancel();
    if (list) this.editor.marks.replace(list);
  }

  cancel() {
    [this.act, this.moved, this.pan] = [null, null, null];
    this.editor.show(null);
  }
}
