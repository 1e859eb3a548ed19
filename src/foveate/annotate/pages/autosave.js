// Between the marks on the page and the queue of saves: a change is kept a moment after it was drawn, the seconds of
// work are counted, and a save that the server refused is shown with what to do about it.

import { h, when } from "../../web/pages/dom.js";
import { both } from "./merging.js";

const REST = 250; // milliseconds after a change until it is kept
const CORRECTABLE = new Set(["invalid", "overlap"]); // refusals that the annotator corrects by other marks
const IDLE = 20000; // no activity for so long is a pause

/** Seconds of work: time between acts, none longer than a pause. */
class Work {
  constructor() {
    this.spent = 0;
    this.last = performance.now();
    this.listen = () => this.#act();
    for (const name of ["pointermove", "pointerdown", "keydown", "wheel"]) addEventListener(name, this.listen, { passive: true });
  }

  #act() {
    const now = performance.now();
    if (now - this.last < IDLE) this.spent += now - this.last;
    this.last = now;
  }

  /** What was spent since the last call. */
  take() {
    this.#act();
    const seconds = this.spent / 1000;
    this.spent = 0;
    return Math.round(seconds * 10) / 10;
  }

  close() {
    for (const name of ["pointermove", "pointerdown", "keydown", "wheel"]) removeEventListener(name, this.listen);
  }
}

export class Autosave extends EventTarget {
  /**
   * path: where the set is saved; set: as the server has it; banners: element that shows refusals; choose(mine, current):
   * shows both versions of a conflict and gives "mine", "theirs" or "both".
   */
  constructor({ queue, path, marks, set, banners, choose }) {
    super();
    Object.assign(this, { queue, path, marks, banners, choose, version: set.version, state: set.state, saved: set.saved });
    this.work = new Work();
    this.dirty = false;
    this.onChange = () => this.#changed();
    this.onSaved = ({ detail }) => this.#acknowledged(detail);
    this.onRefused = ({ detail }) => detail.path === this.path && this.#refused(detail);
    this.onLeave = () => this.flush();
    marks.addEventListener("change", this.onChange);
    queue.addEventListener("saved", this.onSaved);
    queue.addEventListener("refused", this.onRefused);
    this.onHide = () => {
      this.flush();
      this.queue.leave();
    };
    addEventListener("pagehide", this.onHide);
    document.addEventListener("visibilitychange", this.onLeave);
    const { refused } = queue.kept(path) ?? {};
    if (refused) this.#refused(refused);
  }

