// Mouse, pen and fingers on a view: what draws goes to the tool, the rest moves the image.
//
// The left button and the pen draw. Middle or right button, the space bar held, and two fingers move the image; one
// finger draws until a pen has been seen, from then on fingers only move (a palm on the tablet draws nothing).

export class Pointer {
  /** tool: {down, move, up, cancel, hover} called with {at, screen, pressure, pen, shift, alt, extend}. */
  constructor(view, tool) {
    this.view = view;
    this.tool = tool;
    this.fingers = new Map();
    this.pen = false;
    this.space = false;
    const target = view.above;
    target.addEventListener("pointerdown", (event) => this.#down(event));
    target.addEventListener("pointermove", (event) => this.#move(event));
    target.addEventListener("pointerup", (event) => this.#up(event));
    target.addEventListener("pointercancel", (event) => this.#up(event, true));
    target.addEventListener("pointerleave", () => this.drawing === undefined && this.tool.hover?.(null));
    target.addEventListener("contextmenu", (event) => event.preventDefault());
    target.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #at(event) {
    const box = this.view.above.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #event(event) {
    const screen = this.#at(event);
    const pen = event.pointerType === "pen";
    return {
      screen, pen, at: this.view.toImage(screen), pressure: pen && event.pressure > 0 ? event.pressure : 1,
      shift: event.shiftKey, alt: event.altKey, extend: event.ctrlKey || event.metaKey, rubber: pen && (event.buttons & 32) > 0,
    };
  }

  #down(event) {
    this.view.above.focus({ preventScroll: true });
    this.view.above.setPointerCapture(event.pointerId);
    if (event.pointerType === "pen") this.pen = true;
    if (event.pointerType === "touch") {
      this.fingers.set(event.pointerId, this.#at(event));
      if (this.fingers.size > 1 || this.pen) {
        if (this.drawing !== undefined) this.tool.cancel();
        this.drawing = undefined;
        return;
      }
    } else if (event.button === 1 || event.button === 2 || this.space) {
      this.dragging = this.#at(event);
      return;
    }
    event.preventDefault();
    this.drawing = event.pointerId;
    this.tool.down(this.#event(event));
  }

  #move(event) {
    if (this.fingers.has(event.pointerId) && this.drawing === undefined) return this.#pinch(event);
    if (this.dragging) {
      const [x, y] = this.#at(event);
      this.view.pan(x - this.dragging[0], y - this.dragging[1]);
      this.dragging = [x, y];
      return undefined;
    }
    if (this.drawing === undefined) return this.tool.hover?.(this.#event(event));
    if (this.drawing !== event.pointerId) return undefined;
    // a pen is asked 200 times a second, the screen is drawn 60 times: none of the places between is lost
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) this.tool.move(this.#event(one));
    return undefined;
  }

  #up(event, lost = false) {
    this.fingers.delete(event.pointerId);
    this.dragging = undefined;
    if (this.drawing !== event.pointerId) return;
    this.drawing = undefined;
    if (lost) this.tool.cancel();
    else this.tool.up(this.#event(event));
  }

  #pinch(event) {
    const before = [...this.fingers.values()];
    const was = this.fingers.get(event.pointerId);
    this.fingers.set(event.pointerId, this.#at(event));
    const after = [...this.fingers.values()];
    const middle = (points) => [0, 1].map((k) => points.reduce((sum, p) => sum + p[k], 0) / points.length);
    const [from, to] = [middle(before), middle(after)];
    if (was && before.length > 1) {
      const wide = (points) => Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]);
      this.view.zoom(wide(after) / Math.max(1, wide(before)), to);
    }
    this.view.pan(to[0] - from[0], to[1] - from[1]);
  }

  #wheel(event) {
    event.preventDefault();
    const step = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey) this.view.pan(-(event.deltaX || event.deltaY) * step, 0);
    else this.view.zoom(Math.exp(-event.deltaY * step * (event.ctrlKey ? 0.01 : 0.0015)), this.#at(event));
  }
}

/** Whether people point with fingers here. */
export const coarse = () => globalThis.matchMedia?.("(pointer: coarse)").matches ?? false;
