// The connection as the rest of the page has it: it comes back by itself for as long as it is wanted, by whichever way works, and
// matches answers with questions.

import { CODES, Events, Polling, Socket } from "./transport.js";

const ANSWER_WITHIN_MS = 15_000;
const RETRY_MS = { first: 500, last: 30_000, spread: 1_500 };
// After so many sockets that never opened, while the relay can be reached, plain requests are tried.
const SOCKETS_MAX = 2;
const SOCKET_AGAIN_MS = 5 * 60_000;
const REACHED_WITHIN_MS = 5_000;
const CALM_AFTER_MS = 10_000;

// Why a question has no answer: `code` is the relay's, or "closed" when the connection ended.
export class Refusal extends Error {
  constructor({ code, text, retry_ms }) {
    super(text ?? code);
    Object.assign(this, { code, text: text ?? "", retryMs: retry_ms });
  }

  // Whether the same may work in a moment.
  get isTemporary() {
    return this.retryMs !== undefined || ["closed", "busy", "rate", "storage", "relay_full"].includes(this.code);
  }
}

export class Link {
  #way = null;
  #wanted = false;
  #questions = new Map();
  #lastId = 0;
  #attempt = 0;
  #timers = {};
  // How often in a row a socket did not open, and when it is tried again after that.
  #closedSockets = 0;
  #socketAgainAt = 0;
  #kind = Socket;

  // on: welcome(ok, isFirst), refused(Refusal), token(text), line(object), state(name, detail). greet(): hello's fields.
  constructor(greet, on) {
    this.greet = greet;
    this.on = on;
    this.isLive = false;
    addEventListener("online", () => { this.hurry(); this.#probe(); });
    addEventListener("offline", () => this.#probe());
    document.addEventListener("visibilitychange", () => { if (!document.hidden) { this.hurry(); this.#probe(); } });
  }

  // "socket", "events" or "polling".
  get kind() {
    return { Socket: "socket", Events: "events", Polling: "polling" }[this.#kind.name];
  }

  start() {
    this.stop();
    this.#wanted = true;
    this.#attempt = 0;
    this.#connect();
  }

  stop() {
    this.#wanted = false;
    this.#drop();
  }

  // Connects now instead of when the waiting is over.
  hurry() {
    if (this.#wanted && !this.#way) this.#connect();
  }

  // Says something to which no answer is expected.
  tell(command) {
    if (this.isLive) this.#way.send([command]);
  }

  // Resolves to the answer's fields, or fails with a Refusal.
  ask(command) {
    if (!this.isLive) return Promise.reject(new Refusal({ code: "closed" }));
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#ended({ code: CODES.lost, opened: true }), ANSWER_WITHIN_MS);
      this.#questions.set(id, { resolve, reject, timer });
      this.#way.send([{ id, ...command }]);
    });
  }

  // The same, asked again after as long as a temporary refusal says. Fails when the connection ends.
  async askUntilAnswered(command) {
    for (;;) {
      try {
        return await this.ask(command);
      } catch (refusal) {
        if (!refusal.isTemporary || refusal.code === "closed") throw refusal;
        await new Promise((resolve) => setTimeout(resolve, (refusal.retryMs ?? 5_000) + 50));
      }
    }
  }

  #connect() {
    clearTimeout(this.#timers.retry);
    if (this.#kind !== Socket && Date.now() > this.#socketAgainAt) {
      this.#kind = Socket;
      this.#closedSockets = SOCKETS_MAX - 1;
    }
    this.on.state("connecting");
    const current = (handle) => (said) => { if (this.#way === way) handle(said); };
    const way = new this.#kind(this.greet, {
      line: current((line) => this.#hear(line)),
      end: current((how) => this.#ended(how)),
      token: current((token) => this.on.token(token)),
    });
    this.#way = way;
  }

  #hear(line) {
    // Before the answer to hello, what cannot be read is the hello.
    if (line.id === 0 || (line.err && line.id === undefined && !this.isLive)) {
      if (line.err) this.#refuse(new Refusal(line.err));
      else this.#settle(line.ok);
      return;
    }
    const question = this.#questions.get(line.id);
    if (!question) return this.on.line(line);
    this.#questions.delete(line.id);
    clearTimeout(question.timer);
    if (line.err) question.reject(new Refusal(line.err));
    else question.resolve(line.ok);
  }

  #settle(ok) {
    const first = !this.isLive;
    this.isLive = true;
    if (this.#kind === Socket) this.#closedSockets = 0;
    if (first) {
      this.#timers.calm = setTimeout(() => { this.#attempt = 0; }, CALM_AFTER_MS);
      this.#timers.ping = setInterval(() => this.#probe(), (ok.ping_s ?? 25) * 1000);
      this.on.state("live");
    }
    this.on.welcome(ok, first, this.#way?.askedAt ?? Date.now());
  }

  // Hello was refused: for good, or worth another try.
  #refuse(refusal) {
    if (refusal.isTemporary) return this.#retryIn(refusal.retryMs ?? 5_000, refusal);
    this.stop();
    this.on.refused(refusal);
  }

  #probe() {
    if (this.isLive && this.#kind === Socket && this.#questions.size === 0) this.ask({ ping: {} }).catch(() => {});
  }

  // From 4500 on the relay means: do not come back by yourself.
  async #ended({ code, opened }) {
    this.#drop();
    if (!this.#wanted) return;
    if (code >= 4500 && code < 5000) {
      this.#wanted = false;
      return this.on.state("stopped", code);
    }
    if (!opened && await this.#triesAnotherWay(code)) return;
    // Whatever cut one connection may have cut them all: they do not come back all at once.
    const longest = Math.min(RETRY_MS.last, RETRY_MS.first * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#retryIn(Math.random() * Math.max(longest, RETRY_MS.spread));
  }

  // Whether the way itself seems to be the trouble, and another one is under way.
  async #triesAnotherWay(code) {
    const way = this.#kind;
    this.on.state("connecting");
    const reached = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(REACHED_WITHIN_MS) }).then((it) => it.ok, () => false);
    if (!reached || this.#way || !this.#wanted || way !== this.#kind) return Boolean(this.#way);
    if (way === Socket) {
      this.#closedSockets += 1;
      if (this.#closedSockets < SOCKETS_MAX) return false;
      this.#kind = Events;
      this.#socketAgainAt = Date.now() + SOCKET_AGAIN_MS;
    } else if (code === CODES.missing) {
      // This relay has no other way.
      this.#kind = Socket;
      return false;
    } else if (way === Events && code === CODES.slow) {
      this.#kind = Polling;
    } else {
      return false;
    }
    this.#connect();
    return true;
  }

  #retryIn(ms, refusal) {
    this.#drop();
    if (!this.#wanted) return;
    this.#timers.retry = setTimeout(() => this.#connect(), ms);
    this.on.state("waiting", refusal);
  }

  #drop() {
    clearTimeout(this.#timers.retry);
    clearTimeout(this.#timers.calm);
    clearInterval(this.#timers.ping);
    const way = this.#way;
    this.#way = null;
    this.isLive = false;
    way?.close();
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    for (const { reject, timer } of questions) {
      clearTimeout(timer);
      reject(new Refusal({ code: "closed" }));
    }
  }
}
