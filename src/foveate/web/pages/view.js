// The image on the screen: a camera, a canvas for the image, one above it for what is drawn on it.
//
// Positions are [row, col] in image pixels, centres at whole numbers. The camera holds the image's edge coordinates
// (centre + 1/2) of the screen's top left corner, and CSS pixels an image pixel.

import { h } from "./dom.js";

const LARGEST = 40;

export class View extends EventTarget {
  /** holder: the element to fill; size: {rows, cols}; pyramid: what to draw. */
  constructor(holder, { rows, cols }, pyramid) {
    super();
    this.holder = holder;
    this.rows = rows;
    this.cols = cols;
    this.pyramid = pyramid;
    this.painters = []; // (context, view) each, drawn above the image
    this.below = h("canvas", { class: "image", "aria-hidden": "true" });
    this.above = h("canvas", { class: "overlay", tabindex: "0", role: "application", "aria-label": "Image" });
    holder.replaceChildren(this.below, this.above);
    this.scale = 0;
    this.left = this.top = 0;
    this.shown = true; // the image itself
    this.stale = { below: true, above: true };
    this.come = () => this.redraw();
    pyramid.addEventListener("come", this.come);
    this.watch = new ResizeObserver(() => this.#resize());
    this.watch.observe(holder);
    this.#resize();
  }

  #resize() {
    const [width, height] = [this.holder.clientWidth, this.holder.clientHeight];
    if (!width || !height) return;
    const middle = this.scale ? this.toImage([this.width / 2, this.height / 2]) : null;
    const fitted = this.scale && this.fits;
    [this.width, this.height, this.ratio] = [width, height, window.devicePixelRatio || 1];
    for (const canvas of [this.below, this.above]) {
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
    }
    if (!middle || fitted) this.fit();
    else this.centre(middle);
    this.draw();
  }

  get least() {
    return Math.min(this.width / this.cols, this.height / this.rows);
  }

  /** Show all of it. */
  fit() {
    this.look({ scale: this.least, left: this.cols / 2 - this.width / this.least / 2, top: this.rows / 2 - this.height / this.least / 2 });
    this.fits = true;
  }

  /** Move the camera; the event "moved" is for views that follow it. */
  look({ scale = this.scale, left = this.left, top = this.top }) {
    this.scale = Math.min(LARGEST, Math.max(this.least * 0.5, scale));
    const free = (at, seen, all) => Math.min(Math.max(at, Math.min(0, all - seen) - seen * 0.45), Math.max(0, all - seen) + seen * 0.45);
    this.left = free(left, this.width / this.scale, this.cols);
    this.top = free(top, this.height / this.scale, this.rows);
    this.fits = false;
    this.redraw();
    this.dispatchEvent(new Event("moved"));
  }

  centre([row, col]) {
    this.look({ left: col + 0.5 - this.width / this.scale / 2, top: row + 0.5 - this.height / this.scale / 2 });
  }

  pan(x, y) {
    this.look({ left: this.left - x / this.scale, top: this.top - y / this.scale });
  }

  /** Zoom by a factor about a place of the screen, its middle if none. */
  zoom(factor, [x, y] = [this.width / 2, this.height / 2]) {
    const scale = Math.min(LARGEST, Math.max(this.least * 0.5, this.scale * factor));
    this.look({ scale, left: this.left + x / this.scale - x / scale, top: this.top + y / this.scale - y / scale });
  }

  toScreen([row, col]) {
    return [(col + 0.5 - this.left) * this.scale, (row + 0.5 - this.top) * this.scale];
  }

  toImage([x, y]) {
    return [y / this.scale + this.top - 0.5, x / this.scale + this.left - 0.5];
  }

  inside([row, col]) {
    return row >= -0.5 && col >= -0.5 && row <= this.rows - 0.5 && col <= this.cols - 0.5;
  }

  /** Draw all of it at the next frame. */
  redraw() {
    this.stale.below = true;
    this.repaint();
  }

  /** Draw what is above the image at the next frame. */
  repaint() {
    this.stale.above = true;
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = undefined;
    if (!this.scale || this.closed) return;
    if (this.stale.below) {
      const context = this.#clean(this.below);
      if (this.shown) this.level = this.pyramid.draw(context, this);
      this.#publish();
    }
    if (this.stale.above) {
      const context = this.#clean(this.above);
      for (const paint of this.painters) paint(context, this);
    }
    this.stale = { below: false, above: false };
  }

  #clean(canvas) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    return context;
  }

  // the position of the image, readable from outside
  #publish() {
    Object.assign(this.above.dataset, { scale: this.scale, left: this.left, top: this.top, level: this.level ?? "none" });
  }

  close() {
    this.closed = true;
    this.watch.disconnect();
    this.pyramid.removeEventListener("come", this.come);
  }
}

/** Two views that look at the same place; one image pixel may be of another size in each. */
export function follow(leader, follower) {
  const run = () => {
    if (!leader.scale || !follower.scale) return;
    const [row, col] = leader.toImage([leader.width / 2, leader.height / 2]);
    const scale = (leader.scale / leader.least) * follower.least;
    follower.scale = scale;
    follower.centre([((row + 0.5) * follower.rows) / leader.rows - 0.5, ((col + 0.5) * follower.cols) / leader.cols - 0.5]);
  };
  leader.addEventListener("moved", run);
  run();
  return () => leader.removeEventListener("moved", run);
}
