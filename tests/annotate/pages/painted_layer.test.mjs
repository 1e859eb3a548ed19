import assert from "node:assert/strict";
import { test } from "node:test";
import { Layer, radius } from "../annotate/pages/painted_layer.js";

const [ROWS, COLS] = [300, 520]; // several tiles of 256, the last of them cut

/** Pixels whose centres are within reach of the line from p to q: straight from that sentence. */
function near(p, q, reach) {
  const out = new Set();
  const [r, c] = [q[0] - p[0], q[1] - p[1]];
  const long = r * r + c * c;
  for (let row = 0; row < ROWS; row += 1) {
    for (let col = 0; col < COLS; col += 1) {
      const share = long ? Math.min(1, Math.max(0, ((row - p[0]) * r + (col - p[1]) * c) / long)) : 0;
      if (Math.hypot(row - p[0] - share * r, col - p[1] - share * c) <= reach) out.add(row * COLS + col);
    }
  }
  return out;
}

const pixels = (runs) => {
  const out = new Set();
  for (let k = 0; k < runs.length; k += 2) for (let at = runs[k]; at < runs[k] + runs[k + 1]; at += 1) out.add(at);
  return out;
};

test("a stroke paints the pixels within its radius, over the edges of tiles and of the image", () => {
  for (const [p, q] of [[[250.3, 240.6], [262.1, 300.4]], [[-3, 5], [4, 5]], [[100, 510], [100, 530]], [[7.2, 7.9], [7.2, 7.9]]]) {
    const layer = new Layer(ROWS, COLS, "#336699");
    layer.stroke(p, q, 6.3, 1);
    assert.deepEqual(pixels(layer.runs()), near(p, q, 6.3));
  }
});

test("runs ascend, do not touch, and fill the same pixels again", () => {
  const layer = new Layer(ROWS, COLS, "#336699");
  layer.stroke([40, 40], [280, 500], 20, 1);
  const runs = layer.runs();
  for (let k = 2; k < runs.length; k += 2) assert.ok(runs[k] > runs[k - 2] + runs[k - 1]);
  const again = new Layer(ROWS, COLS, "#336699");
  again.fill(runs);
  assert.deepEqual(again.runs(), runs);
});

test("a change is undone and redone by the same toggle", () => {
  const layer = new Layer(ROWS, COLS, "#336699");
  layer.stroke([100, 100], [100, 300], 15, 1);
  const before = layer.runs();
  layer.begin();
  layer.stroke([100, 200], [100, 400], 9, 0);
  layer.stroke([50, 200], [50, 400], 9, 1);
  const flips = layer.end();
  const after = layer.runs();
  layer.toggle(flips);
  assert.deepEqual(layer.runs(), before);
  layer.toggle(flips);
  assert.deepEqual(layer.runs(), after);
  layer.begin();
  layer.stroke([200, 20], [200, 40], 5, 0);
  assert.equal(layer.end(), null, "erasing where nothing is painted is no change");
});

test("at() is the pixel under a position", () => {
  const layer = new Layer(ROWS, COLS, "#336699");
  layer.fill([3 * COLS + 4, 1]);
  assert.ok(layer.at(3.4, 3.6));
  assert.ok(!layer.at(3.6, 4));
  assert.ok(!layer.at(-1, 0));
});

test("a light pen paints a thinner line", () => {
  assert.equal(radius(10, 1), 5);
  assert.ok(radius(10, 0.1) < 2.1);
  assert.equal(radius(0.2, 1), 0.5);
});
