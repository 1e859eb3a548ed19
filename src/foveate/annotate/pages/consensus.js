// The adjudicator's pages: the list of images, and one image with all annotators' marks side by side and overlaid.

import { Workspace } from "./workspace.js";
import { ask, h, put, words } from "../../web/pages/dom.js";
import { Autosave } from "./autosave.js";
import { Keys } from "../../web/pages/keys.js";
import { Marks } from "./marks.js";
import { keepOpen, Remembered } from "./remembered.js";
import { conflict, history } from "./versions.js";
import { comments, findings, focusQuestion, question, ungradable } from "./panel.js";
import { Annotations } from "./annotations.js";

const STATES = ["disputed", "ready", "settled", "open"];
const MEANING = { disputed: "the rule does not decide", ready: "the rule decides; waits for a review", settled: "final", open: "annotators are not done" };

export class ConsensusPage {
  constructor({ api, queue, protocol, root, slot }) {
    Object.assign(this, { api, queue, protocol, root, slot });
    this.kept = new Remembered(queue.owner);
    addEventListener("popstate", () => this.start());
  }

  start() {
    const item = Number(new URLSearchParams(location.search).get("item"));
    return item ? this.open(item) : this.list();
  }

  // -- list -----------------------------------------------------------------------------------------------------------

  async list() {
    this.close();
    document.title = `Consensus · ${this.api.project.name}`;
    const state = new URLSearchParams(location.search).get("state");
    const { items, counts } = await this.api.get(`/api/consensus${STATES.includes(state) ? `?state=${state}` : ""}`);
    const all = STATES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
    const tab = (name, text, n) => h("a", { class: "tab", href: name ? `/consensus?state=${name}` : "/consensus", "aria-current": (state ?? null) === name ? "true" : null, title: MEANING[name] ?? "" }, `${text} `, h("b", {}, String(n)));
    const rows = items.map((one) => h("tr", {},
      h("td", {}, h("a", { href: `/consensus?item=${one.item}` }, one.id)),
      h("td", {}, h("span", { class: `chip ${one.state}` }, one.state)),
      h("td", {}, `${one.annotations} of ${this.protocol.annotators}`), h("td", {}, one.disputes.map((name) => this.title(name)).join(", "))));
    put(this.slot);
    put(this.root, h("main", { class: "plain wide" }, h("h1", {}, "Consensus"), h("nav", { class: "tabs", "aria-label": "State" }, tab(null, "All", all), STATES.map((name) => tab(name, name, counts[name] ?? 0))),
      items.length ? h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["Image", "State", "Annotations done", "Disputed"].map((one) => h("th", {}, one)))), h("tbody", {}, rows)) : h("p", { class: "note" }, "There are no images in this state.")));
  }

  title(name) {
    return this.protocol.questions.find((one) => one.name === name)?.title ?? this.protocol.findings.find((one) => one.name === name)?.title ?? words(name);
  }

  // -- one image --------------------------------------------------------------------------------------------------------

  async open(item) {
    this.close();
    const [image, table, waiting] = await Promise.all([this.api.get(`/api/items/${item}`), this.api.get(`/api/items/${item}/consensus`), this.api.get("/api/consensus")]);
    [this.item, this.waiting] = [item, waiting.items.filter((one) => ["disputed", "ready"].includes(one.state))];
    document.title = `${image.id} · Consensus`;
    const path = `/api/items/${item}/consensus`;
    const set = table.consensus;
    const kept = this.queue.kept(path);
    // no consensus yet: the adjudicator starts from the rule's proposal
    const start = kept?.marks ?? (set.version ? set.marks : table.proposal);
    const colour = (label) => this.protocol.findings.find((one) => one.name === label)?.colour ?? "#ffffff";
    const marks = new Marks(image, colour, start);
    const workspace = new Workspace({ api: this.api, image, protocol: this.protocol, marks, mayDraw: true, go: (other) => this.#to(other), kept: this.kept });
    this.workspace = workspace;
    put(this.root, workspace.element);
    const ready = workspace.start();
    this.autosave = new Autosave({ queue: this.queue, path, marks, set, banners: workspace.above, choose: (...versions) => conflict(workspace, ...versions) });
    this.autosave.addEventListener("discarded", () => this.open(item));
    this.autosave.addEventListener("saved", () => this.#state());
    this.annotations = new Annotations({ editor: workspace.editor, annotations: table.annotations, pyramid: workspace.pyramid, protocol: this.protocol, adjust: workspace.adjust });
    workspace.views.after(this.annotations.strip);
    this.settled = table.state === "settled";
    this.table = table;
    this.#panel(table);
    this.#keys();
    workspace.editor.addEventListener("change", () => this.#state());
    put(this.slot, h("span", { class: "progress" }, `${this.waiting.length} ${this.waiting.length === 1 ? "image to decide" : "images to decide"}`));
    this.#state();
    await ready;
    performance.mark("ready");
    document.body.dataset.ready = String(item);
  }

  #to(item) {
    window.history.pushState(null, "", `/consensus?item=${item}`);
    return this.open(item);
  }

  #panel(table) {
    const { workspace, annotations } = this;
    const { editor } = workspace;
    this.sign = h("span", { class: "note" });
    const disputes = table.disputes.length
      ? h("section", { class: "box warn" }, h("b", {}, "Undecided: "), table.disputes.map((name) => this.title(name)).join(", "))
      : h("section", { class: "box" }, table.state !== "open" ? "The rule decides all questions and findings." : `${table.finished || "None"} of ${this.protocol.annotators} annotators ${table.finished === 1 ? "has" : "have"} finished. Their marks are shown when all have.`);
    const against = table.contradictions.length ? h("section", { class: "box warn" }, h("b", {}, "Contradictions to the guideline"), h("ul", {}, table.contradictions.map((one) => h("li", {}, one.words)))) : null;
    const body = h("div", { class: "scroll" }, h("header", { class: "item" }, h("h1", {}, table.id), this.sign, h("button", { type: "button", class: "quiet", on: { click: () => history(workspace, this.api, `/api/items/${this.item}/consensus`) } }, "History")), disputes, against, annotations.panel(), workspace.volume?.element,
      findings(editor), annotations.findings(), this.protocol.questions.map((asked) => question(editor, asked, annotations.answers(asked.name))),
      ungradable(editor), comments(editor), keepOpen(h("details", { class: "look" }, h("summary", {}, "Image: brightness, contrast, red-free"), workspace.adjust.panel()), this.kept, "look"));
    this.button = h("button", { type: "button", class: "primary done", on: { click: () => this.settle() } }, "Settle", h("kbd", {}, "Ctrl ↵"));
    this.again = h("button", { type: "button", on: { click: () => this.#reopen() } }, "Reopen");
    put(workspace.panel, body, h("footer", {}, this.again, h("a", { class: "button", href: "/consensus" }, "List"), this.button));
  }

  #state() {
    const done = this.autosave.state === "done" || (this.settled && this.autosave.version === 0 && !this.autosave.dirty);
    this.sign.textContent = done ? "settled" : "not settled";
    this.sign.classList.toggle("open", !done);
    this.again.hidden = !this.settled;
  }

  #keys() {
    const { workspace, annotations } = this;
    const key = (keys, what, run) => ({ keys: [keys].flat(), what, run });
    const judging = { title: "Consensus", keys: [
      key("ctrl+enter", "Settle, next image", () => { this.settle(); }),
      key("a", "Annotators' marks on the image: show or hide", () => annotations.all()),
      key("w", "Side by side: show or hide", () => annotations.side()),
      ...annotations.list.slice(0, 9).map((one, k) => key(`ctrl+${k + 1}`, `${one.name}'s marks on the image`, () => annotations.toggle(one))),
      key("?", "Keyboard shortcuts", () => { workspace.keys.help(); }),
    ] };
    workspace.keys = new Keys([workspace.protocolKeys((name) => focusQuestion(workspace.panel, name)), judging, ...workspace.groups()]);
    document.addEventListener("keyup", this.lift = (event) => { if (event.key === " ") workspace.editor.pointer.space = false; });
  }

  /** Save the consensus as final; then open the next image. */
  async settle() {
    const { answers, ungradable: cannot } = this.workspace.editor.marks.state;
    const missing = cannot ? null : this.protocol.questions.find((one) => one.required && answers[one.name] === undefined);
    if (missing) {
      const hint = h("div", { class: "banner", role: "alert" }, `Please answer first: ${missing.title}.`);
      this.workspace.above.append(hint);
      setTimeout(() => hint.remove(), 6000);
      return focusQuestion(this.workspace.panel, missing.name);
    }
    let more = {};
    if (this.table.state === "open") {
      const sure = await ask({ title: "Annotators have not finished", body: `${this.table.finished || "None"} of ${this.protocol.annotators} annotators ${this.table.finished === 1 ? "has" : "have"} finished this image. If you settle it, their annotations are closed.`,
        buttons: [{ name: "Back", value: false }, { name: "Settle", value: true, kind: "primary" }] });
      if (!sure) return;
      more = { unfinished: true };
    }
    this.button.disabled = true;
    const good = await this.autosave.done(more);
    this.button.disabled = false;
    if (!good) {
      this.workspace.object(this.autosave.objection);
      return this.#state();
    }
    const next = this.waiting.find((one) => one.item > this.item) ?? this.waiting.find((one) => one.item !== this.item);
    if (next) return this.#to(next.item);
    window.history.pushState(null, "", "/consensus");
    return this.list();
  }

  async #reopen() {
    const reason = h("textarea", { rows: 2, maxlength: 500, "aria-label": "Reason", placeholder: "Why is it opened again?" });
    const yes = await ask({ title: "Reopen this image", body: h("div", {}, h("p", {}, "The consensus and the annotations may be changed again. The reason is kept in the audit log."), reason),
      buttons: [{ name: "Back", value: false }, { name: "Reopen", value: true, kind: "primary" }] });
    if (!yes) return;
    await this.autosave.flush();
    try {
      await this.api.call("POST", `/api/items/${this.item}/reopen`, { reason: reason.value.trim() });
      await this.open(this.item);
    } catch (error) {
      await ask({ title: "Not reopened", body: error.code === "invalid" ? "Please give a reason." : error.message, buttons: [{ name: "Close" }] });
    }
  }

  close() {
    delete document.body.dataset.ready;
    document.removeEventListener("keyup", this.lift);
    this.autosave?.close();
    this.annotations?.close();
    this.workspace?.close();
    this.autosave = this.annotations = this.workspace = null;
  }
}