  #changed() {
    this.state = "open";
    this.dirty = true;
    this.queue.soon(this.path);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), REST);
  }

  #acknowledged({ path, version, state, saved }) {
    if (path !== this.path) return;
    Object.assign(this, { version, saved });
    if (!this.dirty) this.state = state;
    this.banner?.remove();
    this.dispatchEvent(new Event("saved"));
  }

  /** Keep what changed, now. */
  flush() {
    clearTimeout(this.timer);
    if (!this.dirty) return null;
    return this.#keep("open");
  }

  #keep(state, more = {}) {
    this.dirty = false;
    this.state = state;
    return this.queue.put(this.path, { more, version: this.version, state, marks: this.marks.plain(), seconds: this.work.take() });
  }

  /** Save as done; resolves to whether the server accepted it. */
  async done(more) {
    clearTimeout(this.timer);
    await this.#keep("done", more);
    const good = await this.queue.settled(this.path);
    // refused as done: the marks themselves are saved as not finished
    if (!good && CORRECTABLE.has(this.refusal)) await this.#keep("open");
    return good;
  }

  /** Save as not done, after it was done. */
  reopen() {
    clearTimeout(this.timer);
    return this.#keep("open");
  }

  /** Why the server did not accept it as done: {message, at: the place in the image, or null}; null for other reasons. */
  get objection() {
    return CORRECTABLE.has(this.refusal) ? { message: this.message, at: this.at } : null;
  }

  // -- refusals -------------------------------------------------------------------------------------------------------

  #refused({ code, message, current, at }) {
    [this.refusal, this.message, this.at] = [code, message, at ?? null];
    this.banner?.remove();
    const stale = code === "stale" && current;
    const act = stale
      ? h("button", { type: "button", on: { click: () => this.#compare(current) } }, "Compare")
      : h("button", { type: "button", on: { click: () => this.#discard() } }, "Discard my last change");
    const words = stale
      ? `Not saved: ${current.by ?? "somebody"} changed these marks elsewhere, ${when(current.saved)}. Nothing was overwritten.`
      : `Not saved: ${message}`;
    this.banner = h("div", { class: "banner warn", role: "alert" }, words, " ", CORRECTABLE.has(code) ? null : act);
    this.banners.append(this.banner);
    if (stale) this.#compare(current);
  }

  async #compare(current) {
    const mine = this.marks.plain();
    const chosen = await this.choose(mine, current);
    if (chosen === "mine") {
      this.version = current.version;
      await this.queue.insist(this.path, current.version);
    } else if (chosen === "theirs") await this.#theirs(current);
    else if (chosen === "both") {
      await this.#theirs(current);
      this.marks.assume(both(mine, current.marks)); // a change like any other: it is saved, and can be undone
    }
  }

  // the server's in place of mine, as one change that can be undone
  async #theirs(current) {
    clearTimeout(this.timer);
    await this.queue.drop(this.path);
    Object.assign(this, { version: current.version, saved: current.saved });
    this.marks.removeEventListener("change", this.onChange);
    this.marks.assume(current.marks);
    this.marks.addEventListener("change", this.onChange);
    [this.dirty, this.state] = [false, current.state];
    this.banner?.remove();
    this.dispatchEvent(new Event("saved"));
  }

  async #discard() {
    await this.queue.drop(this.path);
    this.banner?.remove();
    this.dispatchEvent(new Event("discarded"));
  }

  close() {
    this.flush();
    this.work.close();
    this.marks.removeEventListener("change", this.onChange);
    this.queue.removeEventListener("saved", this.onSaved);
    this.queue.removeEventListener("refused", this.onRefused);
    removeEventListener("pagehide", this.onHide);
    document.removeEventListener("visibilitychange", this.onLeave);
  }
}

/** Compare two sets of marks row by row: [name, mine, theirs]. */
export function differences(mine, theirs) {
  const lines = [];
  const names = (key) => [...new Set([...Object.keys(mine[key] ?? {}), ...Object.keys(theirs[key] ?? {})])];
  for (const name of names("answers")) lines.push([name, mine.answers[name] ?? "not answered", theirs.answers[name] ?? "not answered"]);
  for (const name of names("findings")) lines.push([`${name} is`, mine.findings[name] ?? "by its marks", theirs.findings[name] ?? "by its marks"]);
  const tally = (set, label) => {
    const all = set.shapes.filter((shape) => shape.label === label);
    const painted = all.filter((shape) => shape.kind === "brush").reduce((sum, one) => sum + one.runs.reduce((n, run, k) => n + (k % 2 ? run : 0), 0), 0);
    const regions = all.filter((shape) => shape.kind === "regions").flatMap((one) => one.regions);
    const drawn = all.filter((shape) => !["brush", "regions"].includes(shape.kind)).length;
    return [drawn && `${drawn} drawn`, regions.length && regions.join(", "), painted && `${painted} pixels painted`].filter(Boolean).join("; ") || "nothing marked";
  };
  for (const label of new Set([...mine.shapes, ...theirs.shapes].map((shape) => shape.label))) lines.push([label, tally(mine, label), tally(theirs, label)]);
  lines.push(["comments", String(mine.comments.length), String(theirs.comments.length)]);
  lines.push(["ungradable", mine.ungradable ? "yes" : "no", theirs.ungradable ? "yes" : "no"]);
  return lines;
}
