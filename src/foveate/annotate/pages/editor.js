// One image being marked: the view, the marks, the chosen finding and tool, the selection. Panels and keys call it; its
// event "change" means that the marks changed, "chosen" that anything else a panel shows changed.

import { KeyboardPointer } from "./keyboard_pointer.js";
import { paintHandles, paintShapes } from "./paint.js";
import { Places } from "./places.js";
import { Pointer } from "../../web/pages/pointer.js";
import { fresh, inserted, middle, moved, scaled, turned, without } from "./shapes.js";
import { Brush } from "./tools/brush.js";
import { Ellipse, Point, Polygon } from "./tools/draw.js";
import { Hand, Pin, Ruler } from "./tools/other.js";
import { Landmarks, RegionsTool } from "./tools/place.js";
import { Select } from "./tools/select.js";

export class Editor extends EventTarget {
  /** image: as the server gives it; protocol; view; marks; mayDraw: whether the marks may be changed. */
  constructor({ image, protocol, view, marks, mayDraw }) {
    super();
    Object.assign(this, { image, protocol, view, marks, mayDraw });
    this.colours = new Map(protocol.findings.map((finding) => [finding.name, finding.colour]));
    this.colourOf = (label) => this.colours.get(label) ?? "#ffffff";
    this.layers = new Map(protocol.findings.map((finding) => [finding.name, { seen: true, opacity: 0.6 }]));
    this.seen = (label) => this.markings && (this.layers.get(label)?.seen ?? true);
    this.opacity = (label) => this.layers.get(label)?.opacity ?? 0.6;
    this.markings = true; // all marks at once
    this.finding = protocol.findings[0]?.name ?? null;
    this.doubtful = false;
    this.size = Math.max(3, Math.round(image.cols / 150));
    this.selection = new Set();
    this.corner = null;
    this.shown = null; // shapes while they are moved
    this.extra = []; // painters of others: drafts, comments, other annotators
    this.places = new Places(this);
    this.keyboardPointer = new KeyboardPointer(this);
    const landmarks = new Landmarks(this);
    this.tools = [
      new Select(this), new Hand(this), new Ellipse(this), new Polygon(this), new Brush(this, { value: 1 }),
      new Brush(this, { value: 0 }), new Point(this), new RegionsTool(this, landmarks), landmarks, new Ruler(this), new Pin(this),
    ];
    this.tool = this.#fitting();
    const guard = (act) => (event) => this.allowed(this.tool) && this.tool[act]?.(event);
    this.pointer = new Pointer(view, {
      down: guard("down"), move: guard("move"), up: guard("up"), hover: guard("hover"), cancel: () => this.tool.cancel(),
    });
    view.painters.push((context) => this.paint(context));
    marks.addEventListener("change", () => this.#changed());
    this.#cursor();
  }

  /** Whether a tool may be used now: for marks of the chosen finding, or for nothing to do with marks. */
  allowed(tool) {
    if (["hand", "ruler"].includes(tool.name)) return true;
    if (!this.mayDraw) return false;
    return !tool.mark || (this.takes(tool.mark) && this.markings);
  }

  /** Whether a tool is of use with this protocol at all. */
  useful(tool) {
    const all = new Set(this.protocol.findings.flatMap((finding) => finding.marks));
    if (tool.name === "landmarks") return all.has("regions") || this.places.landmarks.disc !== null;
    if (tool.name === "select") return ["ellipse", "polygon", "point"].some((mark) => all.has(mark));
    return !tool.mark || all.has(tool.mark);
  }

  /** Whether the chosen finding may be marked so. */
  takes(mark) {
    return this.protocol.findings.find((finding) => finding.name === this.finding)?.marks.includes(mark) ?? false;
  }

  #fitting() {
    if (!this.mayDraw) return this.tools[1];
    return this.tools.find((tool) => tool.mark && this.takes(tool.mark)) ?? this.tools[0];
  }

