// Another image next to the one being annotated: an earlier visit of the same eye, or the fellow eye. It is shown, not
// marked; its camera follows that of the annotated image if they are linked.

import { h, put } from "../../web/pages/dom.js";
import { Pointer } from "../../web/pages/pointer.js";
import { Pyramid } from "../../web/pages/pyramid.js";
import { follow, View } from "../../web/pages/view.js";

export class Comparison {
  /** editor: of the image being annotated; holder: the element for the other one; adjust: how images are shown. */
  constructor({ api, editor, holder, adjust }) {
    Object.assign(this, { api, editor, holder, adjust });
    this.linked = editor.image.related.some((one) => one.relation === "same eye");
    this.shown = null;
    holder.hidden = true;
  }

  /** Show the next of the other images, after the last none. */
  next() {
    const all = this.editor.image.related;
    const k = all.findIndex((one) => one.item === this.shown);
    this.show(all[k + 1]?.item ?? null);
  }

  async show(item) {
    this.#clear();
    this.shown = item;
    this.holder.hidden = item === null;
    if (item === null) return;
    const image = await this.api.get(`/api/items/${item}`);
    if (this.shown !== item) return;
    const { relation } = this.editor.image.related.find((one) => one.item === item);
    const place = h("div", { class: "view" });
    const link = h("button", { type: "button", class: "quiet", on: { click: () => this.link(!this.linked) } });
    this.button = link;
    put(this.holder, h("header", {}, h("span", { class: "title" }, `${relation}: ${image.id}`), link,
      h("button", { type: "button", class: "quiet", "aria-label": "Close", on: { click: () => this.show(null) } }, "✕")), place);
    this.pyramid = new Pyramid(image);
    this.view = new View(place, image, this.pyramid);
    this.view.below.style.filter = this.adjust.css;
    this.pointer = new Pointer(this.view, {
      down: ({ screen }) => (this.from = screen),
      move: ({ screen }) => {
        if (this.from) this.view.pan(screen[0] - this.from[0], screen[1] - this.from[1]);
        this.from = screen;
      },
      up: () => (this.from = null), cancel: () => (this.from = null),
    });
    this.link(this.linked);
    await this.pyramid.open(this.adjust.look);
  }

  /** Let its camera follow the annotated image, or not. */
  link(on) {
    this.linked = on;
    this.free?.();
    this.free = on ? follow(this.editor.view, this.view) : null;
    this.button.textContent = on ? "Linked" : "Link";
    this.button.setAttribute("aria-pressed", String(on));
  }

  /** How images are shown has changed. */
  look() {
    if (!this.view) return;
    this.view.below.style.filter = this.adjust.css;
    this.pyramid.open(this.adjust.look);
    this.view.redraw();
  }

  #clear() {
    this.free?.();
    this.view?.close();
    this.pyramid?.close();
    this.free = this.view = this.pyramid = null;
    this.holder.replaceChildren();
  }

  close() {
    this.#clear();
  }
}
