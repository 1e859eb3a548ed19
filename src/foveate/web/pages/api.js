// Calls to the server. A refusal has a code and a sentence; a server that does not answer is Away.

/** The server refused the request. */
export class Refused extends Error {
  constructor(status, body, wait) {
    super(body.message ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body.error ?? "";
    this.body = body;
    this.wait = wait;
  }
}

/** The server did not answer, or cannot save now: the same request may be sent again. */
export class Away extends Error {
  constructor(message, wait) {
    super(message);
    this.wait = wait;
  }
}

const LATER = new Set([502, 503, 504, 507]);

export class Api {
  /** Who is logged in; keeps the token that changes need. */
  async session() {
    return this.#keep(await this.get("/api/session"));
  }

  async login(name, password) {
    return this.#keep(await this.call("POST", "/api/login", { name, password }));
  }

  async accept(token, name, password) {
    return this.#keep(await this.call("POST", "/api/invites/accept", { token, name, password }));
  }

  async recover(token, password) {
    return this.#keep(await this.call("POST", "/api/recoveries/accept", { token, password }));
  }

  /** Send something while the page is left; the browser takes 64 KB of all such requests together. Whether it took it. */
  leave(method, path, body) {
    const text = JSON.stringify(body);
    if (text.length > 60_000) return false;
    const headers = { "Content-Type": "application/json", "X-CSRF-Token": this.csrf };
    fetch(path, { method, headers, body: text, keepalive: true }).catch(() => {});
    return true;
  }

  get(path) {
    return this.call("GET", path);
  }

  /** Send and give back the answer's JSON (null for none); throws Refused or Away. */
  async call(method, path, body) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (method !== "GET" && this.csrf) headers["X-CSRF-Token"] = this.csrf;
    let answer;
    try {
      answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      throw new Away("The server does not answer.");
    }
    if (answer.status === 204) return null;
    let data;
    try {
      data = await answer.json();
    } catch {
      if (answer.ok) throw new Away("The server's answer is incomplete.");
      data = {};
    }
    if (answer.ok) return data;
    const wait = Number(answer.headers.get("Retry-After")) || undefined;
    if (LATER.has(answer.status)) throw new Away(data.message ?? "The server cannot save at the moment.", wait);
    throw new Refused(answer.status, data, wait);
  }

  #keep(session) {
    this.csrf = session.csrf;
    this.user = session.user;
    this.project = session.project;
    return session;
  }
}
