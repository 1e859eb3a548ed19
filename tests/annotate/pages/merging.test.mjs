import assert from "node:assert/strict";
import { test } from "node:test";

const { both, onlyIn, unitedRuns } = await import("../annotate/pages/merging.js");

const marks = (more) => ({ answers: {}, findings: {}, shapes: [], disc: null, fovea: null, comments: [], ungradable: null, rejected: [], ...more });
const point = (id, at) => ({ id, label: "ma", kind: "point", at, doubtful: false, draft: null });
const brush = (id, runs) => ({ id, label: "ex", kind: "brush", runs, doubtful: false, draft: null });

test("what only one version has is found, whatever its id", () => {
  const mine = marks({ shapes: [point("a", [1, 1]), point("b", [2, 2])] });
  const theirs = marks({ shapes: [point("x", [1, 1]), point("b", [3, 3])] });
  assert.deepEqual(onlyIn(mine, theirs).map((one) => one.id), ["b"]);
  assert.deepEqual(onlyIn(theirs, mine).map((one) => one.id), ["b"]);
});

test("the order of the fields makes no difference", () => {
  const other = { runs: [0, 5], kind: "brush", label: "ex", id: "z" };
  assert.deepEqual(onlyIn(marks({ shapes: [brush("p", [0, 5])] }), marks({ shapes: [other] })), []);
});

test("runs unite", () => {
  assert.deepEqual(unitedRuns([0, 5, 10, 2], [3, 4, 12, 3]), [0, 7, 10, 5]);
  assert.deepEqual(unitedRuns([], [3, 4]), [3, 4]);
});

test("both versions in one lose nothing and have no id twice", () => {
  const mine = marks({ answers: { grade: "1" }, findings: { ma: "absent", ex: "present" }, shapes: [point("b", [2, 2]), brush("p", [0, 5])], comments: [{ text: "mine", at: null }] });
  const theirs = marks({ answers: { grade: "2", edema: "no" }, shapes: [point("b", [3, 3]), brush("q", [3, 4])], comments: [{ text: "theirs", at: null }] });
  const found = both(structuredClone(mine), structuredClone(theirs));
  assert.deepEqual(found.answers, { grade: "1", edema: "no" });
  assert.deepEqual(found.findings, { ex: "present" }, "absent does not fit to marks");
  assert.deepEqual(found.shapes.filter((one) => one.kind === "point").map((one) => one.at), [[3, 3], [2, 2]]);
  assert.deepEqual(found.shapes.filter((one) => one.kind === "brush").map((one) => one.runs), [[0, 7]]);
  assert.equal(new Set(found.shapes.map((one) => one.id)).size, 3);
  assert.deepEqual(found.comments.map((one) => one.text), ["theirs", "mine"]);
  assert.deepEqual(both(theirs, theirs), theirs);
});
