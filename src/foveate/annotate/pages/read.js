// The reading page: image left, protocol right, one image after another.

import { Bench } from "./bench.js";
import { ask, h, put, span } from "./dom.js";
import { Drafts } from "./drafts.js";
import { Keeper } from "./keeper.js";
import { Keys } from "./keys.js";
import { Marks } from "./marks.js";
import { comments, findings, focusQuestion, question, ungradable } from "./panel.js";

export class ReadPage {
  constructor({ api, queue, protocol, root, slot }) {
    Object.assign(this, { api, queue, protocol, root, slot });
    addEventListener("popstate", () => this.open(Number(new URLSearchParams(location.search).get("item"))));
  }

  /** The image named in the address, else the next one. */
  async start() {
    const item = Number(new URLSearchParams(location.search).get("item"));
    return item ? this.open(item) : this.next(true);
  }

  /** The next image by the protocol's order. */
  async next(instead = false) {
    const { item } = await this.api.call("POST", "/api/work/next");
    if (item === null) {
      this.close();
      return put(this.root, h("main", { class: "plain" }, h("h1", {}, "Every image is read"), h("p", {}, "There is nothing left for you to read. Thank you."), h("p", {}, h("a", { class: "button primary", href: "/" }, "To the list"))));
    }
    return this.go(item, instead);
  }

  async go(item, instead = false) {
    await this.keeper?.flush();
    history[instead ? "replaceState" : "pushState"](null, "", `/read?item=${item}`);
    return this.open(item);
  }

  async open(item) {
    this.close();
    const [image, work] = await Promise.all([this.api.get(`/api/items/${item}`), this.api.get("/api/work")]);
    [this.image, this.work] = [image, work];
    document.title = `${image.id} · ${this.api.room.name}`;
    const mine = image.marks !== null;
    const path = `/api/items/${item}/marks`;
    const set = image.marks ?? { version: 0, state: "open", marks: {} };
    // marks that did not reach the server before the page was left go before what the server has
    const kept = mine ? this.queue.kept(path) : null;
    const marks = new Marks(image, (label) => this.protocol.findings.find((one) => one.name === label)?.colour ?? "#ffffff", kept?.marks ?? set.marks);
    this.bench = new Bench({ api: this.api, image, protocol: this.protocol, marks, mayDraw: mine && !image.settled, go: (other) => this.go(other) });
    put(this.root, this.bench.element);
    const ready = this.bench.start();
    const { editor } = this.bench;
    if (mine) {
      this.keeper = new Keeper({ queue: this.queue, path, marks, set, banners: this.bench.above });
      this.keeper.addEventListener("released", () => this.open(item));
      this.keeper.addEventListener("saved", () => this.#state());
    }
    this.drafts = mine && image.drafts && !image.settled ? new Drafts(editor, image.drafts) : null;
    this.#panel(editor, mine);
    this.#keys(editor);
    editor.addEventListener("change", () => this.#state());
    this.#progress();
    this.#state();
    this.bench.view.above.focus({ preventScroll: true });
    await ready;
    performance.mark("ready");
    document.body.dataset.ready = String(item);
  }

  #panel(editor, mine) {
    const { bench, image, protocol } = this;
    this.sign = h("span", { class: "note" });
    const head = h("header", { class: "item" }, h("h1", { title: image.id }, image.id), this.sign);
    const about = protocol.about ? h("details", { class: "about" }, h("summary", {}, "What to do"), h("p", {}, protocol.about)) : null;
    const adjust = h("details", { class: "look" }, h("summary", {}, "Image"), bench.adjust.panel());
    const body = h("div", { class: "scroll" }, head, !mine && this.#notMine(), about, this.drafts?.panel(), bench.volume?.element, findings(editor),
      protocol.questions.map((asked) => question(editor, asked, this.drafts?.answer(asked.name))), ungradable(editor), comments(editor), adjust);
    this.button = h("button", { type: "button", class: "primary done", on: { click: () => this.finish() } });
    const list = this.work.items.map((one) => one.item);
    const at = list.indexOf(image.item);
    const step = (by, sign, name) => h("button", { type: "button", "aria-label": name, title: name, disabled: at < 0 || !(at + by in list), on: { click: () => this.go(list[at + by]) } }, sign);
    put(bench.panel, body, h("footer", {}, step(-1, "‹", "Image before"), this.button, step(1, "›", "Image after")));
    this.button.hidden = !mine;
  }

  #notMine() {
    const claim = async () => {
      await this.api.call("POST", `/api/items/${this.image.item}/claim`);
      await this.open(this.image.item);
    };
    return h("section", { class: "box" }, h("p", {}, "You have not started to read this image."),
      h("button", { type: "button", class: "primary claim", on: { click: () => claim().catch((error) => ask({ title: "Not possible", body: error.message, buttons: [{ name: "Close" }] })) } }, "Read it", h("kbd", {}, "Ctrl ↵")));
  }

