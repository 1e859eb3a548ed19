import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.addEventListener ??= () => {}; // a browser's window; without its database saves are kept in memory
globalThis.CustomEvent ??= class extends Event {
  constructor(name, { detail } = {}) {
    super(name);
    this.detail = detail;
  }
};
const { Queue } = await import("../annotate/pages/queue.js");
const { Away, Refused } = await import("../web/pages/api.js");

const PATH = "/api/items/1/marks";
const save = (marks, more = {}) => ({ version: 0, state: "open", marks, seconds: 1, ...more });

/** A server with answers to give in turn; the last one is repeated. */
function server(...answers) {
  const sent = [];
  const call = async (method, path, body) => {
    sent.push(structuredClone(body));
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer instanceof Error) throw answer;
    return answer(body);
  };
  return { sent, call, session: async () => ({ user: null }) };
}
const saved = (body) => ({ version: body.version + 1, state: body.state, saved: null });

test("a save that was acknowledged is removed, the next starts from its version", async () => {
  const api = server(saved);
  const queue = await new Queue(api, "project/1").open();
  await queue.put(PATH, save({ a: 1 }));
  assert.ok(await queue.settled(PATH));
  await queue.put(PATH, save({ a: 2 }, { version: 1 }));
  assert.ok(await queue.settled(PATH));
  assert.deepEqual(api.sent.map(({ version, marks }) => [version, marks]), [[0, { a: 1 }], [1, { a: 2 }]]);
  assert.notEqual(api.sent[0].save, api.sent[1].save);
  assert.equal(queue.waiting, 0);
});

test("an error of the page itself is shown and the save waits", async () => {
  const api = server(new TypeError("no such function"), saved);
  const queue = await new Queue(api, "project/1").open();
  await queue.put(PATH, save({ a: 1 }));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.match(queue.trouble.message, /no such function/);
  assert.equal(queue.waiting, 1);
  queue.hurry();
  assert.ok(await queue.settled(PATH));
});

test("a page that is left sends what waits under the name by which the next page sends it", async () => {
  const api = server(new Away("no answer"), saved);
  const left = [];
  api.leave = (method, path, body) => left.push(body);
  const queue = await new Queue(api, "project/1").open();
  const put = queue.put(PATH, save({ a: 1 }));
  const waiting = queue.entries.get(PATH).next;
  queue.leave();
  await put;
  assert.deepEqual(left.map(({ save: name, version, marks }) => [name, version, marks]), [[waiting.save, 0, { a: 1 }]]);
  queue.put(PATH, save({ a: 2 }));
  queue.leave();
  assert.deepEqual(left.map(({ save: name }) => name), [waiting.save, waiting.save], "what is behind it would be stale");
  queue.hurry();
  assert.ok(await queue.settled(PATH)); // otherwise it would try for ever
});

test("without a connection the same save is sent again under its name, and the seconds add up", async () => {
  const api = server(new Away("no answer"), saved);
  const queue = await new Queue(api, "project/1").open();
  await queue.put(PATH, save({ a: 1 }));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(queue.trouble.code, "away");
  queue.soon(PATH);
  assert.equal(queue.waiting, 1);
  await queue.put(PATH, save({ a: 2 }));
  await queue.put(PATH, save({ a: 3 }, { seconds: 2 }));
  assert.ok(await queue.settled(PATH));
  assert.equal(api.sent[0].save, api.sent[1].save, "it may have arrived: it counts once");
  assert.deepEqual(api.sent[0], api.sent[1]);
  const last = api.sent.at(-1);
  assert.deepEqual([last.marks, last.version], [{ a: 3 }, api.sent.length - 2]);
  assert.equal(api.sent.slice(1).reduce((sum, one) => sum + one.seconds, 0), 4);
});

test("a stale save is not repeated until somebody decides", async () => {
  const api = server(new Refused(409, { error: "stale", message: "changed", current: { version: 7 } }), saved);
  const queue = await new Queue(api, "project/1").open();
  const seen = [];
  queue.addEventListener("refused", ({ detail }) => seen.push(detail.current.version));
  await queue.put(PATH, save({ mine: 1 }));
  assert.equal(await queue.settled(PATH), false);
  queue.hurry();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([seen, api.sent.length], [[7], 1]);
  await queue.insist(PATH, 7);
  assert.ok(await queue.settled(PATH));
  assert.deepEqual([api.sent[1].version, api.sent[1].marks], [7, { mine: 1 }]);
});

test("a discarded save is gone", async () => {
  const api = server(new Refused(422, { error: "invalid", message: "wrong" }));
  const queue = await new Queue(api, "project/1").open();
  await queue.put(PATH, save({ a: 1 }));
  await queue.settled(PATH);
  assert.ok(queue.refused);
  await queue.drop(PATH);
  assert.deepEqual([queue.refused, queue.waiting, queue.kept(PATH)], [false, 0, null]);
});

test("what the protocol refused is tried again with the corrected marks", async () => {
  const api = server(new Refused(422, { error: "overlap", message: "two findings", at: [1, 2] }), saved);
  const queue = await new Queue(api, "project/1").open();
  await queue.put(PATH, save({ a: 1 }, { state: "done" }));
  assert.equal(await queue.settled(PATH), false);
  assert.deepEqual(queue.kept(PATH).refused.at, [1, 2]);
  await queue.put(PATH, save({ a: 2 }));
  assert.ok(await queue.settled(PATH));
  assert.equal(api.sent[1].seconds, 2, "the seconds of the refused save are kept");
});
