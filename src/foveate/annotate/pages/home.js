// The list of an annotator's images, and the progress.

import { h, put, span } from "../../web/pages/dom.js";

export class HomePage {
  constructor({ api, protocol, root, queue, may }) {
    Object.assign(this, { api, protocol, root, queue, may });
  }

  async start() {
    document.title = this.api.project.name;
    const work = this.may("annotator") ? await this.api.get("/api/work") : null;
    const parts = [h("h1", {}, this.protocol.title)];
    if (this.protocol.about) parts.push(h("p", { class: "lead" }, this.protocol.about));
    if (work) parts.push(this.#mine(work));
    else parts.push(h("p", { class: "note" }, "Your account has no images to annotate; see the pages above."));
    put(this.root, h("main", { class: "plain wide" }, parts));
  }

  #mine(work) {
    const { done, total, seconds_left: left, items } = work;
    const open = items.filter((one) => one.state === "open").length;
    const next = h("a", { class: "button primary large", href: "/annotate" }, open ? "Continue" : done ? "Next image" : "Start");
    const text = `${done} of ${total}${left && done < total ? `, ${span(left)} left` : ""}`;
    const bar = h("div", { class: "far" }, h("progress", { max: Math.max(1, total), value: done, "aria-label": "Images done" }), h("span", {}, text));
    return h("div", {}, h("section", { class: "box start" }, bar, done < total ? next : h("p", {}, "All images are done. Thank you.")), this.#list(items));
  }

  #list(items) {
    if (!items.length) return h("p", { class: "note" }, "Images that you start appear here; you can go back to them.");
    const sign = (one) => {
      if (this.queue.kept(`/api/items/${one.item}/marks`)) return ["waits", "not on the server yet"];
      if (one.settled) return ["settled", "settled"];
      return [one.state, one.state];
    };
    const rows = items.map((one) => {
      const [name, text] = sign(one);
      return h("tr", {}, h("td", {}, h("a", { href: `/annotate?item=${one.item}` }, one.id)), h("td", {}, h("span", { class: `chip ${name}` }, text)));
    });
    return h("section", {}, h("h2", {}, "Your images"), h("table", { class: "grid" }, h("thead", {}, h("tr", {}, h("th", {}, "Image"), h("th", {}, "State"))), h("tbody", {}, rows.toReversed())));
  }
}
