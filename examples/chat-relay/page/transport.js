// Three ways to the relay: a WebSocket; events by a streamed answer, with requests beside it; and long polling.
//
// All are used alike: made with `greet` (a function that returns the fields of hello as they are now) and functions
// to call: `line(object)` for what the relay says, first of all the answer to hello, which has id 0, and `end({code, opened})`, once,
// when it is over. (`token(text)` tells of a token that a way had to get before it could listen.) `send(objects)` says lines, `close()` ends it without a word.

const OPEN_WITHIN_MS = 10_000;
// From there to the answer to hello: to check a password takes its time.
const HELLO_WITHIN_MS = 20_000;
// The relay sends a comment every 15 s.
const SILENT_MS_MAX = 40_000;
const POLL_WAIT_S = 25;
const POLL_PAUSE_MS = 250;
const POST_LINES_MAX = 64;
const POST_BYTES_MAX = 60 * 1024;
// What a request ends with where no connection was cut.
export const CODES = { lost: 1006, ended: 1001, missing: 404, slow: 408 };

// What the two have in common that a connection is: it ends once, and nothing is heard after that.
class Way {
  opened = false;
  #over = false;

  constructor(greet, on) {
    this.greet = greet;
    this.on = on;
  }

  get isOver() {
    return this.#over;
  }

