// Drafts of a model: shown as drafts, accepted, corrected or rejected one by one; never saved automatically.

import { h, put } from "../../web/pages/dom.js";
import { paintBox, paintRegions, paintShapes } from "./paint.js";
import { Layer } from "./painted_layer.js";
import { outlines } from "./regions.js";
import { area, bounds, contains, fresh } from "./shapes.js";
import { answered } from "./panel.js";

export class Drafts {
  constructor(editor, drafts) {
    this.editor = editor;
    this.drafts = drafts;
    this.at = 0;
    this.seen = true;
    this.layers = new Map();
    this.boxes = new Map();
    for (const shape of drafts.shapes.filter((one) => one.kind === "brush")) {
      const layer = new Layer(editor.image.rows, editor.image.cols, editor.colourOf(shape.label));
      layer.fill(shape.runs);
      this.layers.set(shape.id, { layer, label: shape.label, doubtful: false });
    }
    editor.extra.push((context, view) => this.#paint(context, view));
  }

  /** Shapes without a decision. */
  get open() {
    const { shapes, painted, rejected } = this.editor.marks.state;
    const gone = new Set([...rejected, ...shapes.map((one) => one.draft), ...Object.values(painted).map((one) => one.draft)]);
    return this.drafts.shapes.filter((shape) => !gone.has(shape.id));
  }

  /** Answers without a decision: {question: answer}. */
  get answers() {
    const { answers, rejected } = this.editor.marks.state;
    return Object.fromEntries(Object.entries(this.drafts.answers).filter(([name]) => answers[name] === undefined && !rejected.includes(`answer:${name}`)));
  }

  get now() {
    const { open } = this;
    return open.length ? open[this.at % open.length] : null;
  }

  step(by) {
    const n = this.open.length;
    if (n) this.at = (this.at + by + n) % n;
    this.editor.turn("drafting", true);
  }

  /** Accept a draft as a mark of one's own. */
  accept(shape = this.now) {
    const { editor } = this;
    if (!shape || !editor.mayDraw) return false;
    const { id: draft, ...rest } = shape;
    if (shape.kind === "brush") editor.marks.paint(shape.label, Boolean(shape.doubtful), (layer) => layer.fill(shape.runs), draft);
    else if (shape.kind === "regions") this.#acceptRegions(shape);
    else editor.marks.add({ ...rest, id: fresh(), draft });
    return true;
  }

  // a finding has one regions mark: the draft's regions are added to it
  #acceptRegions(shape) {
    const { marks } = this.editor;
    const mine = marks.state.shapes.find((one) => one.kind === "regions" && one.label === shape.label && !one.doubtful);
    if (mine) marks.replace([{ ...mine, draft: shape.id, regions: [...new Set([...mine.regions, ...shape.regions])] }]);
    else marks.add({ ...shape, id: fresh(), draft: shape.id });
  }

  /** Accept it and select it, to be corrected. */
  correct() {
    const shape = this.now;
    if (!this.accept(shape) || shape.kind === "brush" || shape.kind === "regions") return;
    this.editor.use("select");
    this.editor.choose([this.editor.marks.state.shapes.at(-1).id]);
  }

  reject(id = this.now?.id) {
    if (id && this.editor.mayDraw) this.editor.marks.change(({ rejected }) => ({ rejected: [...rejected, id] }));
  }

  acceptAll() {
    for (const shape of this.open) this.accept(shape);
  }

  rejectAll() {
    const ids = this.open.map((shape) => shape.id);
    if (ids.length) this.editor.marks.change(({ rejected }) => ({ rejected: [...rejected, ...ids] }));
  }

  /** The draft under a place; null if none. */
  under(at) {
    return this.open.filter((shape) => contains(shape, at, 3 / this.editor.view.scale) || this.layers.get(shape.id)?.layer.at(...at))
      .sort((a, b) => area(a) - area(b))[0] ?? null;
  }

  #paint(context, view) {
    const { editor, open } = this;
    if (!this.seen || !open.length) return;
    const layers = open.filter((shape) => this.layers.has(shape.id)).map((shape) => this.layers.get(shape.id));
    paintShapes(context, view, open, {
      colourOf: editor.colourOf, seen: editor.seen, opacity: (label) => editor.opacity(label) * 0.7,
      chosen: new Set([this.now.id]), dash: [3, 4], layers,
    });
    for (const shape of open) {
      const box = editor.seen(shape.label) && (shape.kind === "brush" || shape === this.now) ? this.#box(shape) : null;
      if (box && shape.kind === "brush") paintBox(context, view, box, editor.colourOf(shape.label));
      if (box && shape === this.now) paintBox(context, view, box, "#ffffff", { away: 9, width: 2 });
    }
    const { disc, fovea } = editor.places.landmarks;
    const marks = open.filter((one) => one.kind === "regions" && (one.label === editor.finding || one === this.now))
      .map((one) => ({ regions: one.regions, colour: editor.colourOf(one.label), strong: true, dash: [3, 6] }));
    if (disc && marks.length) paintRegions(context, view, outlines(editor.image, disc, fovea), { marks, names: false });
  }

  #box(shape) {
    if (!this.boxes.has(shape.id)) this.boxes.set(shape.id, bounds(shape, this.editor.image.cols));
    return this.boxes.get(shape.id);
  }

  /** The panel: how many are left, and the buttons for the selected one. */
  panel() {
    const text = h("p", { class: "note", "aria-live": "polite" });
    const button = (name, key, run) => h("button", { type: "button", on: { click: run } }, name, h("kbd", {}, key));
    const one = h("div", { class: "row even" },
      button("Accept", "A", () => this.accept()), button("Correct", "W", () => this.correct()), button("Reject", "Q", () => this.reject()));
    const all = h("div", { class: "row wrap" },
      h("button", { type: "button", class: "quiet", on: { click: () => this.acceptAll() } }, "Accept all"),
      h("button", { type: "button", class: "quiet", on: { click: () => this.rejectAll() } }, "Reject all"),
      h("button", { type: "button", class: "quiet", "aria-label": "Previous draft", on: { click: () => this.step(-1) } }, "‹"),
      h("button", { type: "button", class: "quiet", "aria-label": "Next draft", on: { click: () => this.step(1) } }, "›"));
    const update = () => {
      const { open } = this;
      one.hidden = all.hidden = !open.length || !this.editor.mayDraw;
      const title = (label) => this.editor.protocol.findings.find((finding) => finding.name === label)?.title ?? label;
      put(text, open.length ? `${open.length} left to decide; selected: ${title(this.now.label)}.` : "All drafts are decided.");
    };
    this.editor.addEventListener("change", update);
    this.editor.addEventListener("chosen", update);
    update();
    return h("section", { class: "drafts" }, h("header", {}, h("h2", {}, "Drafts"), h("span", { class: "note" }, `by ${this.drafts.run}`)), text, one, all);
  }

  /** The answer that was drafted for a question, shown with it. */
  answer(name) {
    if (this.drafts.answers[name] === undefined) return null;
    const value = this.drafts.answers[name];
    const act = h("span", { class: "row" },
      h("button", { type: "button", on: { click: () => answered(this.editor, name, value) } }, "Accept"),
      h("button", { type: "button", on: { click: () => this.reject(`answer:${name}`) } }, "Reject"));
    const element = h("div", { class: "draft-answer" }, h("span", {}, "Draft: ", h("b", {}, value)), act);
    const update = () => (element.hidden = this.answers[name] === undefined);
    this.editor.addEventListener("change", update);
    update();
    return element;
  }
}
