// Logging in, accepting an invitation, choosing a new password.

import { h, put } from "./dom.js";

function field(label, properties) {
  const input = h("input", { required: true, ...properties });
  return { input, element: h("label", { class: "field" }, h("span", {}, label), input) };
}

/** A form that is sent once; errors appear below the fields. */
function form(fields, button, send, note) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const go = h("button", { type: "submit", class: "primary" }, button);
  return h("form", { class: "entry", on: { submit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    put(wrong);
    try {
      await send(...fields.map(({ input }) => input.value));
    } catch (error) {
      put(wrong, error.status === 429 && error.wait ? `${error.message} Try again in ${error.wait} s.` : error.message);
    } finally {
      go.disabled = false;
    }
  } } }, fields.map(({ element }) => element), note && h("p", { class: "note" }, note), wrong, go);
}

export function loginForm(api, then, name = "") {
  const fields = [field("Name", { autocomplete: "username", value: name, maxlength: 40, autofocus: true }), field("Password", { type: "password", autocomplete: "current-password", maxlength: 200 })];
  return form(fields, "Log in", async (who, password) => then(await api.login(who, password)));
}

export function inviteForm(api, token) {
  if (!token) return h("main", { class: "entrance" }, h("h1", {}, "Invitation"), h("p", {}, "This link is incomplete. Ask the coordinator for it again, and copy all of it."));
  const fields = [field("Your name", { autocomplete: "username", maxlength: 40, autofocus: true }), field("Password", { type: "password", autocomplete: "new-password", minlength: 10, maxlength: 200 })];
  return h("main", { class: "entrance" }, h("h1", {}, "Welcome"), h("p", {}, "Choose a name and a password. Your name is shown with your marks."),
    form(fields, "Create account", async (name, password) => {
      await api.accept(token, name, password);
      location.replace("/");
    }, "At least 10 characters."));
}

/** The page of a link to a new password. */
export async function recoverForm(api, token) {
  const lost = (words) => h("main", { class: "entrance" }, h("h1", {}, "New password"), h("p", {}, words));
  if (!token) return lost("This link is incomplete. Ask the coordinator for it again, and copy all of it.");
  let name;
  try {
    ({ name } = await api.call("POST", "/api/recoveries/look", { token }));
  } catch (error) {
    return lost(error.message);
  }
  const hidden = h("input", { type: "text", autocomplete: "username", value: name, hidden: true, "aria-label": "Name" });
  const fields = [field("New password", { type: "password", autocomplete: "new-password", minlength: 10, maxlength: 200, autofocus: true })];
  const entry = form(fields, "Save and log in", async (password) => {
    await api.recover(token, password);
    location.replace("/");
  }, "At least 10 characters. Other computers on which you are logged in are logged out.");
  entry.prepend(hidden);
  return h("main", { class: "entrance" }, h("h1", {}, "New password"), h("p", {}, `For the account ${name}.`), entry);
}

export function passwordDialog(api) {
  const dialog = h("dialog", { "aria-label": "Change password" });
  const fields = [field("Current password", { type: "password", autocomplete: "current-password" }), field("New password", { type: "password", autocomplete: "new-password", minlength: 10, maxlength: 200 })];
  dialog.append(h("h2", {}, "Change password"), form(fields, "Change", async (old, fresh) => {
    await api.call("POST", "/api/password", { old, new: fresh });
    dialog.close();
  }, "At least 10 characters."), h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, "Cancel"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