  heard(text) {
    for (const line of text.split("\n")) {
      if (this.#over || line === "") continue;
      let said;
      try {
        said = JSON.parse(line);
      } catch {
        continue;
      }
      this.opened = true;
      this.on.line(said);
    }
  }

  end(code) {
    if (this.#over) return;
    this.#over = true;
    this.on.end({ code, opened: this.opened });
  }

  close() {
    this.#over = true;
  }
}

export class Socket extends Way {
  #socket;
  #slow;

  constructor(greet, on) {
    super(greet, on);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const giveUp = () => { this.end(CODES.slow); this.#socket.close(); };
    this.#slow = setTimeout(giveUp, OPEN_WITHIN_MS);
    this.#socket = new WebSocket(`${scheme}//${location.host}/ws`, "relay.v1");
    this.#socket.onopen = () => {
      clearTimeout(this.#slow);
      this.#slow = setTimeout(giveUp, HELLO_WITHIN_MS);
      this.send([{ id: 0, hello: greet() }]);
    };
    this.#socket.onmessage = ({ data }) => { clearTimeout(this.#slow); this.heard(data); };
    this.#socket.onclose = ({ code }) => { clearTimeout(this.#slow); this.end(code); };
  }

  send(lines) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(lines.map((it) => JSON.stringify(it)).join("\n"));
  }

  close() {
    super.close();
    clearTimeout(this.#slow);
    this.#socket.close(1000);
  }
}

// The half that asks: lines go by POST, one request at a time, so that they stay in order.
class Requests extends Way {
  #waiting = [];
  #posting = false;
  #abort = new AbortController();
  token;

  constructor(greet, on) {
    super(greet, on);
    // Not before the whole object is there.
    queueMicrotask(() => this.#begin());
  }

  async #begin() {
    const hello = this.greet();
    this.token = hello.token;
    if (this.token) return this.listen();
    // Without a token: this hello makes one, and another one listens.
    const answers = await this.#post(JSON.stringify({ id: 0, hello: { ...hello, at: undefined, live: false } }));
    const answer = answers?.find(({ id, err }) => id === 0 || (err && id === undefined));
    if (!answer) return this.end(answers ? CODES.lost : this.failed ?? CODES.lost);
    if (answer.err) {
      this.opened = true;
      return this.on.line(answer);
    }
    this.token = answer.ok.token;
    this.on.token(this.token);
    return this.listen();
  }

  send(lines) {
    this.#waiting.push(...lines.map((it) => JSON.stringify(it)));
    this.#say();
  }

  close() {
    super.close();
    this.#abort.abort();
  }

  end(code) {
    super.end(code);
    this.#abort.abort();
  }

  async #say() {
    if (this.#posting) return;
    this.#posting = true;
    while (this.#waiting.length > 0 && !this.isOver) {
      let [count, bytes] = [0, 0];
      while (count < this.#waiting.length && count < POST_LINES_MAX) {
        bytes += 3 * this.#waiting[count].length;
        if (count > 0 && bytes > POST_BYTES_MAX) break;
        count += 1;
      }
      const answers = await this.#post(this.#waiting.slice(0, count).join("\n"));
      if (!answers) break;
      this.#waiting.splice(0, count);
      for (const answer of answers) if (!this.isOver) this.on.line(answer);
    }
    this.#posting = false;
  }

  // The answers' lines; null if there are none to come, and the connection with it.
  async #post(body) {
    while (!this.isOver) {
      const answer = await this.request("POST", "/post", body);
      if (!answer) return null;
      const lines = parseLines(await answer.text().catch(() => ""));
      if (answer.status !== 200) {
        this.refused(answer.status);
        return null;
      }
      // The hello that the request stands for was refused, and with it all the rest.
      const refused = this.token && lines.find(({ id, err }) => id === 0 && err);
      if (!refused) return lines;
      if (!refused.err.retry_ms) {
        this.opened = true;
        this.on.line(refused);
        return null;
      }
      await pause(refused.err.retry_ms);
    }
    return null;
  }

  // A request that was answered with something else than 200.
  refused(status) {
    // Where there is no such way, a POST is not even understood.
    this.failed = status === 404 || status === 405 ? CODES.missing : CODES.lost;
    this.end(this.failed);
  }

  // The answer, or null if the connection is over.
  async request(method, path, body, withinMs = 0) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/x-ndjson";
    else headers["Last-Event-ID"] = ascii(JSON.stringify(this.greet().at ?? {}));
    const timer = withinMs && setTimeout(() => this.end(CODES.slow), withinMs);
    try {
      const answer = await fetch(path, { method, body, headers, signal: this.#abort.signal, cache: "no-store" });
      return this.isOver ? null : answer;
    } catch {
      this.end(CODES.lost);
      return null;
    } finally {
      if (withinMs) clearTimeout(timer);
    }
  }
}

export class Events extends Requests {
  #watch;

  async listen() {
    this.#watch = setTimeout(() => this.end(CODES.slow), OPEN_WITHIN_MS);
    const answer = await this.request("GET", `/sse?device=${encodeURIComponent(this.greet().device)}`);
    if (!answer) return;
    if (answer.status !== 200) return this.refused(answer.status);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.isOver) break;
        if (this.opened) this.#stillThere();
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) this.#event(event);
      }
      this.end(CODES.ended);
    } catch {
      this.end(CODES.lost);
    }
  }

  #stillThere() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.end(CODES.lost), SILENT_MS_MAX);
  }

  #event(event) {
    const fields = event.split("\n").map((it) => it.replace(/\r$/, ""));
    const data = fields.filter((it) => it.startsWith("data:")).map((it) => it.slice(5).trim()).join("\n");
    if (data === "") return;
    this.#stillThere();
    if (!fields.includes("event: close")) return this.heard(data);
    this.opened = true;
    this.end(parseLines(data)[0]?.code ?? CODES.ended);
  }

  close() {
    super.close();
    clearTimeout(this.#watch);
  }

  end(code) {
    clearTimeout(this.#watch);
    super.end(code);
  }
}

export class Polling extends Requests {
  // What the answer's welcome says was so at this time.
  askedAt;

  async listen() {
    while (!this.isOver) {
      const path = `/poll?device=${encodeURIComponent(this.greet().device)}&wait_s=${this.opened ? POLL_WAIT_S : 1}`;
      this.askedAt = Date.now();
      const answer = await this.request("GET", path, undefined, (POLL_WAIT_S + 15) * 1000);
      if (!answer) return;
      const text = await answer.text().catch(() => null);
      if (text === null) return this.end(CODES.lost);
      if (answer.status !== 200) return this.refused(answer.status);
      const lines = parseLines(text);
      const busy = lines.find(({ id, err }) => id === 0 && err?.retry_ms);
      if (!busy) this.heard(text);
      const closed = lines.find((it) => it.close)?.close;
      if (closed) return this.end(closed.code);
      await pause(busy?.err.retry_ms ?? POLL_PAUSE_MS);
    }
  }
}

function parseLines(text) {
  return text.split("\n").flatMap((line) => {
    try {
      return line.trim() === "" ? [] : [JSON.parse(line)];
    } catch {
      return [];
    }
  });
}

// JSON without anything that a header could not carry.
function ascii(json) {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
