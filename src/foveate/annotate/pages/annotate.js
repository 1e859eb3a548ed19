// The annotation page: image left, protocol right, one image after another.

import { Workspace } from "./workspace.js";
import { ask, h, put, span } from "../../web/pages/dom.js";
import { Drafts } from "./drafts.js";
import { Autosave } from "./autosave.js";
import { Keys } from "../../web/pages/keys.js";
import { Marks } from "./marks.js";
import { keepOpen, Remembered } from "./remembered.js";
import { conflict, history } from "./versions.js";
import { comments, findings, focusQuestion, question, ungradable } from "./panel.js";

/** Whether a draft has anything to decide. */
const any = (drafts) => Boolean(drafts && (drafts.shapes.length || Object.keys(drafts.answers).length));

export class AnnotatePage {
  constructor({ api, queue, protocol, root, slot }) {
    Object.assign(this, { api, queue, protocol, root, slot });
    this.kept = new Remembered(queue.owner);
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
      return put(this.root, h("main", { class: "plain" }, h("h1", {}, "All images are done"), h("p", {}, "There are no more images for you to annotate. Thank you."), h("p", {}, h("a", { class: "button primary", href: "/" }, "Back to the list"))));
    }
    return this.go(item, instead);
  }

  async go(item, instead = false) {
    await this.autosave?.flush();
    window.history[instead ? "replaceState" : "pushState"](null, "", `/annotate?item=${item}`);
    return this.open(item);
  }

  async open(item) {
    this.close();
    const [image, work] = await Promise.all([this.api.get(`/api/items/${item}`), this.api.get("/api/work")]);
    [this.image, this.work] = [image, work];
    document.title = `${image.id} · ${this.api.project.name}`;
    const mine = image.marks !== null;
    const path = `/api/items/${item}/marks`;
    const set = image.marks ?? { version: 0, state: "open", marks: {} };
    // marks that did not reach the server before the page was closed are newer than those of the server
    const kept = mine ? this.queue.kept(path) : null;
    const marks = new Marks(image, (label) => this.protocol.findings.find((one) => one.name === label)?.colour ?? "#ffffff", kept?.marks ?? set.marks);
    this.workspace = new Workspace({ api: this.api, image, protocol: this.protocol, marks, mayDraw: mine && !image.closed, go: (other) => this.go(other), kept: this.kept });
    put(this.root, this.workspace.element);
    const ready = this.workspace.start();
    const { editor } = this.workspace;
    if (mine) {
      this.autosave = new Autosave({ queue: this.queue, path, marks, set, banners: this.workspace.above, choose: (...versions) => conflict(this.workspace, ...versions) });
      this.autosave.addEventListener("discarded", () => this.open(item));
      this.autosave.addEventListener("saved", () => this.#state());
    }
    this.drafts = mine && any(image.drafts) && !image.closed ? new Drafts(editor, image.drafts) : null;
    this.#panel(editor, mine);
    this.#keys(editor);
    editor.addEventListener("change", () => this.#state());
    this.#progress();
    this.#state();
    this.workspace.view.above.focus({ preventScroll: true });
    await ready;
    performance.mark("ready");
    document.body.dataset.ready = String(item);
  }

  #panel(editor, mine) {
    const { workspace, image, protocol } = this;
    this.sign = h("span", { class: "note" });
    const head = h("header", { class: "item" }, h("h1", { title: image.id }, image.id), this.sign);
    const about = protocol.about ? keepOpen(h("details", { class: "about" }, h("summary", {}, "Instructions"), h("p", {}, protocol.about)), this.kept, "instructions", true) : null;
    const adjust = keepOpen(h("details", { class: "look" }, h("summary", {}, "Image: brightness, contrast, red-free"), workspace.adjust.panel()), this.kept, "look");
    const past = h("button", { type: "button", class: "quiet", on: { click: () => history(workspace, this.api, `/api/items/${image.item}`) } }, "History");
    this.again = h("button", { type: "button", class: "quiet again", on: { click: () => this.reopen() } }, "Not done yet");
    if (mine) head.append(this.again, past);
    const body = h("div", { class: "scroll" }, head, !mine && this.#notMine(), about, adjust, this.drafts?.panel(), workspace.volume?.element, findings(editor),
      protocol.questions.map((asked) => question(editor, asked, this.drafts?.answer(asked.name))), ungradable(editor), comments(editor));
    this.button = h("button", { type: "button", class: "primary done", on: { click: () => this.finish() } });
    const list = this.work.items.map((one) => one.item);
    const at = list.indexOf(image.item);
    const step = (by, sign, name) => h("button", { type: "button", "aria-label": name, title: name, disabled: at < 0 || !(at + by in list), on: { click: () => this.go(list[at + by]) } }, sign);
    put(workspace.panel, body, h("footer", {}, step(-1, "‹", "Previous image"), this.button, step(1, "›", "Next image")));
    this.button.hidden = !mine;
  }

  #notMine() {
    const claim = async () => {
      await this.api.call("POST", `/api/items/${this.image.item}/claim`);
      await this.open(this.image.item);
    };
    return h("section", { class: "box" }, h("p", {}, "You have not started this image."),
      h("button", { type: "button", class: "primary claim", on: { click: () => claim().catch((error) => ask({ title: "Not possible", body: error.message, buttons: [{ name: "Close" }] })) } }, "Start", h("kbd", {}, "Ctrl ↵")));
  }

  #state() {
    const { image, autosave } = this;
    const settled = image.closed ? "consensus settled" : null;
    this.sign.textContent = settled ?? (autosave?.state === "done" ? "done" : "");
    this.button.disabled = image.closed;
    this.again.hidden = image.closed || autosave?.state !== "done";
    const empty = this.protocol.findings.length > 0 && this.protocol.findings.every((one) => !this.workspace.editor.marks.has(one.name) && !this.workspace.editor.marks.state.findings[one.name]) && !this.workspace.editor.marks.state.ungradable;
    put(this.button, empty ? "Done: no findings" : ["Done", h("kbd", {}, "Ctrl ↵")]);
  }

  #progress() {
    const { done, total, seconds_left: left } = this.work;
    const text = `${done} of ${total}${left && done < total ? `, ${span(left)} left` : ""}`;
    put(this.slot, h("span", { class: "progress" }, h("progress", { max: total, value: done, "aria-label": "Images done" }), text));
  }

  #keys(editor) {
    const { workspace, drafts } = this;
    const key = (keys, what, run) => ({ keys: [keys].flat(), what, run });
    const annotating = { title: "Annotating", keys: [
      key("ctrl+enter", "Done, next image; start the image if it is not started", () => { this.finish(); }),
      key("u", "Ungradable", () => editor.mayDraw && editor.marks.change(({ ungradable: now }) => ({ ungradable: now ? null : { reasons: [], text: "" } }))),
      key("shift+pageup", "Previous image", () => workspace.panel.querySelector("footer button:first-child").click()),
      key("shift+pagedown", "Next image", () => workspace.panel.querySelector("footer button:last-child").click()),
      key("ctrl+s", "Save now (saving is automatic)", () => { this.autosave?.flush(); this.queue.hurry(); }),
      key("?", "Keyboard shortcuts", () => { workspace.keys.help(); }),
    ] };
    const drafting = drafts && { title: "Drafts", keys: [
      key("a", "Accept the selected draft", () => drafts.accept()), key("w", "Accept and edit it", () => drafts.correct()),
      key("q", "Reject it", () => drafts.reject()), key("shift+a", "Accept all", () => drafts.acceptAll()), key("shift+q", "Reject all", () => drafts.rejectAll()),
      key("/", "Next draft", () => drafts.step(1)),
    ] };
    const protocol = workspace.protocolKeys((name) => focusQuestion(workspace.panel, name));
    workspace.keys = new Keys([protocol, annotating, drafting, ...workspace.groups()].filter(Boolean));
    document.addEventListener("keyup", this.lift = (event) => { if (event.key === " ") editor.pointer.space = false; });
  }

  /** Save as done and take the next image; if a required answer is missing, it is shown instead. */
  async finish() {
    const { workspace, image, protocol } = this;
    if (image.marks === null) return void workspace.panel.querySelector(".claim")?.click();
    if (image.closed || this.finishing) return;
    const { answers, ungradable: cannot, findings: states } = workspace.editor.marks.state;
    const missing = cannot ? null : protocol.questions.find((one) => one.required && answers[one.name] === undefined);
    const undecided = cannot ? null : protocol.findings.find((one) => one.required && !states[one.name] && !workspace.editor.marks.has(one.name));
    if (missing || undecided) {
      this.#hint(missing ? `Please answer first: ${missing.title}.` : `Choose present, absent or unsure first: ${undecided.title}.`);
      if (missing) focusQuestion(workspace.panel, missing.name);
      else workspace.editor.pick(undecided.name);
      return;
    }
    if (this.drafts && !cannot && this.drafts.open.length && !(await this.#undecided())) return;
    this.finishing = true;
    this.button.disabled = true;
    this.button.textContent = "Saving…";
    try {
      if (!(await this.autosave.done())) {
        this.workspace.object(this.autosave.objection);
        return this.#state();
      }
      await this.next();
      if (this.workspace && this.image.item !== image.item) this.#undoable(image);
    } catch (error) {
      this.#hint(`Saved. ${error.message} The next image opens when the server answers.`);
    } finally {
      this.finishing = false;
      if (this.workspace) this.#state();
    }
  }

  /** Done is a key away: for a while it can be undone here, later in the list of images. */
  #undoable({ item, id }) {
    const undo = async () => {
      await this.go(item);
      this.reopen();
    };
    const banner = h("div", { class: "banner", role: "status" }, `${id} is done. `, h("button", { type: "button", on: { click: undo } }, "Undo"));
    this.workspace.above.append(banner);
    setTimeout(() => banner.remove(), 12000);
  }

  async reopen() {
    await this.autosave.reopen();
    this.#state();
  }

  #undecided() {
    return ask({ title: "Drafts without a decision", body: `${this.drafts.open.length} drafts of the model are neither accepted nor rejected. They will not be saved.`,
      buttons: [{ name: "Back", value: false }, { name: "Done without them", value: true, kind: "primary" }] });
  }

  #hint(text) {
    this.hinted?.remove();
    this.hinted = h("div", { class: "banner", role: "alert" }, text);
    this.workspace.above.append(this.hinted);
    setTimeout(() => this.hinted.remove(), 6000);
  }

  close() {
    delete document.body.dataset.ready;
    document.removeEventListener("keyup", this.lift);
    this.autosave?.close();
    this.autosave = null;
    this.workspace?.close();
    this.workspace = null;
  }
}
