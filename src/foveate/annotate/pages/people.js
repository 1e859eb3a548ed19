// The coordinator's page: who is in the room, invitations, how far each reader is, what happened.

import { clock, h, put, when, words } from "./dom.js";

const ROLES = ["reader", "adjudicator", "coordinator"];
const cells = (...all) => h("tr", {}, all.map((one) => h("td", {}, one)));
const grid = (heads, rows) => h("div", { class: "over" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, heads.map((one) => h("th", { scope: "col" }, one)))), h("tbody", {}, rows)));

export async function peoplePage({ api, root }) {
  document.title = `People · ${api.room.name}`;
  const [progress, users, invites, audit, notice] = [h("section", {}), h("section", {}), h("section", {}), h("section", {}), h("p", { class: "wrong", role: "alert" })];
  put(root, h("main", { class: "plain wide" }, h("h1", {}, "People and progress"), notice, progress, users, invites, backup(), audit));
  const refresh = async () => {
    const all = await api.get("/api/users");
    put(users, h("h2", {}, "Accounts"), people(api, all.users, refresh, notice));
    put(invites, h("h2", {}, "Invitations"), invitations(api, all.invites, refresh, notice));
  };
  await Promise.all([refresh(), far(api, progress), happened(api, audit)]);
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
  return grid(["Name", ...ROLES.map(words), "Since", ""], users.map((user) => cells(
    h("span", { class: user.active ? "" : "off" }, user.name),
    ...ROLES.map((role) => h("input", { type: "checkbox", checked: user.roles.includes(role), "aria-label": `${user.name} is ${role}`,
      on: { change: (event) => change(user, { roles: ROLES.filter((one) => (one === role ? event.target.checked : user.roles.includes(one))) }) } })),
    when(user.created),
    h("button", { type: "button", on: { click: () => change(user, { active: !user.active }) } }, user.active ? "Close the account" : "Open it again"))));
}

function invitations(api, invites, refresh, notice) {
  const link = h("div", {});
  const roles = ROLES.map((role) => ({ role, input: h("input", { type: "checkbox", checked: role === "reader" }) }));
  const name = h("input", { type: "text", maxlength: 40, placeholder: "any name" });
  const hours = h("input", { type: "number", min: 1, max: 720, value: 72 });
  const make = (event) => {
    event.preventDefault();
    tried(notice, async () => {
      const made = await api.call("POST", "/api/invites", { roles: roles.filter((one) => one.input.checked).map((one) => one.role), name: name.value.trim() || null, hours: Number(hours.value) });
      const address = `${location.origin}${made.path}`;
      const field = h("input", { type: "text", readonly: true, value: address, "aria-label": "Invitation link", on: { focus: () => field.select() } });
      await refresh();
      document.querySelector(".invited").replaceChildren(h("p", {}, "Give this link to the person; it is shown once and works once, until ", when(made.expires), "."),
        h("div", { class: "row" }, field, h("button", { type: "button", on: { click: () => navigator.clipboard?.writeText(address) } }, "Copy")));
    });
  };
  link.className = "invited";
  const form = h("form", { class: "row wrap", on: { submit: make } }, roles.map(({ role, input }) => h("label", { class: "tick" }, input, role)),
    h("label", { class: "inline" }, "for", name), h("label", { class: "inline" }, "hours", hours), h("button", { type: "submit", class: "primary" }, "Invite"));
  const rows = invites.map((one) => cells(one.name ?? "any name", one.roles.join(", "), when(one.expires), one.by ?? "",
    h("button", { type: "button", on: { click: () => tried(notice, async () => {
      await api.call("DELETE", `/api/invites/${one.id}`);
      await refresh();
    }) } }, "Take back")));
  return [form, link, rows.length ? grid(["For", "Roles", "Until", "By", ""], rows) : h("p", { class: "note" }, "No invitation is open.")];
}

async function far(api, holder) {
  const all = await api.get("/api/progress");
  const { accepted, edited, rejected, untouched } = all.drafts;
  const rows = all.readers.map((one) => cells(one.name, String(one.done), String(one.open), clock(one.seconds), one.median_seconds === null ? "" : clock(one.median_seconds)));
  put(holder, h("h2", {}, "Progress"), h("p", {}, `${all.settled} of ${all.images} images are settled.`),
    rows.length ? grid(["Reader", "Done", "Open", "Time in all", "Median an image"], rows) : h("p", { class: "note" }, "Nobody has read yet."),
    accepted + edited + rejected + untouched > 0 && h("p", {}, `Drafts: ${accepted} accepted, ${edited} corrected, ${rejected} rejected, ${untouched} left.`),
    all.drawn.length > 0 && spent(all));
}

const COST = { image: "the answers of an image", masks: "outlines or paint", regions: "regions", ellipses: "ellipses" };

// what takes how long, and what one label costs
function spent({ drawn, costs }) {
  const rows = drawn.map((one) => cells(one.drawn, String(one.readings), clock(one.median_seconds)));
  const each = Object.entries(COST).filter(([kind]) => kind in costs).map(([kind, name]) => `${name} ${Math.round(costs[kind])} s`);
  return h("div", {}, h("h3", {}, "Time by what was drawn"), grid(["Drawn", "Readings", "Median an image"], rows),
    h("p", { class: "note" }, each.length ? `One label costs: ${each.join(", ")}; marks for each finding, beyond the answers.` : "What a mark costs is told once some images were answered without marks."));
}

function backup() {
  return h("section", {}, h("h2", {}, "Backup"), h("p", {}, "The whole room in one file, also while it is served; run it where the server runs:"), h("pre", {}, "foveate annotate backup ROOM -o ROOM.zip"));
}

async function happened(api, holder) {
  const body = h("tbody", {});
  let before = null;
  const more = h("button", { type: "button", class: "quiet", on: { click: () => load() } }, "Earlier");
  const load = async () => {
    const { entries } = await api.get(`/api/audit?most=25${before === null ? "" : `&before=${before}`}`);
    body.append(...entries.map((one) => cells(when(one.at), one.who ?? "", one.action, one.subject ?? "", one.address ?? "")));
    before = entries.at(-1)?.id ?? before;
    more.hidden = entries.length < 25;
  };
  put(holder, h("h2", {}, "What happened"), h("div", { class: "over" }, h("table", { class: "grid" }, h("thead", {}, h("tr", {}, ["When", "Who", "What", "Of", "From"].map((one) => h("th", {}, one)))), body)), more);
  await load();
}
