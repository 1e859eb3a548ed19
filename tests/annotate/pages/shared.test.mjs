import assert from "node:assert/strict";
import { test } from "node:test";
import { table } from "../web/pages/adjust.js";
import { clock, span, words } from "../web/pages/dom.js";
import { name, shown } from "../web/pages/keys.js";
import { length, measured } from "../web/pages/ruler.js";
import { KeyboardPointer } from "../annotate/pages/keyboard_pointer.js";

test("times in words and on a clock", () => {
  assert.deepEqual([span(20), span(600), span(7200)], ["about a minute", "about 10 min", "about 2 h"]);
  assert.deepEqual([clock(65), clock(3725)], ["1:05", "1:02:05"]);
  assert.equal(words("hard_exudate"), "hard exudate");
});

test("lengths use the spacing of rows and columns", () => {
  assert.deepEqual(length([0, 0], [3, 4], null), { value: 5, unit: "px" });
  assert.equal(length([0, 0], [300, 400], [0.01, 0.02]).value, Math.hypot(3, 8));
  assert.deepEqual([measured([0, 0], [0, 5], null), measured([0, 0], [0, 100], [0.005, 0.005]), measured([0, 0], [0, 400], [0.005, 0.005])], ["5.0 px", "500 µm", "2.00 mm"]);
});

test("keys have one name, with Shift where the character does not show it", () => {
  const event = (key, more = {}) => ({ key, code: "", ctrlKey: false, altKey: false, metaKey: false, shiftKey: false, ...more });
  assert.equal(name(event("Z", { ctrlKey: true, shiftKey: true })), "ctrl+shift+z");
  assert.equal(name(event("?", { shiftKey: true })), "?");
  assert.equal(name(event("!", { code: "Digit1", shiftKey: true })), "shift+1");
  assert.deepEqual([shown("ctrl+enter"), shown("+"), shown("shift+pageup")], ["Ctrl Enter", "+", "Shift Page ↑"]);
});

test("brightness, contrast and gamma make a table from 0 to 1", () => {
  const plain = table({ brightness: 0, contrast: 0, gamma: 1 });
  plain.forEach((value, k) => assert.ok(Math.abs(value - k / 255) < 1e-12));
  const strong = table({ brightness: 0.2, contrast: 0.5, gamma: 2 });
  assert.ok(strong.every((value, k) => value >= 0 && value <= 1 && (!k || value >= strong[k - 1])));
  assert.ok(strong[20] > plain[20]);
});

test("the keyboard's pointer stays in the view, and presses and releases the tool", () => {
  const acts = [];
  const tool = { down: ({ at }) => acts.push(["down", at]), move: ({ at }) => acts.push(["move", at]), up: ({ at }) => acts.push(["up", at]) };
  const view = { width: 100, height: 80, toImage: ([x, y]) => [y, x], repaint() {} };
  const pointer = new KeyboardPointer({ view, tool, allowed: () => true });
  pointer.move(10, 0); // without a tool that hovers nothing happens
  pointer.press(false);
  pointer.move(1000, 5);
  pointer.press(false);
  assert.deepEqual(acts, [["down", [40, 60]], ["move", [45, 100]], ["up", [45, 100]]]);
});
