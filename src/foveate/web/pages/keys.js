// The keyboard: one list of bindings, run from it and shown from it.

import { ask, h } from "./dom.js";

const SHOWN = {
  " ": "Space", arrowup: "↑", arrowdown: "↓", arrowleft: "←", arrowright: "→", escape: "Esc", delete: "Del",
  backspace: "Backspace", enter: "Enter", pageup: "Page ↑", pagedown: "Page ↓", tab: "Tab", home: "Home", end: "End",
};

/** The key of an event as bindings name it: "ctrl+shift+z". Shift is not named for signs that need it, such as "?". */
export function name(event) {
  const key = event.key.toLowerCase();
  const sign = key.length === 1 && !/[a-z0-9 ]/.test(key);
  const digit = /^Digit\d$/.test(event.code) && (event.shiftKey || event.altKey) ? event.code.at(-1) : key;
  const parts = [(event.ctrlKey || event.metaKey) && "ctrl", event.altKey && "alt", event.shiftKey && (!sign || digit !== key) && "shift"];
  return [...parts.filter(Boolean), digit].join("+");
}

/** A binding's key as a person reads it. */
export function shown(key) {
  const parts = key === "+" ? ["+"] : key.split(/\+(?=.)/);
  return parts.map((part) => SHOWN[part] ?? (part.length === 1 ? part.toUpperCase() : part[0].toUpperCase() + part.slice(1))).join(" ");
}

/** Keys of one binding, the four arrows as one. */
function together(keys) {
  const before = keys[0].slice(0, -"arrowup".length);
  if (keys.length === 4 && keys.every((key) => key.startsWith(`${before}arrow`))) return [`${before ? `${shown(before.slice(0, -1))} ` : ""}↑ ↓ ← →`];
  return keys.map(shown);
}

const typing = (target) => target.closest?.("input:not([type=checkbox],[type=radio],[type=range]), textarea, select, [contenteditable]");

export class Keys {
  /** groups: [{title, keys: [{keys: [...], what, run}]}]; of two bindings of one key the first one counts. */
  constructor(groups) {
    this.groups = groups;
    this.table = new Map();
    for (const { keys } of groups) for (const one of keys) for (const key of one.keys) if (!this.table.has(key)) this.table.set(key, one);
    this.listen = (event) => this.#run(event);
    document.addEventListener("keydown", this.listen);
  }

  #run(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = name(event);
    const control = event.target.closest?.("button, a, summary, input, label");
    if (control && [" ", "enter", "tab", "shift+tab"].includes(key)) return; // a focused control keeps its own keys
    if (event.target.closest?.("input[type=radio], input[type=range]") && key.startsWith("arrow")) return;
    const found = this.table.get(key);
    if (!found || found.run(event) === false) return;
    event.preventDefault();
  }

  /** The list, as a dialog. */
  help() {
    const row = (one) => {
      const mine = one.keys.filter((key) => this.table.get(key) === one);
      return mine.length ? h("tr", {}, h("td", {}, together(mine).map((key) => h("kbd", {}, key))), h("td", {}, one.what)) : null;
    };
    const body = h("div", { class: "keys" }, this.groups.map(({ title, keys }) =>
      h("section", {}, h("h3", {}, title), h("table", {}, h("tbody", {}, keys.map(row))))));
    return ask({ title: "Keyboard shortcuts", body, buttons: [{ name: "Close", value: true }], wide: true });
  }

  close() {
    document.removeEventListener("keydown", this.listen);
  }
}
