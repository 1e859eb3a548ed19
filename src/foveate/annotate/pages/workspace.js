// The workspace of an image: tools at the edge, the image, the status line below it, the panel next to it; and the
// keyboard shortcuts.

import { Adjust } from "../../web/pages/adjust.js";
import { Comparison } from "./comparison.js";
import { h, put } from "../../web/pages/dom.js";
import { Editor } from "./editor.js";
import { icon } from "../../web/pages/icons.js";
import { paintRing } from "./paint.js";
import { Pyramid } from "../../web/pages/pyramid.js";
import { NAMES } from "./regions.js";
import { measured } from "../../web/pages/ruler.js";
import { View } from "../../web/pages/view.js";
import { remember } from "./remembered.js";
import { volume } from "./volume.js";

const ARROWS = ["arrowup", "arrowdown", "arrowleft", "arrowright"];

export class Workspace {
  /** image: as the server gives it; marks: a Marks; go(item): show another scan of the volume; kept: a Remembered. */
  constructor({ api, image, protocol, marks, mayDraw, go, kept }) {
    this.adjust = new Adjust("adjusted");
    this.main = h("div", { class: "view main" });
    this.other = h("div", { class: "view-comparison" });
    this.below = h("div", { class: "status" });
    this.above = h("div", { class: "banners", "aria-live": "assertive" });
    this.rail = h("div", { class: "rail", role: "toolbar", "aria-label": "Tools", "aria-orientation": "vertical" });
    this.panel = h("aside", { class: "panel", "aria-label": "Protocol" });
    this.views = h("div", { class: "views" }, this.main, this.other);
    const left = protocol.layout === "findings left";
    this.element = h("div", { class: `workspace${left ? " left" : ""}` }, h("nav", { class: "rail-place", "aria-label": "Tools" }, this.rail), h("main", { class: "stage" }, this.above, this.views, this.below), this.panel);
    this.start = () => {
      this.pyramid = new Pyramid(image);
      this.view = new View(this.main, image, this.pyramid);
      this.editor = new Editor({ image, protocol, view: this.view, marks, mayDraw });
      this.comparison = new Comparison({ api, editor: this.editor, holder: this.other, adjust: this.adjust });
      this.volume = image.volume ? volume(image, go) : null;
      this.kept = kept;
      remember(kept, this);
      this.#rail();
      this.#status();
      this.adjust.addEventListener("change", () => this.#look());
      this.pyramid.addEventListener("come", () => this.#broken());
      this.view.below.style.filter = this.adjust.css;
      return this.pyramid.open(this.adjust.look);
    };
  }

  #look() {
    this.view.below.style.filter = this.adjust.css;
    if (this.pyramid.asked !== this.adjust.look) this.pyramid.open(this.adjust.look);
    this.view.redraw();
    this.comparison.look();
  }

  #broken() {
    if (!this.pyramid.failed) return void this.lost?.remove();
    this.lost?.remove();
    this.lost = h("div", { class: "banner warn" }, `The image cannot be loaded: ${this.pyramid.failed} `,
      h("button", { type: "button", on: { click: () => this.pyramid.open(this.adjust.look).then(() => this.view.redraw()) } }, "Try again"));
    this.above.append(this.lost);
  }

  /** Show why marks were not accepted as done ({message, at}), with a ring around the place, until they change. */
  object(objection) {
    if (!objection) return;
    this.objected?.remove();
    const banner = h("div", { class: "banner warn", role: "alert" }, `Not finished: ${objection.message}`);
    this.objected = banner;
    this.above.append(banner);
    const ring = (context, view) => paintRing(context, view, objection.at);
    if (objection.at) {
      this.view.centre(objection.at);
      this.editor.extra.push(ring);
      this.view.repaint();
    }
    this.editor.addEventListener("change", () => {
      banner.remove();
      this.editor.extra = this.editor.extra.filter((paint) => paint !== ring);
      this.view.repaint();
    }, { once: true });
  }

