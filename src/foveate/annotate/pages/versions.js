// Versions of the marks of one image, drawn side by side with what differs highlighted: a conflict of two windows, and
// the history.

import { h, put, when } from "../../web/pages/dom.js";
import { follow, View } from "../../web/pages/view.js";
import { differences } from "./autosave.js";
import { Marks } from "./marks.js";
import { onlyIn } from "./merging.js";
import { paintBox, paintShapes } from "./paint.js";
import { bounds } from "./shapes.js";

const CHANGED = "#ffd75e";

/** A picture of one version; what the other version does not have is in a box. Close it when it is no longer shown. */
function drawn(workspace, title, version, other) {
  const { editor, pyramid, adjust } = workspace;
  const place = h("div", { class: "view" });
  const figure = h("figure", {}, h("figcaption", {}, title), place);
  const marks = new Marks(editor.image, editor.colourOf, version);
  const boxes = onlyIn(version, other).map((shape) => bounds(shape, editor.image.cols)).filter(Boolean);
  const open = () => {
    const view = new View(place, editor.image, pyramid);
    view.below.style.filter = adjust.css;
    view.above.setAttribute("aria-label", title);
    view.painters.push((context) => {
      paintShapes(context, view, marks.state.shapes, { colourOf: editor.colourOf, seen: () => true, opacity: editor.opacity, layers: marks.layers.values() });
      for (const box of boxes) paintBox(context, view, box, CHANGED, { away: 7, width: 2.5 });
    });
    const free = follow(editor.view, view);
    return () => {
      free();
      view.close();
    };
  };
  return { figure, open };
}

/** Rows of what differs between two versions, as a table. */
function table(names, mine, theirs) {
  const rows = differences(mine, theirs).filter(([, a, b]) => a !== b || onlyIn(mine, theirs).length === 0);
  return h("div", { class: "over" }, h("table", { class: "grid" },
    h("thead", {}, h("tr", {}, ["What", ...names].map((one) => h("th", { scope: "col" }, one)))),
    h("tbody", {}, rows.map(([name, a, b]) => h("tr", { class: a === b ? "" : "differs" }, h("th", { scope: "row" }, name), h("td", {}, a), h("td", {}, b))))));
}

/** The page over the image: its parts, and a function that takes it away. */
function sheet(workspace, title) {
  const body = h("div", { class: "versions-body" });
  const buttons = h("div", { class: "dialog-buttons" });
  const element = h("section", { class: "versions", role: "dialog", "aria-label": title, tabindex: "-1" }, h("h2", {}, title), body, buttons);
  workspace.element.querySelector(".stage").append(element);
  element.focus();
  return { element, body, buttons };
}

/** Show two versions; resolves to "mine", "theirs" or "both". */
export function conflict(workspace, mine, current) {
  const { element, body, buttons } = sheet(workspace, "These marks were changed elsewhere");
  const views = [drawn(workspace, "My marks, not saved yet", mine, current.marks), drawn(workspace, `On the server, ${when(current.saved)}`, current.marks, mine)];
  put(body, h("p", { class: "note" }, "Marks of this image were saved in another window or on another computer. Nothing was overwritten. What only one version has is in a yellow box."),
    h("div", { class: "pair" }, views.map((one) => one.figure)), table(["My marks", "On the server"], mine, current.marks));
  const closing = views.map((one) => one.open());
  return new Promise((resolve) => {
    const choose = (value) => {
      closing.forEach((close) => close());
      element.remove();
      resolve(value);
    };
    const button = (value, name, kind = "") => h("button", { type: "button", class: kind, on: { click: () => choose(value) } }, name);
    put(buttons, button("theirs", "Use the server's version"), button("both", "Keep both"), button("mine", "Keep my version", "primary"));
  });
}

/** Every saved version of these marks; one of them can be put in place of the present ones, as a change like any other. */
export async function history(workspace, api, path) {
  const { versions } = await api.get(`${path}/history`);
  const { element, body, buttons } = sheet(workspace, "History");
  const { editor } = workspace;
  let closing = [];
  const clear = () => closing.forEach((close) => close());
  const pair = h("div", { class: "pair" });
  const close = () => {
    clear();
    element.remove();
  };
  const show = async (number, row) => {
    const { marks } = await api.get(`${path}/history/${number}`);
    const now = editor.marks.plain();
    clear();
    const views = [drawn(workspace, `Version ${number}`, marks, now), drawn(workspace, "Now", now, marks)];
    put(pair, views.map((one) => one.figure));
    closing = views.map((one) => one.open());
    for (const one of row.parentNode.children) one.classList.toggle("chosen", one === row);
    const restore = () => {
      close();
      editor.marks.assume(marks);
    };
    put(buttons, h("button", { type: "button", on: { click: close } }, "Close"),
      editor.mayDraw && h("button", { type: "button", class: "primary", on: { click: restore } }, `Restore version ${number}`));
  };
  const rows = versions.toReversed().map((one) => {
    const row = h("tr", {}, h("td", {}, h("button", { type: "button", class: "quiet", on: { click: () => show(one.version, row) } }, `Version ${one.version}`)), h("td", {}, when(one.at)), h("td", {}, one.by), h("td", {}, one.state));
    return row;
  });
  put(body, versions.length ? h("div", { class: "over list-of-versions" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["Version", "Saved", "By", "State"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows)))
    : h("p", { class: "note" }, "Nothing was saved yet."), pair);
  put(buttons, h("button", { type: "button", on: { click: close } }, "Close"));
  if (rows.length) await show(versions.at(-1).version, rows[0]);
}
