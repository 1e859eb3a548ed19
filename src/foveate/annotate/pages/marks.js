// All marks of one annotator on one image, with undo and redo without limit.
//
// The state is never changed in place: a change makes a new one and keeps the old, so undoing is going back to it.
// Painted layers are changed in place; a change keeps what it flipped in them (painted_layer.js).

import { Layer } from "./painted_layer.js";
import { fresh } from "./shapes.js";

const EMPTY = { answers: {}, findings: {}, shapes: [], disc: null, fovea: null, comments: [], ungradable: null, rejected: [] };

/** Key of a painted layer: one per label, another for doubtful pixels. */
export const layerKey = (label, doubtful) => `${label}${doubtful ? " ?" : ""}`;

export class Marks extends EventTarget {
  /** image: {rows, cols}; colourOf: finding -> colour; marks: as the server has them. */
  constructor(image, colourOf, marks = {}) {
    super();
    this.image = image;
    this.colourOf = colourOf;
    this.layers = new Map(); // key -> {layer, label, doubtful}
    this.past = [];
    this.future = [];
    this.revision = 0;
    this.#take(marks);
  }

  #take(marks) {
    const { shapes, ...rest } = { ...EMPTY, ...marks };
    const painted = {};
    for (const shape of shapes.filter((one) => one.kind === "brush")) {
      const key = layerKey(shape.label, shape.doubtful);
      painted[key] = { id: shape.id, draft: shape.draft ?? null };
      const layer = new Layer(this.image.rows, this.image.cols, this.colourOf(shape.label));
      layer.fill(shape.runs);
      this.layers.set(key, { layer, label: shape.label, doubtful: Boolean(shape.doubtful) });
    }
    this.state = { ...rest, shapes: shapes.filter((one) => one.kind !== "brush"), painted };
  }

  /** The painted layer of a label, made where there is none yet. */
  layer(label, doubtful = false) {
    const key = layerKey(label, doubtful);
    if (!this.layers.has(key)) {
      this.layers.set(key, { layer: new Layer(this.image.rows, this.image.cols, this.colourOf(label)), label, doubtful });
    }
    return this.layers.get(key).layer;
  }

  // -- change -------------------------------------------------------------------------------------------------------

  /** Change: what(state) gives the new fields; flips: [layer, flipped] pairs that have been painted already. */
  change(what, flips = []) {
    const before = this.state;
    const after = { ...before, ...what(before) };
    if (after === before) return;
    this.state = after;
    this.past.push({ before, after, flips });
    this.future = [];
    this.#notify();
  }

  /** Paint on a layer with paint(layer) and keep it as one change. */
  paint(label, doubtful, paint, draft) {
    const layer = this.layer(label, doubtful);
    layer.begin();
    paint(layer);
    const flipped = layer.end();
    if (flipped) this.painted(label, doubtful, layer, flipped, draft);
  }

  /** Keep what was painted on a layer as one change. */
  painted(label, doubtful, layer, flipped, draft = null) {
    const key = layerKey(label, doubtful);
    this.change(({ painted, findings }) => {
      const was = painted[key];
      return { painted: { ...painted, [key]: { id: was?.id ?? fresh(), draft: draft ?? was?.draft ?? null } }, findings: marked(findings, label) };
    }, [[layer, flipped]]);
  }

  add(shape) {
    this.change(({ shapes, findings }) => ({ shapes: [...shapes, shape], findings: marked(findings, shape.label) }));
  }

  /** Put shapes in place of those with their ids. */
  replace(list) {
    const now = new Map(list.map((shape) => [shape.id, shape]));
    this.change(({ shapes }) => ({ shapes: shapes.map((shape) => now.get(shape.id) ?? shape) }));
  }

  remove(ids) {
    this.change(({ shapes }) => ({ shapes: shapes.filter((shape) => !ids.has(shape.id)) }));
  }

  /** Take another set of marks in place of these, as one change that can be undone. */
  assume(marks) {
    const { shapes, ...rest } = { ...EMPTY, ...marks };
    const brushes = shapes.filter((one) => one.kind === "brush");
    const painted = {};
    for (const one of brushes) {
      this.layer(one.label, Boolean(one.doubtful));
      painted[layerKey(one.label, one.doubtful)] = { id: one.id, draft: one.draft ?? null };
    }
    const flips = [];
    for (const [key, { layer }] of this.layers) {
      layer.begin();
      layer.fill(layer.runs().slice(), 0);
      layer.fill(brushes.find((one) => layerKey(one.label, one.doubtful) === key)?.runs ?? []);
      const flipped = layer.end();
      if (flipped) flips.push([layer, flipped]);
    }
    this.change(() => ({ ...rest, shapes: shapes.filter((one) => one.kind !== "brush"), painted }), flips);
  }

  undo() {
    const step = this.past.pop();
    if (!step) return false;
    for (const [layer, flipped] of step.flips) layer.toggle(flipped);
    this.state = step.before;
    this.future.push(step);
    this.#notify();
    return true;
  }

  redo() {
    const step = this.future.pop();
    if (!step) return false;
    for (const [layer, flipped] of step.flips) layer.toggle(flipped);
    this.state = step.after;
    this.past.push(step);
    this.#notify();
    return true;
  }

  #notify() {
    this.revision += 1;
    this.dispatchEvent(new Event("change"));
  }

  // -- reading ------------------------------------------------------------------------------------------------------

  /** Whether anything of a finding is marked. */
  has(label) {
    return this.count(label) > 0;
  }

  /** How many shapes of a finding there are; a painted layer is one. */
  count(label) {
    const regions = this.state.shapes.filter((shape) => shape.label === label);
    let count = regions.reduce((sum, shape) => sum + (shape.kind === "regions" ? shape.regions.length : 1), 0);
    for (const one of this.layers.values()) if (one.label === label && one.layer.runs().length) count += 1;
    return count;
  }

  /** As the server wants it. */
  plain() {
    const { painted, shapes, ...rest } = this.state;
    const brushes = [];
    for (const [key, { layer, label, doubtful }] of this.layers) {
      const runs = layer.runs();
      if (runs.length) {
        const { id, draft } = painted[key] ?? { id: fresh(), draft: null };
        brushes.push({ id, label, kind: "brush", doubtful, draft, runs });
      }
    }
    return { ...rest, shapes: [...shapes, ...brushes] };
  }
}

/** A mark replaces the chosen states absent and unsure. */
function marked(findings, label) {
  if (!["absent", "unsure"].includes(findings[label])) return findings;
  const { [label]: _, ...rest } = findings;
  return rest;
}
