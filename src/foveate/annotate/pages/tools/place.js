// Tools for disc, fovea and the regions that follow from them.

import { far } from "../shapes.js";

/** Disc and fovea are pulled; where they are not known, one press sets the disc and the next the fovea. */
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

/** A press on a region marks it for the chosen finding, another takes it back; disc and fovea can be pulled here too. */
export class RegionsTool {
  constructor(editor, landmarks) {
    Object.assign(this, { editor, landmarks, name: "regions", title: "Regions", key: "r", cursor: "pointer", mark: "regions" });
  }

  down(told) {
    if (Landmarks.under(this.editor, told.screen) || !this.editor.places.landmarks.disc) {
      this.pulling = true;
      this.landmarks.down(told);
    } else this.editor.places.toggle(this.editor.places.regionAt(told.at));
  }

  move(told) {
    if (this.pulling) this.landmarks.move(told);
  }

  hover(told) {
    const under = told ? this.editor.places.regionAt(told.at) : null;
    if (under === this.editor.places.under) return;
    this.editor.places.under = under;
    this.editor.view.repaint();
  }

  up(told) {
    if (this.pulling) this.landmarks.up(told);
    this.pulling = false;
  }

  cancel() {
    if (this.pulling) this.landmarks.cancel();
    this.pulling = false;
  }
}
