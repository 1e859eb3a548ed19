// Copying a text. Browsers have the clipboard's interface on https and on the machine itself only.

import { h } from "./dom.js";

/** A field with a text that is to be copied, and its button. */
export function copied(text, label) {
  const field = h("input", { type: "text", readonly: true, value: text, "aria-label": label, on: { focus: () => field.select() } });
  const button = h("button", { type: "button", on: { click: async () => {
    field.focus();
    field.select();
    const done = navigator.clipboard ? await navigator.clipboard.writeText(text).then(() => true, () => false) : document.execCommand("copy");
    button.textContent = done ? "Copied" : "Press Ctrl C";
  } } }, "Copy");
  return h("div", { class: "row" }, field, button);
}