  #state() {
    const { image, keeper } = this;
    const settled = image.settled ? "consensus is settled" : null;
    this.sign.textContent = settled ?? (keeper?.state === "done" ? "done" : "");
    this.button.disabled = image.settled;
    const empty = this.protocol.findings.length > 0 && this.protocol.findings.every((one) => !this.bench.editor.marks.has(one.name) && !this.bench.editor.marks.state.findings[one.name]) && !this.bench.editor.marks.state.ungradable;
    put(this.button, empty ? "Done: nothing found" : ["Done", h("kbd", {}, "Ctrl ↵")]);
  }

  #progress() {
    const { done, total, seconds_left: left } = this.work;
    const text = `${done} of ${total}${left && done < total ? `, ${span(left)} left` : ""}`;
    put(this.slot, h("span", { class: "progress" }, h("progress", { max: total, value: done, "aria-label": "Images read" }), text));
  }

  #keys(editor) {
    const { bench, drafts } = this;
    const key = (keys, what, run) => ({ keys: [keys].flat(), what, run });
    const reading = { title: "Reading", keys: [
      key("ctrl+enter", "Done, next image; read it, where it is not begun", () => { this.finish(); }),
      key("u", "Ungradable", () => editor.mayDraw && editor.marks.change(({ ungradable: now }) => ({ ungradable: now ? null : { reasons: [], text: "" } }))),
      key("shift+pageup", "Image before", () => bench.panel.querySelector("footer button:first-child").click()),
      key("shift+pagedown", "Image after", () => bench.panel.querySelector("footer button:last-child").click()),
      key("ctrl+s", "Save now (it saves by itself)", () => { this.keeper?.flush(); this.queue.hurry(); }),
      key("?", "This list", () => { bench.keys.help(); }),
    ] };
    const drafting = drafts && { title: "Drafts", keys: [
      key("a", "Accept the one that is lit", () => drafts.accept()), key("w", "Accept and correct it", () => drafts.correct()),
      key("q", "Reject it", () => drafts.reject()), key("shift+a", "Accept all", () => drafts.acceptAll()), key("shift+q", "Reject all", () => drafts.rejectAll()),
      key("/", "Next draft", () => drafts.step(1)),
    ] };
    const protocol = bench.protocolKeys((name) => focusQuestion(bench.panel, name));
    bench.keys = new Keys([protocol, reading, drafting, ...bench.groups()].filter(Boolean));
    document.addEventListener("keyup", this.lift = (event) => { if (event.key === " ") editor.pointer.space = false; });
  }

  /** Save as done and take the next image; a required question that is not answered is shown instead. */
  async finish() {
    const { bench, image, protocol } = this;
    if (image.marks === null) return void bench.panel.querySelector(".claim")?.click();
    if (image.settled || this.finishing) return;
    const { answers, ungradable: cannot, findings: said } = bench.editor.marks.state;
    const missing = cannot ? null : protocol.questions.find((one) => one.required && answers[one.name] === undefined);
    const unsaid = cannot ? null : protocol.findings.find((one) => one.required && !said[one.name] && !bench.editor.marks.has(one.name));
    if (missing || unsaid) {
      this.#hint(missing ? `Answer first: ${missing.title}.` : `Say first whether it is there: ${unsaid.title}.`);
      if (missing) focusQuestion(bench.panel, missing.name);
      else bench.editor.pick(unsaid.name);
      return;
    }
    if (this.drafts && !cannot && this.drafts.open.length && !(await this.#undecided())) return;
    this.finishing = true;
    this.button.disabled = true;
    this.button.textContent = "Saving…";
    try {
      if (!(await this.keeper.done())) {
        this.bench.object(this.keeper.objection);
        return this.#state();
      }
      await this.next();
    } catch (error) {
      this.#hint(`Saved. ${error.message} The next image comes when the server answers.`);
    } finally {
      this.finishing = false;
      if (this.bench) this.#state();
    }
  }

  #undecided() {
    return ask({ title: "Drafts are left", body: `${this.drafts.open.length} drafts of the model are neither accepted nor rejected. They will not be saved.`,
      buttons: [{ name: "Back", value: false }, { name: "Done without them", value: true, kind: "primary" }] });
  }

  #hint(text) {
    this.hinted?.remove();
    this.hinted = h("div", { class: "banner", role: "alert" }, text);
    this.bench.above.append(this.hinted);
    setTimeout(() => this.hinted.remove(), 6000);
  }

  close() {
    delete document.body.dataset.ready;
    document.removeEventListener("keyup", this.lift);
    this.keeper?.close();
    this.keeper = null;
    this.bench?.close();
    this.bench = null;
  }
}
