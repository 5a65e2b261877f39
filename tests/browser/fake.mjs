// A small relay that speaks relay.v1 without a WebSocket: by events and requests, or by long polling. For what the page does where a
// WebSocket does not get through. It keeps rooms and logs in memory, and knows just enough of the protocol for that.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../../examples/chat-relay/page/", import.meta.url));
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

export class FakeRelay {
  // What was asked for: the paths, in order.
  asked = [];
  // Answers to GET /sse: "events", "silence" (headers, but no event), or "missing".
  sse = "events";
  #people = new Map();
  #rooms = new Map();
  #streams = new Set();
  #polls = new Set();

  static async start() {
    const relay = new FakeRelay();
    relay.server = http.createServer((request, answer) => relay.#serve(request, answer).catch((error) => answer.destroy(error)));
    await new Promise((resolve) => relay.server.listen(0, "127.0.0.1", resolve));
    relay.url = `http://127.0.0.1:${relay.server.address().port}/`;
    return relay;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  // All streams of events end, with an event that names a code if there is one.
  endStreams(code) {
    for (const stream of this.#streams) {
      if (code) stream.answer.write(`event: close\ndata: ${JSON.stringify({ code, reason: "" })}\n\n`);
      stream.answer.end();
    }
  }

  async #serve(request, answer) {
    const { pathname } = new URL(request.url, this.url);
    this.asked.push(pathname);
    const me = this.#people.get(request.headers.authorization?.slice("Bearer ".length));
    if (request.headers.authorization && !me) return this.#say(answer, 200, [{ id: 0, err: { code: "token", text: "this token is not good" } }]);
    if (pathname === "/post" && request.method === "POST") return this.#post(request, answer, me);
    if (pathname === "/sse" && this.sse !== "missing") return this.#events(request, answer, me);
    if (pathname === "/poll") return this.#poll(request, answer, me);
    if (pathname === "/healthz") return answer.end("alive\n");
    return this.#file(pathname, answer);
  }

  async #file(pathname, answer) {
    const name = pathname.slice(1) || "index.html";
    const body = await readFile(PAGE + name).catch(() => null);
    if (body === null) return answer.writeHead(404).end();
    answer.setHeader("Content-Type", TYPES[name.split(".")[1]]);
    answer.setHeader("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'");
    return answer.end(body);
  }

  #say(answer, status, lines) {
    answer.writeHead(status, { "Content-Type": "application/x-ndjson" }).end(lines.map((it) => `${JSON.stringify(it)}\n`).join(""));
  }

  async #post(request, answer, someone) {
    let text = "";
    for await (const part of request) text += part;
    let me = someone;
    const answers = [];
    for (const { id, ...command } of text.split("\n").filter(Boolean).map((it) => JSON.parse(it))) {
      const [name] = Object.keys(command);
      if (name === "hello" && command.hello.name) {
        const token = `token of ${command.hello.name}`;
        me = { name: command.hello.name, token };
        this.#people.set(token, me);
        answers.push({ id, ok: { ...this.#welcome(me), token } });
      } else {
        const said = me ? this.#command(me, name, command[name]) : { err: { code: "hello_first", text: "say hello first" } };
        if (id !== undefined) answers.push({ id, ...said });
      }
    }
    this.#say(answer, 200, answers);
  }

  #command(me, name, fields) {
    const room = this.#rooms.get(fields.room) ?? (name === "join" ? this.#make(fields.room) : null);
    if (!room && name !== "ping" && name !== "logout") return { err: { code: "not_member", text: "you are not in this room" } };
    switch (name) {
      case "join":
        room.members.set(me.name, { user: me.name, role: "member", online: true, recv: room.log.length, read: room.log.length });
        this.#tell(room, { member: { room: fields.room, ...room.members.get(me.name) } });
        return { ok: { room: fields.room, ...this.#info(room, me), members: [...room.members.values()] } };
      case "members":
        return { ok: { members: [...room.members.values()] } };
      case "send": {
        const before = room.log.find((it) => it.from === me.name && it.cid === fields.cid);
        if (before) return { ok: { seq: before.seq, ts: before.ts, dup: true } };
        const message = { room: fields.room, seq: room.log.length + 1, from: me.name, cid: fields.cid, ts: Date.now(), body: fields.body };
        room.log.push(message);
        this.#tell(room, { msg: message });
        return { ok: { seq: message.seq, ts: message.ts } };
      }
      case "get":
        return { ok: { room: fields.room, first: 1, head: room.log.length, msgs: room.log.slice(fields.from - 1, fields.to) } };
      case "mark": {
        const member = room.members.get(me.name);
        member.read = Math.max(member.read, fields.read ?? 0);
        member.recv = Math.max(member.recv, member.read, fields.recv ?? 0);
        this.#tell(room, { mark: { room: fields.room, user: me.name, recv: member.recv, read: member.read } });
        return { ok: {} };
      }
      case "eph":
        this.#tell(room, { eph: { ...fields, from: me.name } });
        return { ok: {} };
      default:
        return { ok: {} };
    }
  }

  #make(name) {
    const room = { name, log: [], members: new Map() };
    this.#rooms.set(name, room);
    return room;
  }

  #info(room, me) {
    const { recv, read } = room.members.get(me.name);
    return { kind: "open", role: "member", epoch: "e", first: 1, head: room.log.length, recv, read };
  }

  #welcome(me) {
    const mine = [...this.#rooms.values()].filter((it) => it.members.has(me.name));
    return { user: me.name, ping_s: 25, frame_bytes_max: 65_536, rooms: Object.fromEntries(mine.map((it) => [it.name, this.#info(it, me)])) };
  }

  // What the cursors of a request say is missing.
  #missing(request, me) {
    const at = JSON.parse(request.headers["last-event-id"] ?? "{}");
    return Object.entries(at).flatMap(([name, [, last]]) => {
      const room = this.#rooms.get(name);
      if (!room?.members.has(me.name)) return [];
      return [...room.log.slice(last).map((msg) => ({ msg })), { live: { room: name, head: room.log.length } }];
    });
  }

  #events(request, answer, me) {
    answer.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    answer.flushHeaders();
    if (this.sse === "silence") return;
    const stream = { me, answer };
    this.#streams.add(stream);
    answer.on("close", () => this.#streams.delete(stream));
    // In small pieces, as a network may have it.
    const text = [{ id: 0, ok: this.#welcome(me) }, ...this.#missing(request, me)].map((it) => `data: ${JSON.stringify(it)}\n\n`).join("");
    answer.write(text.slice(0, 7));
    setTimeout(() => answer.write(`${text.slice(7)}:\n\n`), 20);
  }

  #poll(request, answer, me) {
    const lines = [{ id: 0, ok: this.#welcome(me) }, ...this.#missing(request, me)];
    if (lines.some((it) => it.msg)) return this.#say(answer, 200, lines);
    const poll = { me, end: (line) => {
      clearTimeout(timer);
      this.#polls.delete(poll);
      this.#say(answer, 200, line ? [...lines, line] : lines);
    } };
    const waitS = Number(new URL(request.url, this.url).searchParams.get("wait_s"));
    const timer = setTimeout(() => poll.end(), waitS * 1000);
    this.#polls.add(poll);
    answer.on("close", () => { clearTimeout(timer); this.#polls.delete(poll); });
  }

  #tell(room, line) {
    for (const { me, answer } of this.#streams) if (room.members.has(me.name)) answer.write(`data: ${JSON.stringify(line)}\n\n`);
    for (const poll of [...this.#polls]) if (room.members.has(poll.me.name)) poll.end(line);
  }
}
