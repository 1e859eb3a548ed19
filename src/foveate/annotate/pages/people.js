// The coordinator's page: accounts, invitations, each annotator's progress, the audit log.

import { copied } from "../../web/pages/copying.js";
import { clock, h, put, when, words } from "../../web/pages/dom.js";

const ROLES = ["annotator", "adjudicator", "coordinator"];
const cells = (...all) => h("tr", {}, all.map((one) => h("td", {}, one)));
const grid = (heads, rows) => h("div", { class: "over" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows)));

export async function peoplePage({ api, root }) {
  document.title = `People · ${api.project.name}`;
  const [progress, users, invites, audit, notice] = [h("section", {}), h("section", {}), h("section", {}), h("section", {}), h("p", { class: "wrong", role: "alert" })];
  put(root, h("main", { class: "plain wide" }, h("h1", {}, "People and progress"), notice, progress, users, invites, backup(), audit));
  const refresh = async () => {
    const all = await api.get("/api/users");
    put(users, h("h2", {}, "Accounts"), people(api, all.users, refresh, notice));
    put(invites, h("h2", {}, "Invitations"), invitations(api, all.invites, refresh, notice));
  };
  await Promise.all([refresh(), progressTable(api, progress), auditLog(api, audit)]);
}

/** A link that was made, to be sent to somebody. */
function showLink(holder, made, label, who = "the person") {
  holder.replaceChildren(h("p", {}, `Send this link to ${who}. It is shown only now and works once, until `, when(made.expires), "."),
    copied(`${location.origin}${made.path}`, label));
}

async function tried(notice, act) {
  put(notice);
  try {
    await act();
  } catch (error) {
    put(notice, error.message);
  }
}

function people(api, users, refresh, notice) {
  const change = (user, what) => tried(notice, async () => {
    try {
      await api.call("PATCH", `/api/users/${user.id}`, what);
    } finally {
      await refresh();
    }
  });
  const link = h("div", { class: "link-made" });
  const recover = (user) => tried(notice, async () => {
    const made = await api.call("POST", `/api/users/${user.id}/recovery`, {});
    showLink(link, made, "Link to a new password", user.name);
  });
  const table = grid(["Name", ...ROLES.map(words), "Created", "Password", "Account"], users.map((user) => cells(
    h("span", { class: user.active ? "" : "off" }, user.name),
    ...ROLES.map((role) => h("input", { type: "checkbox", checked: user.roles.includes(role), "aria-label": `${user.name} is ${role}`,
      on: { change: (event) => change(user, { roles: ROLES.filter((one) => (one === role ? event.target.checked : user.roles.includes(one))) }) } })),
    user.password ? when(user.created) : `${when(user.created)}, has no password yet`,
    user.active && h("button", { type: "button", title: "Make a link with which this person chooses a new password", on: { click: () => recover(user) } }, "Password link"),
    h("button", { type: "button", on: { click: () => change(user, { active: !user.active }) } }, user.active ? "Close account" : "Reopen account"))));
  return [table, link];
}

function invitations(api, invites, refresh, notice) {
  const link = h("div", {});
  const roles = ROLES.map((role) => ({ role, input: h("input", { type: "checkbox", checked: role === "annotator" }) }));
  const name = h("input", { type: "text", maxlength: 40, placeholder: "any name" });
  const hours = h("input", { type: "number", min: 1, max: 720, value: 72 });
  const make = (event) => {
    event.preventDefault();
    tried(notice, async () => {
      const made = await api.call("POST", "/api/invites", { roles: roles.filter((one) => one.input.checked).map((one) => one.role), name: name.value.trim() || null, hours: Number(hours.value) });
      await refresh();
      showLink(document.querySelector(".invited"), made, "Invitation link");
    });
  };
  link.className = "invited";
  const form = h("form", { class: "row wrap", on: { submit: make } }, roles.map(({ role, input }) => h("label", { class: "tick" }, input, role)),
    h("label", { class: "inline" }, "Name", name), h("label", { class: "inline" }, "Valid for hours", hours), h("button", { type: "submit", class: "primary" }, "Invite"));
  const rows = invites.map((one) => cells(one.name ?? "any name", one.user ? "new password" : one.roles.join(", "), when(one.expires), one.by ?? "",
    h("button", { type: "button", on: { click: () => tried(notice, async () => {
      await api.call("DELETE", `/api/invites/${one.id}`);
      await refresh();
    }) } }, "Withdraw")));
  return [form, link, rows.length ? grid(["Name", "Roles or use", "Until", "By", "Withdraw"], rows) : h("p", { class: "note" }, "There are no open invitations.")];
}

async function progressTable(api, holder) {
  const all = await api.get("/api/progress");
  const { accepted, edited, rejected, untouched } = all.drafts;
  const rows = all.annotators.map((one) => cells(one.name, String(one.done), String(one.open), clock(one.seconds), one.median_seconds === null ? "" : clock(one.median_seconds)));
  put(holder, h("h2", {}, "Progress"), h("p", {}, `${all.settled} of ${all.images} images are settled.`),
    rows.length ? grid(["Annotator", "Done", "Open", "Total time", "Median per image"], rows) : h("p", { class: "note" }, "Nobody has annotated an image yet."),
    accepted + edited + rejected + untouched > 0 && h("p", {}, `Drafts: ${accepted} accepted, ${edited} corrected, ${rejected} rejected, ${untouched} without decision.`),
    all.drawn.length > 0 && spent(all));
}

const COST = { image: "answers of an image", masks: "outlines or brush", regions: "regions", ellipses: "ellipses" };

// time by kind of mark, and the time per label
function spent({ drawn, costs }) {
  const rows = drawn.map((one) => cells(one.drawn, String(one.annotations), clock(one.median_seconds)));
  const each = Object.entries(COST).filter(([kind]) => kind in costs).map(([kind, name]) => `${name} ${Math.round(costs[kind])} s`);
  return h("div", {}, h("h3", {}, "Time by what was drawn"), grid(["Drawn", "Annotations", "Median per image"], rows),
    h("p", { class: "note" }, each.length ? `Time per label: ${each.join(", ")}; marks per finding, in addition to the answers.` : "The time per mark is shown when some images were answered without marks."));
}

function backup() {
  return h("section", {}, h("h2", {}, "Backup"), h("p", {}, "The whole project in one file, also while it is served. Run on the server's computer:"), h("pre", {}, "foveate annotate backup PROJECT -o PROJECT.zip"));
}

async function auditLog(api, holder) {
  const body = h("tbody", {});
  let before = null;
  const more = h("button", { type: "button", class: "quiet", on: { click: () => load() } }, "Earlier");
  const load = async () => {
    const { entries } = await api.get(`/api/audit?most=25${before === null ? "" : `&before=${before}`}`);
    body.append(...entries.map((one) => cells(when(one.at), one.who ?? "", one.action, one.subject ?? "", one.address ?? "")));
    before = entries.at(-1)?.id ?? before;
    more.hidden = entries.length < 25;
  };
  put(holder, h("h2", {}, "Audit log"), h("div", { class: "over" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["Time", "Account", "Action", "Subject", "Address"].map((one) => h("th", {}, one)))), body)), more);
  await load();
}
