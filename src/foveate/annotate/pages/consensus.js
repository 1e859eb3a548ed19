// The adjudicator's pages: which images wait, and one image with all readers' marks side by side and on each other.

import { Bench } from "./bench.js";
import { h, put, words } from "./dom.js";
import { Keeper } from "./keeper.js";
import { Keys } from "./keys.js";
import { Marks } from "./marks.js";
import { comments, findings, focusQuestion, question, ungradable } from "./panel.js";
import { Readings } from "./readings.js";

const STATES = ["disputed", "ready", "settled", "open"];
const MEANING = { disputed: "the rule does not decide", ready: "decided, wants a look", settled: "final", open: "readers are not done" };

export class ConsensusPage {
  constructor({ api, queue, protocol, root, slot }) {
    Object.assign(this, { api, queue, protocol, root, slot });
    addEventListener("popstate", () => this.start());
  }

  start() {
    const item = Number(new URLSearchParams(location.search).get("item"));
    return item ? this.open(item) : this.list();
  }

  // -- list -----------------------------------------------------------------------------------------------------------

  async list() {
    this.close();
    document.title = `Consensus · ${this.api.room.name}`;
    const state = new URLSearchParams(location.search).get("state");
    const { items, counts } = await this.api.get(`/api/consensus${STATES.includes(state) ? `?state=${state}` : ""}`);
    const all = STATES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
    const tab = (name, text, n) => h("a", { class: "tab", href: name ? `/consensus?state=${name}` : "/consensus", "aria-current": (state ?? null) === name ? "true" : null, title: MEANING[name] ?? "" }, `${text} `, h("b", {}, String(n)));
    const rows = items.map((one) => h("tr", {},
      h("td", {}, h("a", { href: `/consensus?item=${one.item}` }, one.id)),
      h("td", {}, h("span", { class: `chip ${one.state}` }, one.state)),
      h("td", {}, `${one.readings} of ${this.protocol.readers}`), h("td", {}, one.disputes.map((name) => this.title(name)).join(", "))));
    put(this.slot);
    put(this.root, h("main", { class: "plain wide" }, h("h1", {}, "Consensus"), h("nav", { class: "tabs", "aria-label": "State" }, tab(null, "All", all), STATES.map((name) => tab(name, name, counts[name] ?? 0))),
      items.length ? h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["Image", "State", "Readings done", "Disputed"].map((one) => h("th", {}, one)))), h("tbody", {}, rows)) : h("p", { class: "note" }, "No image is in this state.")));
  }

  title(name) {
    return this.protocol.questions.find((one) => one.name === name)?.title ?? this.protocol.findings.find((one) => one.name === name)?.title ?? words(name);
  }

  // -- one image --------------------------------------------------------------------------------------------------------

  async open(item) {
    this.close();
    const [image, told, waiting] = await Promise.all([this.api.get(`/api/items/${item}`), this.api.get(`/api/items/${item}/consensus`), this.api.get("/api/consensus")]);
    [this.item, this.waiting] = [item, waiting.items.filter((one) => ["disputed", "ready"].includes(one.state))];
    document.title = `${image.id} · Consensus`;
    const path = `/api/items/${item}/consensus`;
    const set = told.consensus;
    const kept = this.queue.kept(path);
    // nobody has written one: what the rule makes of the readings is where the adjudicator starts
    const start = kept?.marks ?? (set.version ? set.marks : told.proposal);
    const colour = (label) => this.protocol.findings.find((one) => one.name === label)?.colour ?? "#ffffff";
    const marks = new Marks(image, colour, start);
    const bench = new Bench({ api: this.api, image, protocol: this.protocol, marks, mayDraw: true, go: (other) => this.#to(other) });
    this.bench = bench;
    put(this.root, bench.element);
    const ready = bench.start();
    this.keeper = new Keeper({ queue: this.queue, path, marks, set, banners: bench.above });
    this.keeper.addEventListener("released", () => this.open(item));
    this.keeper.addEventListener("saved", () => this.#state());
    this.readings = new Readings({ editor: bench.editor, readings: told.readings, pyramid: bench.pyramid, protocol: this.protocol, adjust: bench.adjust });
    bench.views.after(this.readings.strip);
    this.settled = told.state === "settled";
    this.#panel(told);
    this.#keys();
    bench.editor.addEventListener("change", () => this.#state());
    put(this.slot, h("span", { class: "progress" }, `${this.waiting.length} ${this.waiting.length === 1 ? "image waits" : "images wait"}`));
    this.#state();
    await ready;
    performance.mark("ready");
    document.body.dataset.ready = String(item);
  }

  #to(item) {
    history.pushState(null, "", `/consensus?item=${item}`);
    return this.open(item);
  }

  #panel(told) {
    const { bench, readings } = this;
    const { editor } = bench;
    this.sign = h("span", { class: "note" });
    const disputes = told.disputes.length
      ? h("section", { class: "box warn" }, h("b", {}, "Undecided: "), told.disputes.map((name) => this.title(name)).join(", "))
      : h("section", { class: "box" }, told.readings.length ? "The rule decides everything here." : "No reader is done with this image.");
    const against = told.contradictions.length ? h("section", { class: "box warn" }, h("b", {}, "Against the guideline"), h("ul", {}, told.contradictions.map((one) => h("li", {}, one.words)))) : null;
    const body = h("div", { class: "scroll" }, h("header", { class: "item" }, h("h1", {}, told.id), this.sign), disputes, against, readings.panel(), bench.volume?.element,
      findings(editor), readings.findings(), this.protocol.questions.map((asked) => question(editor, asked, readings.answers(asked.name))),
      ungradable(editor), comments(editor), h("details", { class: "look" }, h("summary", {}, "Image"), bench.adjust.panel()));
    this.button = h("button", { type: "button", class: "primary done", on: { click: () => this.settle() } }, "Settle", h("kbd", {}, "Ctrl ↵"));
    put(bench.panel, body, h("footer", {}, h("a", { class: "button", href: "/consensus" }, "List"), this.button));
  }

  #state() {
    const done = this.keeper.state === "done" || (this.settled && this.keeper.version === 0 && !this.keeper.dirty);
    this.sign.textContent = done ? "settled" : "not settled";
    this.sign.classList.toggle("open", !done);
  }

  #keys() {
    const { bench, readings } = this;
    const key = (keys, what, run) => ({ keys: [keys].flat(), what, run });
    const judging = { title: "Consensus", keys: [
      key("ctrl+enter", "Settle, next image", () => { this.settle(); }),
      key("a", "Readers' marks on the image: show or hide", () => readings.all()),
      key("w", "Side by side: show or hide", () => readings.side()),
      ...readings.list.slice(0, 9).map((one, k) => key(`ctrl+${k + 1}`, `${one.name}'s marks on the image`, () => readings.toggle(one))),
      key("?", "This list", () => { bench.keys.help(); }),
    ] };
    bench.keys = new Keys([bench.protocolKeys((name) => focusQuestion(bench.panel, name)), judging, ...bench.groups()]);
    document.addEventListener("keyup", this.lift = (event) => { if (event.key === " ") bench.editor.pointer.space = false; });
  }

  /** The final word; then the next image that waits. */
  async settle() {
    const { answers, ungradable: cannot } = this.bench.editor.marks.state;
    const missing = cannot ? null : this.protocol.questions.find((one) => one.required && answers[one.name] === undefined);
    if (missing) {
      const hint = h("div", { class: "banner", role: "alert" }, `Decide first: ${missing.title}.`);
      this.bench.above.append(hint);
      setTimeout(() => hint.remove(), 6000);
      return focusQuestion(this.bench.panel, missing.name);
    }
    this.button.disabled = true;
    const good = await this.keeper.done();
    this.button.disabled = false;
    if (!good) {
      this.bench.object(this.keeper.objection);
      return this.#state();
    }
    const next = this.waiting.find((one) => one.item > this.item) ?? this.waiting.find((one) => one.item !== this.item);
    if (next) return this.#to(next.item);
    history.pushState(null, "", "/consensus");
    return this.list();
  }

  close() {
    delete document.body.dataset.ready;
    document.removeEventListener("keyup", this.lift);
    this.keeper?.close();
    this.readings?.close();
    this.bench?.close();
    this.keeper = this.readings = this.bench = null;
  }
}
