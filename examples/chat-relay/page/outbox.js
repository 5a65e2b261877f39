// What was written and is not stored by the relay yet. In each conversation one message is under way at a time, so that they stay in
// order; each keeps its `cid`, so that it arrives once.

import { queue, randomId } from "./store.js";

const STORAGE_RETRY_MS = { first: 3_000, last: 60_000 };
const RETRY_MS = 1_500;
// A line that is longer would not be answered, but end the connection. Short of that the relay decides.
const BODY_BYTES_MAX = 15 * 1024;

export class Outbox {
  #lastNth = 0;
  #sending = new Set();
  #storageFailures = 0;
  // Whether what is written outlives the page.
  keeps = true;

  // changed(room): something looks different.
  constructor(chat, changed) {
    this.chat = chat;
    this.changed = changed;
    queue.onDrop((cid) => this.#droppedElsewhere(cid));
  }

  // What this browser has kept, also what a tab has left behind that is closed.
  restore() {
    for (const { failed, ...message } of queue.of(this.chat.me)) {
      const room = this.chat.roomOrRemains(message.room);
      if (room.pending.some((it) => it.cid === message.cid)) continue;
      room.pending.push({ ...message, state: failed ? "failed" : "waiting", why: failed });
      this.changed(room);
    }
  }

  write(room, text) {
    this.#lastNth += 1;
    const message = { cid: randomId(), user: this.chat.me, room: room.name, text, ts: Date.now(), nth: this.#lastNth };
    this.keeps = queue.put(message);
    room.pending.push({ ...message, state: "waiting" });
    this.changed(room);
    this.send(room);
  }

  retry(room, message) {
    message.state = "waiting";
    message.why = "";
    this.#put(message);
    this.changed(room);
    this.send(room);
  }

  discard(room, message) {
    room.pending = room.pending.filter((it) => it !== message);
    queue.drop(message.cid);
    this.changed(room);
  }

  // A message of one's own has come back.
  arrived(room, { cid }) {
    if (!room.pending.some((it) => it.cid === cid)) return;
    room.pending = room.pending.filter((it) => it.cid !== cid);
    queue.drop(cid);
  }

  sendAll() {
    for (const room of this.chat.rooms.values()) this.send(room);
  }

  // Sends what waits in a room, one after another, for as long as there is a connection.
  async send(room) {
    if (this.#sending.has(room)) return;
    this.#sending.add(room);
    try {
      for (;;) {
        const message = room.pending.find((it) => it.state === "waiting");
        if (!message || !this.chat.isLive || room.isGone) break;
        const waitMs = await this.#sendOne(room, message);
        if (waitMs) await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    } finally {
      this.#sending.delete(room);
    }
  }

  // Milliseconds after which to go on.
  async #sendOne(room, message) {
    const { cid, text } = message;
    if (new TextEncoder().encode(JSON.stringify({ text })).length > BODY_BYTES_MAX) {
      this.#fail(room, message, "it is too long");
      return 0;
    }
    try {
      const { seq } = await this.chat.link.ask({ send: { room: room.name, cid, body: { text } } });
      this.#storageFailures = 0;
      queue.drop(cid);
      message.state = "sent";
      message.seq = seq;
      // Otherwise it stays in its place until it comes back.
      if (seq <= room.last) this.arrived(room, message);
      this.changed(room);
      return 0;
    } catch (refusal) {
      if (refusal.code === "closed") return 0;
      if (refusal.code === "storage") {
        message.why = "The relay cannot store messages just now";
        this.changed(room);
        this.#storageFailures += 1;
        const wait = STORAGE_RETRY_MS.first * 2 ** (this.#storageFailures - 1);
        return refusal.retryMs ?? Math.min(STORAGE_RETRY_MS.last, wait);
      }
      if (refusal.isTemporary) return (refusal.retryMs ?? RETRY_MS) + 20;
      this.#fail(room, message, reason(refusal));
      return 0;
    }
  }

  // The room is gone: what waits there, nobody can send.
  failAll(room, why) {
    for (const message of room.pending) if (message.state === "waiting") this.#fail(room, message, why);
  }

  #fail(room, message, why) {
    message.state = "failed";
    message.why = why;
    this.#put(message);
    this.changed(room);
  }

  #put({ state, why, seq, ...message }) {
    this.keeps = queue.put(state === "failed" ? { ...message, failed: why } : message);
  }

  #droppedElsewhere(cid) {
    for (const room of this.chat.rooms.values()) {
      const message = room.pending.find((it) => it.cid === cid && it.state !== "sent");
      if (!message) continue;
      room.pending = room.pending.filter((it) => it !== message);
      this.changed(room);
    }
  }
}

function reason({ code, text }) {
  switch (code) {
    case "too_long": return "it is too long";
    case "not_member": return "you are not in this conversation any more";
    case "forbidden": return "you may only read here";
    default: return text || code;
  }
}
