// A pointer that is moved and pressed with keys, so that marks can be drawn without a mouse.

export class KeyboardPointer {
  constructor(editor) {
    this.editor = editor;
    this.at = null; // [x, y] on the screen; null while it is not in use
    this.pressed = false;
  }

  #here() {
    const { view } = this.editor;
    return this.at ?? [view.width / 2, view.height / 2];
  }

  #event() {
    return { screen: this.at, at: this.editor.view.toImage(this.at), pressure: 1, pen: false, shift: false, alt: false, extend: false };
  }

  /** Move it on the screen. */
  move(x, y) {
    const { tool, view } = this.editor;
    const [a, b] = this.#here();
    this.at = [Math.min(view.width, Math.max(0, a + x)), Math.min(view.height, Math.max(0, b + y))];
    if (this.pressed) tool.move(this.#event());
    else tool.hover?.(this.#event());
    view.repaint();
  }

  /** Press, or release if it is pressed; lift: both at once. */
  press(lift) {
    const { editor } = this;
    this.at = this.#here();
    if (!editor.allowed(editor.tool)) return;
    if (this.pressed) editor.tool.up(this.#event());
    else editor.tool.down(this.#event());
    this.pressed = !this.pressed;
    if (this.pressed && lift) this.press(false);
    editor.view.repaint();
  }

  paint(context) {
    if (!this.at) return;
    const [x, y] = this.at;
    for (const [colour, width] of [["rgb(0 0 0 / 70%)", 3.5], ["#ffd75e", 1.5]]) {
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx, y + 4 * dy);
        context.lineTo(x + 16 * dx, y + 16 * dy);
      }
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  }
}
