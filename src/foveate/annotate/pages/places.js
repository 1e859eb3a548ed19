// Disc and fovea of the image being marked, the regions that follow from them, and which regions are marked.

import { paintLandmarks, paintRegions } from "./paint.js";
import { outlines, region, assumedFovea } from "./regions.js";
import { fresh } from "./shapes.js";

export class Places {
  constructor(editor) {
    this.editor = editor;
    this.chosen = null; // "disc" or "fovea": the one that keys move
    this.dragged = null; // their positions while they are dragged
    this.under = null; // the region that is pointed at
    this.outlined = true; // the regions are shown
  }

  /** Disc and fovea as they are now: dragged, placed by the annotator, or known of the image. */
  get landmarks() {
    const { marks: { state }, image } = this.editor;
    const disc = this.dragged?.disc ?? state.disc ?? image.disc ?? null;
    const known = this.dragged?.fovea ?? state.fovea ?? image.fovea ?? null;
    return { disc, fovea: known ?? (disc && assumedFovea(image, disc)), assumed: !known };
  }

  // -- regions --------------------------------------------------------------------------------------------------------

  regionAt(at) {
    const { view, image } = this.editor;
    const { disc, fovea } = this.landmarks;
    return disc && view.inside(at) ? region(disc, fovea, image.laterality, at) : null;
  }

  /** Mark a region for the chosen finding, or remove the mark. */
  toggle(name) {
    const { marks, finding: label, doubtful, mayDraw } = this.editor;
    if (!name || !mayDraw || !this.editor.takes("regions")) return;
    const mine = marks.state.shapes.find((one) => one.kind === "regions" && one.label === label && Boolean(one.doubtful) === doubtful);
    if (!mine) return void marks.add({ id: fresh(), label, kind: "regions", doubtful, draft: null, regions: [name] });
    const regions = mine.regions.includes(name) ? mine.regions.filter((one) => one !== name) : [...mine.regions, name];
    if (regions.length) marks.replace([{ ...mine, regions }]);
    else marks.remove(new Set([mine.id]));
  }

  // -- disc and fovea -------------------------------------------------------------------------------------------------

  /** Landmarks while they are pulled; null lets them go. */
  pull(where) {
    if (where) {
      const next = { ...this.dragged, ...where };
      const { disc, fovea } = { ...this.landmarks, ...next };
      if (disc && fovea && Math.hypot(disc[0] - fovea[0], disc[1] - fovea[1]) < 1) return;
      this.dragged = next;
    } else this.dragged = null;
    this.editor.view.repaint();
  }

  /** Keep where they were pulled to. */
  keep() {
    const put = this.dragged;
    if (put) this.editor.marks.change(() => put);
  }

  /** Move the chosen landmark; false where none is chosen. */
  shift(by) {
    const at = this.chosen && this.editor.tool.name === "landmarks" && this.landmarks[this.chosen];
    if (!at || !this.editor.mayDraw) return false;
    this.pull({ [this.chosen]: [at[0] + by[0], at[1] + by[1]] });
    this.keep();
    return true;
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  paint(context, view, shapes) {
    const { editor } = this;
    const { disc, fovea, assumed } = this.landmarks;
    const placing = editor.tool.name === "landmarks";
    if (!disc || !this.outlined || !(placing || editor.tool.name === "regions" || editor.takes("regions"))) return;
    const marks = shapes.filter((one) => one.kind === "regions" && editor.seen(one.label))
      .map((one) => ({ regions: one.regions, colour: editor.colourOf(one.label), strong: one.label === editor.finding, opacity: editor.opacity(one.label) }));
    paintRegions(context, view, outlines(editor.image, disc, fovea), { marks, under: editor.tool.name === "regions" ? this.under : null });
    paintLandmarks(context, view, { disc, fovea, assumed }, placing ? this.chosen : null);
  }
}
