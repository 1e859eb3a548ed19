// All annotators' marks of one image, for the adjudicator: overlaid in one colour per annotator, side by side in views
// that follow the large one, and copied from there into the consensus: one shape, one finding or everything.

import { clock, h, put } from "../../web/pages/dom.js";
import { Marks } from "./marks.js";
import { paintRegions, paintShapes } from "./paint.js";
import { answered } from "./panel.js";
import { Pointer } from "../../web/pages/pointer.js";
import { outlines, region, assumedFovea } from "./regions.js";
import { area, contains, fresh } from "./shapes.js";
import { follow, View } from "../../web/pages/view.js";

const COLOURS = ["#ffb454", "#54d2ff", "#d59bff", "#9be36f", "#ff86b0", "#ffe66b", "#7fb0ff", "#66e0c0", "#ff8a65"];

export class Annotations {
  constructor({ editor, annotations, pyramid, protocol, adjust }) {
    Object.assign(this, { editor, protocol, adjust });
    this.list = annotations.map((reading, k) => {
      const colour = COLOURS[k % COLOURS.length];
      return { ...reading, colour, shown: false, own: new Marks(editor.image, () => colour, reading.marks), coloured: new Marks(editor.image, editor.colourOf, reading.marks) };
    });
    editor.extra.push((context, view) => this.list.filter((one) => one.shown).forEach((one) => this.#over(context, view, one)));
    this.strip = h("div", { class: "strip" });
    this.views = this.list.map((one) => this.#sideBySide(one, pyramid));
    this.strip.hidden = !this.list.length;
    this.look = () => this.views.forEach(({ view }) => (view.below.style.filter = adjust.css));
    adjust.addEventListener("change", this.look);
  }

  #over(context, view, { own, colour }) {
    const { editor } = this;
    paintShapes(context, view, own.state.shapes, { colourOf: () => colour, seen: editor.seen, opacity: (label) => editor.opacity(label) * 0.8, layers: own.layers.values() });
    const regions = own.state.shapes.filter((shape) => shape.kind === "regions" && shape.label === editor.finding);
    const { disc, fovea } = editor.places.landmarks;
    if (disc && regions.length) paintRegions(context, view, outlines(editor.image, disc, fovea), { marks: regions.map((shape) => ({ regions: shape.regions, colour, strong: false })), names: false });
  }

  #sideBySide(one, pyramid) {
    const { editor } = this;
    const place = h("div", { class: "view" });
    const holder = h("figure", {}, h("figcaption", {}, h("span", { class: "swatch", style: { background: one.colour } }), one.name, h("span", { class: "note" }, this.#words(one))), place);
    this.strip.append(holder);
    const view = new View(place, editor.image, pyramid);
    const marks = { disc: one.marks.disc ?? editor.image.disc, fovea: one.marks.fovea ?? editor.image.fovea };
    if (marks.disc && !marks.fovea) marks.fovea = assumedFovea(editor.image, marks.disc);
    view.painters.push((context) => {
      const { shapes } = one.coloured.state;
      const regions = shapes.filter((shape) => shape.kind === "regions" && editor.seen(shape.label));
      const asked = this.protocol.findings.find((finding) => finding.name === editor.finding)?.marks.includes("regions");
      if (marks.disc && asked) {
        paintRegions(context, view, outlines(editor.image, marks.disc, marks.fovea), { names: false, marks: regions.map((shape) => ({ regions: shape.regions, colour: editor.colourOf(shape.label), strong: shape.label === editor.finding })) });
      }
      paintShapes(context, view, shapes, { colourOf: editor.colourOf, seen: editor.seen, opacity: editor.opacity, layers: one.coloured.layers.values() });
    });
    const free = follow(editor.view, view);
    const repaint = () => view.repaint();
    editor.addEventListener("chosen", repaint);
    // a click on an annotator's shape copies it
    new Pointer(view, { down: ({ at }) => this.#pick(one, marks, at, view), move() {}, up() {}, cancel() {} });
    view.above.title = `Click a mark of ${one.name} to copy it into the consensus`;
    return { view, free };
  }

  #words({ marks, seconds }) {
    const answers = Object.values(marks.answers);
    const parts = [marks.ungradable && "ungradable", answers.length && answers.join(", "), clock(seconds)];
    return parts.filter(Boolean).join(" · ");
  }

  #pick(one, { disc, fovea }, at, view) {
    const { editor } = this;
    const hit = one.coloured.state.shapes.filter((shape) => shape.kind !== "regions" && contains(shape, at, 4 / view.scale)).sort((a, b) => area(a) - area(b))[0];
    if (hit) {
      const copy = { ...hit, id: fresh(), draft: null };
      editor.marks.add(copy);
      editor.choose([copy.id]);
    } else if (disc) {
      const name = region(disc, fovea, editor.image.laterality, at);
      const there = one.marks.shapes.some((shape) => shape.kind === "regions" && shape.label === editor.finding && shape.regions.includes(name));
      if (there) editor.places.toggle(name);
    }
  }

  // -- showing --------------------------------------------------------------------------------------------------------

  toggle(one) {
    one.shown = !one.shown;
    this.editor.turn("judging", true);
  }

  all() {
    const on = !this.list.some((one) => one.shown);
    for (const one of this.list) one.shown = on;
    this.editor.turn("judging", true);
  }

  side() {
    this.strip.hidden = !this.strip.hidden;
  }

  // -- copying --------------------------------------------------------------------------------------------------------

  /** Replace the consensus by everything of one annotator; comments stay. */
  copy({ marks }) {
    const { comments } = this.editor.marks.state;
    this.editor.marks.assume({ ...marks, comments, rejected: [], shapes: marks.shapes.map((shape) => ({ ...shape, draft: null })) });
  }

  /** Replace one finding by an annotator's. */
  take({ marks }, label) {
    const now = this.editor.marks.plain();
    const { [label]: _, ...others } = now.findings;
    const theirs = marks.shapes.filter((shape) => shape.label === label).map((shape) => ({ ...shape, id: fresh(), draft: null }));
    const state = marks.findings[label] ?? (theirs.length ? "present" : "absent");
    this.editor.marks.assume({ ...now, findings: { ...others, [label]: state }, shapes: [...now.shapes.filter((shape) => shape.label !== label), ...theirs] });
  }

  // -- panel ----------------------------------------------------------------------------------------------------------

  panel() {
    const rows = this.list.map((one, k) => {
      const eye = h("button", { type: "button", class: "finding", on: { click: () => this.toggle(one) } }, h("span", { class: "swatch", style: { background: one.colour } }), h("span", { class: "title" }, one.name), h("span", { class: "count" }, this.#words(one)), h("kbd", {}, `Ctrl ${k + 1}`));
      const copy = h("button", { type: "button", title: `Copy everything of ${one.name}`, on: { click: () => this.copy(one) } }, "Copy");
      const update = () => eye.setAttribute("aria-pressed", String(one.shown));
      this.editor.addEventListener("chosen", update);
      update();
      const remarks = one.marks.comments.length ? h("ul", { class: "remarks" }, one.marks.comments.map((comment) => h("li", {}, comment.text))) : null;
      return h("div", { class: "annotator" }, h("div", { class: "line" }, eye, copy), remarks);
    });
    if (!rows.length) return null;
    const side = h("button", { type: "button", class: "quiet", on: { click: () => this.side() } }, "Side by side");
    return h("section", { class: "annotators" }, h("header", {}, h("h2", {}, "Annotators"), side), rows);
  }

  /** The chosen finding of each annotator, to be copied. */
  findings() {
    if (!this.list.length || !this.protocol.findings.length) return null;
    const holder = h("div", { class: "row wrap" });
    const title = h("span", { class: "note" });
    const update = () => {
      const label = this.editor.finding;
      put(title, `${this.protocol.findings.find((one) => one.name === label).title}, by annotator:`);
      put(holder, this.list.map((one) => {
        const n = one.coloured.count(label);
        const state = one.marks.ungradable ? "ungradable" : one.marks.findings[label] ?? (n ? "" : "absent");
        return h("button", { type: "button", "data-take": one.name, on: { click: () => this.take(one, label) } }, h("span", { class: "swatch", style: { background: one.colour } }), `${one.name}: ${[n || "", state].filter(Boolean).join(" ")}`);
      }));
    };
    this.editor.addEventListener("chosen", update);
    update();
    return h("section", { class: "taken" }, title, holder);
  }

  /** The answer of each annotator, to be copied. */
  answers(name) {
    if (!this.list.length) return null;
    return h("div", { class: "row wrap" }, this.list.map((one) => {
      const answer = one.marks.ungradable ? "ungradable" : one.marks.answers[name];
      return h("button", { type: "button", disabled: !answer || answer === "ungradable", on: { click: () => answered(this.editor, name, answer) } }, h("span", { class: "swatch", style: { background: one.colour } }), `${one.name}: ${answer ?? "–"}`);
    }));
  }

  close() {
    this.adjust.removeEventListener("change", this.look);
    for (const { view, free } of this.views) {
      free();
      view.close();
    }
  }
}
