// Tools for disc, fovea and the regions that follow from them.

import { far } from "../shapes.js";

/** Disc and fovea are dragged; if they are not known, one click sets the disc and the next the fovea. */
export class Landmarks {
  constructor(editor) {
    Object.assign(this, { editor, name: "landmarks", title: "Disc and fovea", key: "d", cursor: "crosshair" });
  }

  /** The landmark under the pointer; null if none. */
  static under({ view, places: { landmarks } }, screen) {
    return ["disc", "fovea"].find((name) => landmarks[name] && far(view.toScreen(landmarks[name]), screen) < 16) ?? null;
  }

  down({ at, screen }) {
    const { editor } = this;
    const { disc, assumed } = editor.places.landmarks;
    this.pulled = Landmarks.under(editor, screen) ?? (!disc ? "disc" : assumed ? "fovea" : null);
    editor.places.chosen = this.pulled;
    if (this.pulled && !Landmarks.under(editor, screen)) this.move({ at });
  }

  move({ at }) {
    if (this.pulled) this.editor.places.pull({ [this.pulled]: at });
  }

  up() {
    if (this.pulled) this.editor.places.keep();
    this.pulled = null;
  }

  cancel() {
    this.pulled = null;
    this.editor.places.pull(null);
  }
}

/** A click on a region marks it for the chosen finding, another removes the mark; disc and fovea can be dragged too. */
export class RegionsTool {
  constructor(editor, landmarks) {
    Object.assign(this, { editor, landmarks, name: "regions", title: "Regions", key: "r", cursor: "pointer", mark: "regions" });
  }

  down(event) {
    if (Landmarks.under(this.editor, event.screen) || !this.editor.places.landmarks.disc) {
      this.pulling = true;
      this.landmarks.down(event);
    } else this.editor.places.toggle(this.editor.places.regionAt(event.at));
  }

  move(event) {
    if (this.pulling) this.landmarks.move(event);
  }

  hover(event) {
    const under = event ? this.editor.places.regionAt(event.at) : null;
    if (under === this.editor.places.under) return;
    this.editor.places.under = under;
    this.editor.view.repaint();
  }

  up(event) {
    if (this.pulling) this.landmarks.up(event);
    this.pulling = false;
  }

  cancel() {
    if (this.pulling) this.landmarks.cancel();
    this.pulling = false;
  }
}
