import assert from "node:assert/strict";
import { test } from "node:test";
import { area, bounds, boxed, contains, handles, inserted, middle, moved, pulled, scaled, simpler, turned, without } from "../annotate/pages/shapes.js";

const ellipse = { kind: "ellipse", centre: [10, 20], radii: [3, 6], turn: 0.4 };
const square = { kind: "polygon", corners: [[0, 0], [0, 10], [10, 10], [10, 0]] };

test("an ellipse contains the points that its equation contains", () => {
  for (let row = 0; row <= 20; row += 0.5) {
    for (let col = 5; col <= 35; col += 0.5) {
      const [r, c] = [row - 10, col - 20];
      const along = c * Math.cos(0.4) + r * Math.sin(0.4);
      const across = -c * Math.sin(0.4) + r * Math.cos(0.4);
      assert.equal(contains(ellipse, [row, col]), (across / 3) ** 2 + (along / 6) ** 2 <= 1);
    }
  }
});

test("a polygon contains its inside, and its edge within reach", () => {
  assert.ok(contains(square, [5, 5]));
  assert.ok(!contains(square, [5, 11]));
  assert.ok(contains(square, [5, 11], 1.5));
});

test("the bounds of a turned ellipse touch it", () => {
  const [top, left, bottom, right] = bounds(ellipse, 100);
  assert.ok(contains(ellipse, [10, 20]));
  for (const row of [top - 0.01, bottom + 0.01]) for (let col = left; col < right; col += 0.05) assert.ok(!contains(ellipse, [row, col]));
  let touched = 0;
  for (let col = left; col < right; col += 0.01) touched += contains(ellipse, [top + 0.01, col]);
  assert.ok(touched > 0);
});

test("the bounds of painted runs that go over a line's end are whole lines", () => {
  assert.deepEqual(bounds({ kind: "brush", runs: [23, 4] }, 10), [2, 3, 2, 6]);
  assert.deepEqual(bounds({ kind: "brush", runs: [28, 4] }, 10), [2, 0, 3, 9]);
  assert.equal(bounds({ kind: "regions", regions: ["macula"] }, 10), null);
});

test("moving, scaling and turning keep what they should keep", () => {
  assert.deepEqual(moved(square, [1, 2]).corners[0], [1, 2]);
  assert.equal(area(scaled(square, 2)), 400);
  assert.ok(Math.abs(area(turned(square, 0.7)) - 100) < 1e-9);
  const [row, col] = middle(turned(square, 0.7));
  assert.ok(Math.hypot(row - 5, col - 5) < 1e-9);
  assert.ok(Math.abs(turned(ellipse, Math.PI).turn - ellipse.turn) < 1e-9, "half a turn is the same ellipse");
});

test("corners are added and removed, three always stay", () => {
  assert.deepEqual(inserted(square, 1, [5, 12]).corners[2], [5, 12]);
  const triangle = without(square, 0);
  assert.equal(triangle.corners.length, 3);
  assert.equal(without(triangle, 0), null);
});

test("a box becomes an ellipse; Shift makes a circle, Alt starts in the middle", () => {
  assert.deepEqual(boxed([0, 0], [10, 20]), { centre: [5, 10], radii: [5, 10], turn: 0 });
  assert.deepEqual(boxed([0, 0], [10, 20], { round: true }).radii, [10, 10]);
  assert.deepEqual(boxed([0, 0], [10, 20], { middle: true }), { centre: [0, 0], radii: [10, 20], turn: 0 });
});

test("a pulled handle is where the pointer is", () => {
  const handle = handles(square, 5).find((one) => one.name === "corner" && one.index === 2);
  assert.deepEqual(pulled(square, handle, [12, 13]).corners[2], [12, 13]);
});

test("a simpler line stays within reach of every point of the line", () => {
  const line = Array.from({ length: 200 }, (_, k) => [10 * Math.sin(k / 20), k / 4]);
  const few = simpler(line, 0.5);
  assert.ok(few.length < 30);
  const distance = (p, a, b) => {
    const [r, c] = [b[0] - a[0], b[1] - a[1]];
    const share = Math.min(1, Math.max(0, ((p[0] - a[0]) * r + (p[1] - a[1]) * c) / (r * r + c * c)));
    return Math.hypot(p[0] - a[0] - share * r, p[1] - a[1] - share * c);
  };
  for (const p of line) assert.ok(Math.min(...few.slice(1).map((b, k) => distance(p, few[k], b))) <= 0.5 + 1e-9);
});