  #rail() {
    const { editor } = this;
    const button = (name, title, key, run) => h("button", { type: "button", class: "tool", title: `${title} (${key})`, "aria-label": title, "data-tool": name, on: { click: run } }, icon(name));
    const tools = editor.tools.filter((tool) => editor.useful(tool)).map((tool) => ({ tool, element: button(tool.name, tool.title, tool.key.toUpperCase(), () => editor.use(tool.name)) }));
    const undo = button("undo", "Undo", "Ctrl Z", () => editor.marks.undo());
    const redo = button("redo", "Redo", "Ctrl Y", () => editor.marks.redo());
    const fit = button("fit", "Whole image", "F", () => this.view.fit());
    const other = editor.image.related.length ? button("comparison", "Earlier visit or fellow eye", "Tab", () => this.comparison.next()) : null;
    const fold = button("panel", "Panel: show or hide", "\\", () => this.fold());
    this.helper = button("help", "Keyboard shortcuts", "?", () => this.keys.help());
    put(this.rail, tools.map(({ element }) => element), h("hr", {}), undo, redo, h("hr", {}), fit, other, fold, this.helper);
    const update = () => {
      for (const { tool, element } of tools) {
        element.setAttribute("aria-pressed", String(editor.tool === tool));
        element.disabled = !editor.allowed(tool);
      }
      undo.disabled = !editor.marks.past.length;
      redo.disabled = !editor.marks.future.length;
    };
    editor.addEventListener("chosen", update);
    editor.addEventListener("change", update);
    update();
  }

  /** Show or hide the panel, so that a small screen has the image alone. */
  fold() {
    this.kept.set("folded", this.element.classList.toggle("folded"));
  }

  #status() {
    const { editor, view } = this;
    const { image } = editor;
    const [where, scale] = [h("span", { class: "where" }), h("span", {})];
    const range = h("input", { type: "range", min: 1, max: 100, step: 1, "aria-label": "Brush size", on: { input: () => editor.turn("size", this.#size(Number(range.value))) } });
    const size = h("label", { class: "slide size" }, h("span", {}, "Brush"), range, h("output", {}));
    const doubt = h("input", { type: "checkbox", on: { change: () => editor.turn("doubtful", doubt.checked) } });
    const facts = [image.laterality, image.modality, image.spacing ? `${(1000 * image.spacing[1]).toFixed(1)} µm per pixel` : "pixel size unknown"].filter(Boolean).join(" · ");
    const erase = h("button", { type: "button", class: "erase", on: { click: () => editor.erase() } }, "Delete mark", h("kbd", {}, "Del"));
    put(this.below, where, scale, h("span", { class: "facts" }, facts), h("label", { class: "tick", title: "New marks are doubtful: their pixels count as unknown (I)" }, doubt, "doubtful"), erase, size);
    const moved = () => (scale.textContent = `${Math.round(100 * view.scale)} %`);
    view.addEventListener("moved", moved);
    moved();
    view.above.addEventListener("pointermove", (event) => {
      const box = view.above.getBoundingClientRect();
      const at = view.toImage([event.clientX - box.left, event.clientY - box.top]);
      where.textContent = view.inside(at) ? `row ${Math.round(at[0])}, col ${Math.round(at[1])}` : "";
    });
    const update = () => {
      erase.hidden = !editor.selection.size || !editor.mayDraw;
      size.hidden = !["brush", "eraser"].includes(editor.tool.name);
      range.value = this.#place(editor.size);
      size.lastChild.textContent = image.spacing ? measured([0, 0], [0, editor.size], image.spacing) : `${editor.size} px`;
      doubt.checked = editor.doubtful;
      doubt.disabled = !editor.mayDraw;
    };
    editor.addEventListener("chosen", update);
    editor.addEventListener("change", update);
    update();
  }

  // the slider's 1..100 and sizes from 1 to 400 pixels, finer where they are small
  #size(place) {
    return Math.max(1, Math.round(400 ** ((place - 1) / 99)));
  }

  #place(size) {
    return 1 + (99 * Math.log(size)) / Math.log(400);
  }

  /** Bindings for the image, the tools and the marks. */
  groups() {
    const { editor, view, adjust } = this;
    const key = (keys, what, run) => ({ keys: [keys].flat(), what, run });
    const arrows = (run) => ({ arrowup: [-1, 0], arrowdown: [1, 0], arrowleft: [0, -1], arrowright: [0, 1] }[run.key.toLowerCase()]);
    const size = (factor) => editor.turn("size", Math.min(400, Math.max(1, factor > 1 ? Math.ceil(editor.size * factor) : Math.floor(editor.size * factor))));
    const chosen = () => editor.selection.size > 0;
    const step = (event, by) => arrows(event).map((n) => n * by);
    const slide = (name, by, low, high) => adjust.set({ [name]: Math.min(high, Math.max(low, adjust.now[name] + by)) });
    return [
      { title: "Image", keys: [
        key(["+", "="], "Zoom in", () => view.zoom(1.25)), key("-", "Zoom out", () => view.zoom(0.8)),
        key("\\", "Panel: show or hide", () => this.fold()), key("f", "Whole image", () => view.fit()), key("z", "Actual size: one image pixel per screen pixel", () => view.zoom(1 / view.ratio / view.scale)),
        key(ARROWS, "Move the image, the selection (by 1 pixel), or disc and fovea", (event) => {
          if (chosen()) return editor.nudge(step(event, 1));
          if (editor.places.shift(step(event, 2))) return true;
          const [y, x] = step(event, 60);
          return view.pan(-x, -y);
        }),
        key(" ", "Hold and drag: move the image", () => { this.editor.pointer.space = true; }),
        key("shift+b", "Brighter", () => slide("brightness", 0.04, -0.5, 0.5)), key("alt+b", "Darker", () => slide("brightness", -0.04, -0.5, 0.5)),
        key("shift+c", "More contrast", () => slide("contrast", 0.06, -0.8, 0.8)), key("alt+c", "Less contrast", () => slide("contrast", -0.06, -0.8, 0.8)),
        key("shift+g", "Gamma up", () => slide("gamma", 0.08, 0.4, 2.5)), key("alt+g", "Gamma down", () => slide("gamma", -0.08, 0.4, 2.5)),
        key("l", "Red-free", () => adjust.set({ redfree: !adjust.now.redfree })), key("k", "CLAHE (local contrast)", () => adjust.set({ clahe: !adjust.now.clahe })),
        key("0", "Reset brightness, contrast and filters", () => adjust.set({ brightness: 0, contrast: 0, gamma: 1, redfree: false, clahe: false })),
        key("tab", "Earlier visit or fellow eye, side by side", () => (editor.image.related.length ? this.comparison.next() : false)),
        key(["pageup"], "Previous B-scan", () => this.volume?.step(-1)), key(["pagedown"], "Next B-scan", () => this.volume?.step(1)),
      ] },
      { title: "Tools", keys: editor.tools.filter((tool) => editor.useful(tool)).map((tool) => key(tool.key, tool.title, () => editor.use(tool.name))).concat([
        key("]", "Larger brush", () => size(1.25)), key("[", "Smaller brush", () => size(0.8)),
        key(ARROWS.map((one) => `shift+${one}`), "Keyboard pointer: move by 10", (event) => editor.keyboardPointer.move(...step(event, 10).reverse())),
        key(ARROWS.map((one) => `alt+${one}`), "Keyboard pointer: move by 1", (event) => editor.keyboardPointer.move(...step(event, 1).reverse())),
        key("enter", "Close the polygon; keyboard pointer: press or release", () => {
          if (editor.tool.name === "polygon" && !editor.keyboardPointer.at) return editor.tool.finish();
          if (editor.tool.name === "polygon") return editor.keyboardPointer.press(true);
          return editor.keyboardPointer.press(editor.tool.name === "regions");
        }),
        key("shift+enter", "Keyboard pointer: close the polygon", () => editor.tool.finish?.()),
        key("backspace", "Remove the last corner, or the selection", () => editor.tool.back?.() || editor.erase()),
        key("escape", "Cancel the current action", () => editor.escape()),
      ]) },
      { title: "Marks", keys: [
        key("ctrl+z", "Undo", () => { editor.marks.undo(); }), key(["ctrl+y", "ctrl+shift+z"], "Redo", () => { editor.marks.redo(); }),
        key("n", "Next mark", () => editor.cycle(1)), key("shift+n", "Previous mark", () => editor.cycle(-1)),
        key("delete", "Remove the selection, or its corner", () => editor.erase()),
        key("ctrl+c", "Copy", () => editor.copy()), key("ctrl+v", "Paste", () => editor.paste()),
        key("ctrl+d", "Duplicate", () => { editor.copy(); editor.paste(); }),
        key(">", "Enlarge mark", () => editor.grow(1.05)), key("<", "Shrink mark", () => editor.grow(1 / 1.05)),
        key(".", "Rotate clockwise", () => editor.rotate(Math.PI / 36)), key(",", "Rotate counterclockwise", () => editor.rotate(-Math.PI / 36)),
        key("j", "Next corner", () => editor.nextCorner(1)), key("shift+j", "Previous corner", () => editor.nextCorner(-1)),
        key("insert", "Add a corner after this one", () => editor.addCorner()),
        key("i", "Doubtful: counts as unknown", () => editor.doubt()),
        key("y", "Opacity of this finding: decrease", () => this.#fade(-0.1)), key("shift+y", "Opacity of this finding: increase", () => this.#fade(0.1)),
        key("s", "Marks of this finding: show or hide", () => editor.layer(editor.finding, { seen: !editor.layers.get(editor.finding).seen })),
        key("shift+s", "All marks: show or hide", () => editor.turn("markings", !editor.markings)),
        key("shift+r", "Regions: show or hide", () => { editor.places.outlined = !editor.places.outlined; editor.view.repaint(); }),
        key("t", "Choose disc or fovea, to move with the arrows", () => { editor.use("landmarks"); editor.places.chosen = editor.places.chosen === "disc" ? "fovea" : "disc"; editor.view.repaint(); }),
      ] },
    ];
  }

  #fade(by) {
    const { opacity } = this.editor.layers.get(this.editor.finding);
    this.editor.layer(this.editor.finding, { opacity: Math.min(1, Math.max(0.05, opacity + by)) });
  }

  /** Bindings that the protocol names; they come before all others. */
  protocolKeys(focus) {
    const { editor } = this;
    const key = (keys, what, run) => ({ keys, what, run });
    const all = editor.protocol.findings.filter((one) => one.key).map((one) => key([one.key.toLowerCase()], one.title, () => editor.pick(one.name)));
    const asked = editor.protocol.questions.filter((one) => one.key).map((one) => key([one.key.toLowerCase()], `${one.title}: then the answer`, () => focus(one.name)));
    const by = (step) => () => {
      const names = editor.protocol.findings.map((one) => one.name);
      editor.pick(names[(names.indexOf(editor.finding) + step + names.length) % names.length]);
    };
    const setState = (state) => () => {
      if (state === "absent" && editor.marks.has(editor.finding)) return;
      editor.setState(editor.finding, editor.marks.state.findings[editor.finding] === state ? null : state);
    };
    const regions = editor.protocol.findings.some((one) => one.marks.includes("regions"))
      ? NAMES.map((name, k) => key([`shift+${k + 1}`], `Region: ${name}`, () => editor.places.toggle(name))) : [];
    const findings = editor.protocol.findings.length ? [key(["'"], "Next finding", by(1)), key([";"], "Previous finding", by(-1)),
      key(["alt+1"], "This finding is present", setState("present")), key(["alt+2"], "This finding is absent", setState("absent")), key(["alt+3"], "This finding is unsure", setState("unsure"))] : [];
    return { title: "Protocol", keys: [...all, ...asked, ...regions, ...findings] };
  }

  close() {
    this.keys?.close();
    this.comparison.close();
    this.view.close();
    this.pyramid.close();
    this.adjust.close();
  }
}