  #notify() {
    this.view.repaint();
    this.dispatchEvent(new Event("chosen"));
  }

  #changed() {
    const there = new Set(this.marks.state.shapes.map((shape) => shape.id));
    for (const id of this.selection) if (!there.has(id)) this.selection.delete(id);
    if (this.selection.size !== 1) this.corner = null;
    this.places.dragged = null;
    this.shown = null;
    this.view.repaint();
    this.dispatchEvent(new Event("change"));
  }

  #cursor() {
    this.view.above.style.cursor = this.allowed(this.tool) ? this.tool.cursor : "not-allowed";
  }

  // -- choosing -------------------------------------------------------------------------------------------------------

  use(name) {
    const tool = this.tools.find((one) => one.name === name);
    if (!tool || !this.useful(tool)) return;
    if (tool !== this.tool) this.tool.cancel();
    this.tool = tool;
    if (tool.name !== "select") this.selection.clear();
    this.#cursor();
    this.#notify();
  }

  pick(label) {
    if (this.tool.name === "select" && this.selection.size && this.mayDraw && label !== this.finding) {
      const kinds = this.protocol.findings.find((finding) => finding.name === label).marks;
      const fitting = this.chosen().filter((shape) => kinds.includes(shape.kind));
      if (fitting.length) this.marks.replace(fitting.map((shape) => ({ ...shape, label })));
    }
    this.finding = label;
    if (this.tool.mark && !this.takes(this.tool.mark)) this.use(this.#fitting().name);
    this.#cursor();
    this.#notify();
  }

  choose(ids) {
    this.selection = new Set(ids);
    this.corner = null;
    const [only] = this.chosen();
    if (only && this.selection.size === 1) this.finding = only.label;
    this.#notify();
  }

  /** The selected shapes, in the order they were drawn. */
  chosen() {
    return this.marks.state.shapes.filter((shape) => this.selection.has(shape.id));
  }

  /** The next shape of those seen, or the one before. */
  cycle(step) {
    const all = this.marks.state.shapes.filter((shape) => shape.kind !== "regions" && this.seen(shape.label));
    if (!all.length) return;
    const now = all.findIndex((shape) => this.selection.has(shape.id));
    const next = all[(now + step + all.length + (now < 0 && step < 0 ? 1 : 0)) % all.length];
    this.use("select");
    this.choose([next.id]);
    const [x, y] = this.view.toScreen(middle(next));
    if (x < 0 || y < 0 || x > this.view.width || y > this.view.height) this.view.centre(middle(next));
  }

  layer(label, change) {
    Object.assign(this.layers.get(label), change);
    this.#notify();
  }

  turn(field, value) {
    this[field] = value;
    this.#cursor();
    this.#notify();
  }

  // -- marks ----------------------------------------------------------------------------------------------------------

  /** A shape that was drawn, of the chosen finding. */
  draw(shape) {
    const one = { id: fresh(), label: this.finding, doubtful: this.doubtful, draft: null, ...shape };
    this.marks.add(one);
    this.selection = new Set([one.id]);
    this.#notify();
  }

  /** Shapes shown in place of theirs while they are moved; null to stop. */
  show(list) {
    this.shown = list && new Map(list.map((shape) => [shape.id, shape]));
    this.view.repaint();
  }

  edit(what) {
    const list = this.chosen();
    if (list.length && this.mayDraw) this.marks.replace(list.map(what));
    return list.length > 0;
  }

  nudge(by) {
    if (this.corner !== null) {
      return this.edit((shape) => ({ ...shape, corners: shape.corners.map((c, k) => (k === this.corner ? [c[0] + by[0], c[1] + by[1]] : c)) }));
    }
    return this.edit((shape) => moved(shape, by));
  }

  grow(factor) {
    return this.edit((shape) => scaled(shape, factor));
  }

  rotate(by) {
    return this.edit((shape) => turned(shape, by));
  }

  doubt() {
    if (!this.edit((shape) => ({ ...shape, doubtful: !shape.doubtful }))) this.turn("doubtful", !this.doubtful);
  }

  erase() {
    if (!this.mayDraw) return;
    if (this.corner !== null) this.cutCorner(this.corner);
    else if (this.selection.size) this.marks.remove(this.selection);
  }

  copy() {
    const list = this.chosen();
    if (list.length) this.clip = list;
  }

  /** Copies of what was copied, a little beside it. */
  paste() {
    if (!this.clip || !this.mayDraw) return;
    const off = 14 / this.view.scale;
    this.clip = this.clip.map((shape) => ({ ...moved(shape, [off, off]), id: fresh(), draft: null }));
    const list = this.clip;
    this.marks.change(({ shapes }) => ({ shapes: [...shapes, ...list] }));
    this.use("select");
    this.choose(list.map((shape) => shape.id));
  }

  nextCorner(step) {
    const [only] = this.chosen();
    if (only?.kind !== "polygon" || this.selection.size !== 1) return;
    const n = only.corners.length;
    this.corner = ((this.corner ?? (step > 0 ? -1 : 0)) + step + n) % n;
    this.view.repaint();
  }

  addCorner() {
    const [only] = this.chosen();
    if (only?.kind !== "polygon" || this.corner === null) return;
    const [a, b] = [only.corners[this.corner], only.corners[(this.corner + 1) % only.corners.length]];
    const corner = this.corner + 1;
    this.marks.replace([inserted(only, this.corner, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2])]);
    this.corner = corner;
    this.view.repaint();
  }

  cutCorner(index) {
    const [only] = this.chosen();
    const less = only?.kind === "polygon" && without(only, index);
    if (less) this.marks.replace([less]);
    this.corner = null;
    this.view.repaint();
  }

  /** Choose the state of a finding: present, absent, unsure, or null for what follows from its marks. */
  setState(label, state) {
    this.marks.change(({ findings, shapes }) => {
      const { [label]: _, ...rest } = findings;
      return { findings: state ? { ...rest, [label]: state } : rest, shapes };
    });
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  paint(context) {
    const { view } = this;
    const shapes = this.marks.state.shapes.map((shape) => this.shown?.get(shape.id) ?? shape);
    this.places.paint(context, view, shapes);
    paintShapes(context, view, shapes, {
      colourOf: this.colourOf, seen: this.seen, opacity: this.opacity, chosen: this.selection, layers: this.marks.layers.values(),
    });
    for (const paint of this.extra) paint(context, view);
    if (this.selection.size === 1 && this.tool.name === "select" && this.mayDraw) {
      const one = shapes.find((shape) => this.selection.has(shape.id));
      if (one && this.seen(one.label)) paintHandles(context, view, one, this.corner);
    }
    this.tool.paint?.(context, view);
    this.keyboardPointer.paint(context);
  }

  /** Cancel the current action, else clear the selection, else hide the keyboard's pointer. */
  escape() {
    if (this.keyboardPointer.pressed) this.keyboardPointer.pressed = false;
    else if (this.tool.corners?.length || this.tool.drawn) this.tool.cancel();
    else if (this.selection.size) return this.choose([]);
    else this.keyboardPointer.at = null;
    this.tool.cancel();
    return this.view.repaint();
  }
}
