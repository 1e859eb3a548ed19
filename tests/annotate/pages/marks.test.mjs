import assert from "node:assert/strict";
import { test } from "node:test";
import { differences } from "../annotate/pages/autosave.js";
import { Marks } from "../annotate/pages/marks.js";

const IMAGE = { rows: 50, cols: 60 };
const ELLIPSE = { id: "e", label: "haemorrhage", kind: "ellipse", doubtful: false, draft: null, centre: [5, 5], radii: [2, 3], turn: 0 };
const BRUSH = { id: "b", label: "exudate", kind: "brush", doubtful: false, draft: null, runs: [10, 5, 100, 3] };
const made = (marks) => new Marks(IMAGE, () => "#ffffff", marks);

test("marks come back as they were given", () => {
  const given = { answers: { grade: "2" }, findings: {}, shapes: [ELLIPSE, BRUSH], disc: [1, 2], fovea: null, comments: [{ text: "a", at: null }], ungradable: null, rejected: ["d1"] };
  assert.deepEqual(made(given).plain(), given);
});

test("undo and redo have no limit and cover shapes and paint", () => {
  const marks = made({});
  const states = [marks.plain()];
  for (let k = 0; k < 50; k += 1) {
    if (k % 2) marks.paint("exudate", false, (layer) => layer.fill([k * 20, 7]));
    else marks.add({ ...ELLIPSE, id: `e${k}` });
    states.push(structuredClone(marks.plain()));
  }
  const runs = (state) => state.shapes.map((shape) => shape.runs ?? shape.id);
  for (let k = 49; k >= 0; k -= 1) {
    assert.ok(marks.undo());
    assert.deepEqual(runs(marks.plain()), runs(states[k]));
  }
  assert.equal(marks.undo(), false);
  for (let k = 1; k <= 50; k += 1) {
    assert.ok(marks.redo());
    assert.deepEqual(runs(marks.plain()), runs(states[k]));
  }
  assert.equal(marks.redo(), false);
});

test("a mark replaces the chosen states absent and unsure, not present", () => {
  for (const [state, after] of [["absent", {}], ["unsure", {}], ["present", { haemorrhage: "present" }]]) {
    const marks = made({ findings: { haemorrhage: state } });
    marks.add(ELLIPSE);
    assert.deepEqual(marks.plain().findings, after);
  }
});

test("another set is taken over as one change", () => {
  const marks = made({ shapes: [ELLIPSE, BRUSH] });
  const before = marks.plain();
  marks.assume({ answers: { grade: "1" }, shapes: [{ ...BRUSH, runs: [12, 30] }] });
  assert.deepEqual(marks.plain().shapes.map((shape) => shape.runs), [[12, 30]]);
  marks.undo();
  assert.deepEqual(marks.plain(), before);
});

test("counts: shapes, regions one by one, a painted layer as one", () => {
  const marks = made({ shapes: [ELLIPSE, { ...ELLIPSE, id: "f" }, BRUSH, { id: "r", label: "drusen", kind: "regions", doubtful: false, regions: ["macula", "temporal"] }] });
  assert.deepEqual(["haemorrhage", "exudate", "drusen", "other"].map((label) => marks.count(label)), [2, 1, 2, 0]);
});

test("the comparison of two versions names every difference", () => {
  const rows = differences(made({ answers: { grade: "1" }, shapes: [ELLIPSE] }).plain(), made({ answers: { grade: "2" }, shapes: [BRUSH] }).plain());
  const different = Object.fromEntries(rows.filter(([, a, b]) => a !== b).map(([name, ...both]) => [name, both]));
  assert.deepEqual(different, { grade: ["1", "2"], haemorrhage: ["1 drawn", "nothing marked"], exudate: ["nothing marked", "8 pixels painted"] });
});
