// Agreement of annotators: kappa for answers, Dice for marks, per pair, per annotator, over time. Plots are drawn here
// from the server's numbers; every number is in a table too.

import { h, put, s, words } from "../../web/pages/dom.js";

const fixed = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
const COLOURS = ["#6cb6ff", "#ffb86b", "#7ee0a1", "#f58fb8", "#c7a6ff", "#f3e26b", "#7fe3ff", "#ff8f7e"];

export async function agreementPage({ api, root, protocol }) {
  document.title = `Agreement · ${api.project.name}`;
  const all = await api.get("/api/agreement");
  const title = (name) => protocol.questions.find((one) => one.name === name)?.title ?? protocol.findings.find((one) => one.name === name)?.title ?? words(name);
  const parts = [h("h1", {}, "Agreement"), h("p", { class: "lead" }, `From ${all.images} ${all.images === 1 ? "image" : "images"} that at least two annotators have finished. Kappa: 0 means agreement by chance, 1 complete agreement; of answers with an order, pairs have quadratic weighted kappa (a distance of two grades counts four times as much as one); of three annotators or more it is Fleiss' kappa. Dice: overlap of the pixels that two annotators marked.`)];
  if (!all.images) parts.push(h("p", { class: "box" }, "There is nothing to compare yet. Agreement appears here when two annotators have finished the same image."));
  else if (all.images < 2) parts.push(h("p", { class: "box" }, "Kappa needs at least two images; until then only the marks are compared."), annotators(all, title));
  else parts.push(answers(all, title), marks(all, title), annotators(all, title), time(all, title));
  put(root, h("main", { class: "plain wide" }, parts));
}

const grid = (heads, rows) => h("div", { class: "over" }, h("table", { class: "grid numbers" }, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows)));
const who = (one) => (one.all ? "all annotators" : one.annotators.join(" – "));

/** A bar from 0 to 1 beside its number. */
function bar(value) {
  if (value === null || value === undefined) return h("span", { class: "note" }, "–");
  return h("span", { class: "bar" }, h("span", { class: "fill", style: { width: `${Math.max(0, value) * 100}%` } }), h("b", {}, fixed(value)));
}

function answers({ questions }, title) {
  if (!questions.length) return null;
  const rows = questions.map((one) => h("tr", { class: one.all ? "whole" : "" }, h("td", {}, title(one.question)), h("td", {}, who(one)), h("td", {}, String(one.images)), h("td", {}, bar(one.kappa)), h("td", {}, `${one.measure} kappa`)));
  return h("section", {}, h("h2", {}, "Answers"), grid(["Question", "Annotators", "Images", "Kappa", "Which kappa"], rows));
}

function marks({ findings }, title) {
  if (!findings.length) return null;
  const rows = findings.map((one) => h("tr", { class: one.all ? "whole" : "" }, h("td", {}, title(one.finding)), h("td", {}, who(one)), h("td", {}, String(one.images)),
    h("td", {}, String(one.both_or_either)), h("td", {}, bar(one.kappa)), h("td", {}, bar(one.dice)), h("td", {}, fixed(one.dice_median))));
  return h("section", {}, h("h2", {}, "Findings"), grid(["Finding", "Annotators", "Images", "Seen by one or both", "Kappa of presence", "Dice, mean", "Dice, median"], rows));
}

function annotators({ annotators: all }, title) {
  const columns = (key) => [...new Set(all.flatMap((one) => Object.keys(one[key])))];
  const [kappa, dice] = [columns("kappa"), columns("dice")];
  if (!all.length) return null;
  const rows = all.map((one) => h("tr", {}, h("td", {}, one.name), kappa.map((name) => h("td", {}, bar(one.kappa[name]))), dice.map((name) => h("td", {}, bar(one.dice[name])))));
  return h("section", {}, h("h2", {}, "Each annotator against the others"), grid(["Annotator", ...kappa.map((name) => `kappa ${title(name)}`), ...dice.map((name) => `Dice ${title(name)}`)], rows));
}

function time({ over_time: steps }, title) {
  if (steps.length < 2) return null;
  const lines = (key) => [...new Set(steps.flatMap((one) => Object.keys(one[key])))].map((name) => ({ name: title(name), values: steps.map((one) => one[key][name] ?? null) }));
  const ends = steps.reduce((all, one) => [...all, (all.at(-1) ?? 0) + one.images], []);
  return h("section", {}, h("h2", {}, "Over time"), h("p", { class: "note" }, "Images in the order in which they were completed, in up to ten parts."),
    h("div", { class: "plots" }, plot("Kappa of answers", lines("kappa"), ends), plot("Dice of marks", lines("dice"), ends)));
}

/** Lines over the number of images, from 0 to 1. */
function plot(title, lines, ends) {
  if (!lines.length) return null;
  const [width, height, left, top, right, bottom] = [460, 240, 34, 12, 12, 30];
  const x = (k) => left + ((width - left - right) * ends[k]) / ends.at(-1);
  const y = (value) => top + (height - top - bottom) * (1 - Math.min(1, Math.max(0, value)));
  const rules = [0, 0.2, 0.4, 0.6, 0.8, 1].map((value) => s("g", {}, s("line", { class: "rule", x1: left, x2: width - right, y1: y(value), y2: y(value) }), s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(1))));
  const drawn = lines.map(({ name, values }, n) => {
    const there = values.map((value, k) => [value, k]).filter(([value]) => value !== null);
    const points = there.map(([value, k]) => `${x(k)},${y(value)}`).join(" ");
    const colour = COLOURS[n % COLOURS.length];
    return s("g", {}, s("polyline", { points, fill: "none", stroke: colour, "stroke-width": 2 }), there.map(([value, k]) => s("circle", { cx: x(k), cy: y(value), r: 3, fill: colour }, s("title", {}, `${name}: ${fixed(value)}`))));
  });
  const legend = h("ul", { class: "legend" }, lines.map(({ name }, n) => h("li", {}, h("span", { class: "swatch", style: { background: COLOURS[n % COLOURS.length] } }), name)));
  const axis = [s("text", { x: width - right, y: height - 8, "text-anchor": "end" }, `${ends.at(-1)} images`), s("text", { x: left, y: height - 8 }, "0")];
  return h("figure", {}, h("figcaption", {}, title), s("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": title }, rules, axis, drawn), legend);
}
