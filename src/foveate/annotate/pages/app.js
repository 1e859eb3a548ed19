// The entry point: who is logged in, which page to show, and the bar at the top.

import { Api } from "../../web/pages/api.js";
import { ask, h, put } from "../../web/pages/dom.js";
import { inviteForm, loginForm, passwordDialog, recoverForm } from "../../web/pages/entrance.js";
import { Queue } from "./queue.js";

const [top, page] = [document.getElementById("top"), document.getElementById("page")];
const api = new Api();

const may = (role) => api.user.roles.includes(role) || (role === "adjudicator" && api.user.roles.includes("coordinator"));

const LINKS = [
  { path: "/", name: "Images", for: () => true },
  { path: "/consensus", name: "Consensus", for: () => may("adjudicator") },
  { path: "/agreement", name: "Agreement", for: () => may("adjudicator") },
  { path: "/people", name: "People", for: () => may("coordinator") },
];

function line(queue, slot) {
  const here = location.pathname;
  const links = LINKS.filter((link) => link.for()).map(({ path, name }) => h("a", { href: path, "aria-current": path === here ? "page" : null }, name));
  const out = async () => {
    if (queue.waiting) {
      const left = await ask({ title: "Unsaved changes", body: `The marks of ${queue.waiting} ${queue.waiting === 1 ? "image" : "images"} are not on the server yet. They stay in this browser and are sent when you log in here again.`,
        buttons: [{ name: "Stay", value: false }, { name: "Log out", value: true }] });
      if (!left) return;
    }
    await api.call("POST", "/api/logout");
    location.assign("/");
  };
  const menu = h("details", { class: "menu" }, h("summary", {}, api.user.name), h("div", {},
    h("span", { class: "note" }, api.user.roles.join(", ")),
    h("button", { type: "button", on: { click: () => passwordDialog(api) } }, "Change password"),
    h("button", { type: "button", on: { click: out } }, "Log out")));
  put(top, h("a", { class: "brand", href: "/" }, h("img", { src: "/web/pages/icon.svg", alt: "" }), api.project.name), h("nav", {}, links), slot, saves(queue), menu);
}

/** The state of saving, in the bar at the top. */
function saves(queue) {
  const element = h("button", { type: "button", class: "saves", "aria-live": "polite", on: { click: () => act() } });
  const act = async () => {
    if (queue.trouble?.code === "login") await again(queue);
    queue.hurry();
  };
  const update = () => {
    const [n, trouble] = [queue.waiting, queue.trouble];
    const state = !n && trouble?.code !== "browser" ? "good" : trouble ? trouble.code : queue.refused ? "refused" : "busy";
    element.dataset.state = state;
    const many = `${n} unsaved`;
    element.textContent = { good: "All saved", busy: "Saving…", away: `${many}: no connection to the server`, login: `${many}: please log in again`, browser: trouble?.message, refused: "Not saved" }[state];
    element.title = trouble && n ? `${trouble.message} Click to try now.` : "Every change is saved automatically.";
  };
  queue.addEventListener("change", update);
  update();
  return element;
}

/** The session ended while marks were waiting: log in again without leaving the page. */
async function again(queue) {
  const name = queue.owner.split("/")[1];
  const dialog = h("dialog", { "aria-label": "Log in again" });
  await new Promise((resolve) => {
    dialog.append(h("h2", {}, "Log in again"), h("p", { class: "note" }, "Your marks are kept in this browser and are sent then."), loginForm(api, resolve, api.user?.name ?? ""));
    dialog.addEventListener("cancel", () => resolve());
    document.body.append(dialog);
    dialog.showModal();
  });
  dialog.remove();
  if (api.user && String(api.user.id) !== name) location.assign("/"); // another account: the marks stay with their owner
}

function trouble(error) {
  const words = error.status === 403 ? "Your account may not open this page." : error.message;
  put(page, h("main", { class: "plain" }, h("h1", {}, "An error occurred"), h("p", {}, words), h("p", {}, h("button", { type: "button", on: { click: () => location.reload() } }, "Try again"), " ", h("a", { class: "button", href: "/" }, "Back to the list"))));
}

const PAGES = {
  "/": async (context) => new (await import("./home.js")).HomePage(context).start(),
  "/annotate": async (context) => new (await import("./annotate.js")).AnnotatePage(context).start(),
  "/consensus": async (context) => new (await import("./consensus.js")).ConsensusPage(context).start(),
  "/agreement": async (context) => (await import("./agreement.js")).agreementPage(context),
  "/people": async (context) => (await import("./people.js")).peoplePage(context),
};

async function start() {
  const session = await api.session();
  document.title = session.project.name;
  if (location.pathname === "/invite") return put(page, inviteForm(api, decodeURIComponent(location.hash.slice(1))));
  if (location.pathname === "/recover") return put(page, await recoverForm(api, decodeURIComponent(location.hash.slice(1))));
  if (!session.user) return put(page, h("main", { class: "entrance" }, h("h1", {}, session.project.name), session.accounts
    ? loginForm(api, () => location.reload())
    : h("p", {}, "This project has no account yet. The server printed an invitation link when it started: open that link to create the first account.")));
  const queue = await new Queue(api, `${session.project.id}/${session.user.id}`).open();
  const slot = h("div", { class: "slot" });
  line(queue, slot);
  const protocol = await api.get("/api/protocol");
  return (PAGES[location.pathname] ?? PAGES["/"])({ api, queue, protocol, root: page, slot, may, trouble });
}

addEventListener("unhandledrejection", (event) => {
  if (event.reason?.status === 401) location.assign("/");
  else trouble(event.reason);
});
// a page that the browser kept while another was shown: who is logged in may have changed
addEventListener("pageshow", (event) => event.persisted && location.reload());
start().catch(trouble);
