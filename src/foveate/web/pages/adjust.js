// How the image is shown: brightness, contrast, gamma and the green channel by a table of 256 values that the browser
// applies to what is on the screen; CLAHE by the server, which alone has every pixel.

import { h, s } from "./dom.js";

export const PLAIN = { brightness: 0, contrast: 0, gamma: 1, redfree: false, clahe: false };

/** 256 values from 0 to 1: gamma, then contrast about the middle, then brightness; all within -1..1, gamma 0.2..5. */
export function table({ brightness, contrast, gamma }) {
  const slope = contrast >= 0 ? 1 + 3 * contrast : 1 + contrast;
  return Array.from({ length: 256 }, (_, k) => {
    const value = ((k / 255) ** (1 / gamma) - 0.5) * slope + 0.5 + brightness;
    return Math.min(1, Math.max(0, value));
  });
}

/** An SVG filter in the page, and the CSS that names it. */
export class Adjust extends EventTarget {
  constructor(id) {
    super();
    this.now = { ...PLAIN };
    this.id = id;
    this.curves = ["R", "G", "B"].map((channel) => s(`feFunc${channel}`, { type: "table" }));
    this.green = s("feColorMatrix", { type: "matrix", values: "0 1 0 0 0  0 1 0 0 0  0 1 0 0 0  0 0 0 1 0" });
    this.filter = s("filter", { id, "color-interpolation-filters": "sRGB", x: "0", y: "0", width: "1", height: "1" });
    this.root = s("svg", { class: "hidden", "aria-hidden": "true" }, this.filter);
    document.body.append(this.root);
  }

  /** What the server is asked for. */
  get look() {
    if (!this.now.clahe) return "plain";
    return this.now.redfree ? "redfree-clahe" : "clahe";
  }

  set(change) {
    Object.assign(this.now, change);
    const { brightness, contrast, gamma, redfree, clahe } = this.now;
    const curved = brightness !== 0 || contrast !== 0 || gamma !== 1;
    const green = redfree && !clahe;
    const values = table(this.now).map((value) => value.toFixed(4)).join(" ");
    for (const curve of this.curves) curve.setAttribute("tableValues", values);
    this.filter.replaceChildren(...(green ? [this.green] : []), ...(curved ? [s("feComponentTransfer", {}, this.curves)] : []));
    this.css = curved || green ? `url(#${this.id})` : "none";
    this.dispatchEvent(new Event("change"));
  }

  /** The panel that sets it. */
  panel() {
    const slide = (name, title, min, max, step) => {
      const input = h("input", { type: "range", min, max, step, value: this.now[name], on: { input: () => this.set({ [name]: Number(input.value) }) } });
      const out = h("output", {});
      const show = () => {
        input.value = this.now[name];
        out.textContent = name === "gamma" ? this.now[name].toFixed(2) : `${this.now[name] > 0 ? "+" : ""}${Math.round(100 * this.now[name])}`;
      };
      this.addEventListener("change", show);
      show();
      return h("label", { class: "slide" }, h("span", {}, title), input, out);
    };
    const tick = (name, title) => {
      const input = h("input", { type: "checkbox", on: { change: () => this.set({ [name]: input.checked }) } });
      this.addEventListener("change", () => (input.checked = this.now[name]));
      return h("label", { class: "tick" }, input, title);
    };
    return h("div", { class: "adjust" },
      slide("brightness", "Brightness", -0.5, 0.5, 0.02), slide("contrast", "Contrast", -0.8, 0.8, 0.02), slide("gamma", "Gamma", 0.4, 2.5, 0.02),
      h("div", { class: "row" }, tick("redfree", "Red-free"), tick("clahe", "CLAHE"),
        h("button", { type: "button", class: "quiet", on: { click: () => this.set(PLAIN) } }, "Reset")));
  }

  close() {
    this.root.remove();
  }
}
