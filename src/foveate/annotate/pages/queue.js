// Saves that the server has not acknowledged, kept in the browser's database until it has.
//
// A set of marks has at most one save under way, whose body never changes, and the latest marks behind it. A save
// that may or may not have reached the server is sent again under the same name, so that it counts once; what was
// drawn since goes out as the next one. A stale save is never repeated automatically: the page asks.

import { randomName } from "../../web/pages/random.js";

const STORE = "saves";

function database() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open("foveate", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "key" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

export class Queue extends EventTarget {
  /** owner: "project/user", so that nobody sends another's saves from a shared computer. */
  constructor(api, owner) {
    super();
    this.api = api;
    this.owner = owner;
    this.entries = new Map();
    this.coming = new Set(); // paths that changed a moment ago and will be put
    this.trouble = null; // why nothing can be sent now: {code, message}
    this.busy = false;
    this.delay = 0;
  }

  async open() {
    this.base = await database().catch(() => null); // a private window may have none: then it is kept in memory alone
    for (const entry of await this.#all()) if (entry.owner === this.owner) this.entries.set(entry.path, entry);
    addEventListener("online", () => this.hurry());
    this.hurry();
    return this;
  }

  get waiting() {
    return new Set([...this.entries.keys(), ...this.coming]).size;
  }

  /** Whether the server refused a save, and nobody has decided yet what becomes of it. */
  get refused() {
    return [...this.entries.values()].some((entry) => entry.refused);
  }

  /** A set has changed and will be put in a moment: it is not saved. */
  soon(path) {
    this.coming.add(path);
    this.#notify();
  }

  /** What is kept of a set and not yet on the server: {version, marks, state}; null if nothing. */
  kept(path) {
    const entry = this.entries.get(path);
    if (!entry) return null;
    const latest = entry.next ?? entry.sending;
    return { version: entry.version, marks: latest.marks, state: latest.state, refused: entry.refused };
  }

  /** Keep the latest marks of a set and send them: {version, state, marks, seconds since the last call, more of the body}. */
  async put(path, { version, state, marks, seconds, more = {} }) {
    const entry = this.entries.get(path) ?? { key: `${this.owner} ${path}`, owner: this.owner, path, version, sending: null };
    // refused by a rule (not stale): the cause may be corrected now, so it is tried again
    if (entry.refused && entry.refused.code !== "stale") {
      seconds += entry.sending?.seconds ?? 0;
      Object.assign(entry, { refused: null, sending: null });
    }
    // named now: if the page is left, both the last request and the next page send it under this name, so it counts once
    entry.next = { state, marks, seconds: (entry.next?.seconds ?? 0) + seconds, save: randomName(), ...more };
    this.entries.set(path, entry);
    this.coming.delete(path);
    await this.#write(entry);
    this.#notify();
    this.hurry();
  }

  /** After a stale save was shown: send mine after all, upon what is there now. */
  async insist(path, version) {
    const entry = this.entries.get(path);
    const last = entry.next ?? entry.sending;
    const seconds = (entry.sending?.seconds ?? 0) + (entry.next?.seconds ?? 0);
    Object.assign(entry, { version, next: { state: last.state, marks: last.marks, seconds, save: randomName() }, sending: null, refused: null });
    await this.#write(entry);
    this.hurry();
  }

  /** After a stale save was shown: discard mine. */
  async drop(path) {
    const entry = this.entries.get(path);
    this.entries.delete(path);
    this.coming.delete(path);
    if (entry) await this.#erase(entry);
    this.#notify();
  }

  /**
   * The page is being left: send what waits with requests that outlive it. A save under way is sent again under its own
   * name, so it counts once; what is behind it waits in the browser's database.
   */
  leave() {
    for (const entry of this.entries.values()) {
      if (entry.refused) continue;
      if (!entry.sending && entry.next) {
        entry.sending = { save: randomName(), ...entry.next, version: entry.version };
        entry.next = null;
        this.#write(entry);
      }
      if (entry.sending) this.api.leave("PUT", entry.path, entry.sending);
    }
  }

  /** Send now instead of waiting for the next try. */
  hurry() {
    clearTimeout(this.timer);
    this.delay = 0;
    this.#run();
  }

  /** Resolves when nothing of a set is left to send, or it was refused; gives whether it is saved. */
  settled(path) {
    return new Promise((resolve) => {
      const look = () => {
        const entry = this.entries.get(path);
        if (entry && !entry.refused) return;
        this.removeEventListener("change", look);
        resolve(!entry);
      };
      this.addEventListener("change", look);
      look();
    });
  }

  async #run() {
    if (this.busy) return;
    this.busy = true;
    let later = false;
    try {
      for (const entry of this.entries.values()) {
        while (!later && !entry.refused && (entry.sending || entry.next)) later = !(await this.#send(entry));
      }
    } catch (error) {
      // an error of this page or this browser: shown, and tried again, never silent
      this.trouble = { code: "away", message: `This page cannot send marks (${error?.message ?? error}).` };
      later = true;
    }
    this.busy = false;
    if (later) {
      this.delay = Math.min(15000, this.delay ? this.delay * 1.7 : 500);
      this.timer = setTimeout(() => this.#run(), this.wait ? this.wait * 1000 : this.delay);
    } else if ([...this.entries.values()].some((entry) => !entry.refused && (entry.sending || entry.next))) {
      this.#run();
    }
    this.#notify();
  }

  // true: go on; false: the server is away or wants a login, try later
  async #send(entry) {
    if (!entry.sending) {
      entry.sending = { save: randomName(), ...entry.next, version: entry.version };
      entry.next = null;
      await this.#write(entry);
    }
    const { sending } = entry;
    try {
      const saved = await this.api.call("PUT", entry.path, sending);
      [this.trouble, this.wait, this.retried] = [null, 0, false];
      Object.assign(entry, { version: saved.version, sending: null });
      // announced before anything is awaited: what is put meanwhile must start from this version
      this.dispatchEvent(new CustomEvent("saved", { detail: { path: entry.path, ...saved } }));
      if (entry.next) await this.#write(entry);
      else if (this.entries.get(entry.path) === entry) {
        this.entries.delete(entry.path);
        await this.#erase(entry);
      }
      this.#notify();
      return true;
    } catch (error) {
      if (error.status === undefined || error.status === 429 || error.status >= 500) {
        [this.trouble, this.wait] = [{ code: "away", message: error.message }, error.wait ?? 0];
      } else if (error.status === 401 || error.code === "csrf") {
        const again = await this.api.session().catch(() => null);
        if (again?.user && error.code === "csrf" && !this.retried) {
          this.retried = true;
          return true;
        }
        this.trouble = { code: "login", message: "Please log in again. Your marks are kept in this browser." };
      } else {
        this.trouble = null;
        entry.refused = { code: error.code, message: error.message, current: error.body.current ?? null, at: error.body.at ?? null };
        await this.#write(entry);
        this.dispatchEvent(new CustomEvent("refused", { detail: { path: entry.path, ...entry.refused } }));
        return true;
      }
      this.#notify();
      return false;
    }
  }

  #notify() {
    this.dispatchEvent(new Event("change"));
  }

  // -- the browser's database ---------------------------------------------------------------------------------------

  #do(mode, act) {
    if (!this.base) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const deal = this.base.transaction(STORE, mode, { durability: "strict" });
      const asked = act(deal.objectStore(STORE));
      deal.oncomplete = () => resolve(asked.result);
      deal.onerror = deal.onabort = () => reject(deal.error);
    }).catch((error) => {
      this.trouble = { code: "browser", message: `This browser cannot store marks (${error?.name}). Keep this page open until they are saved.` };
      return [];
    });
  }

  #all() {
    return this.#do("readonly", (store) => store.getAll());
  }

  #write(entry) {
    return this.#do("readwrite", (store) => store.put(entry));
  }

  #erase(entry) {
    return this.#do("readwrite", (store) => store.delete(entry.key));
  }
}
