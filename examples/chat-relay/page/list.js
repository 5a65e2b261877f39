// The conversations, and what a search has found.

import { $, avatar, byName, count, el, fit, fullTime, icon, presence, shortTime, tick } from "./dom.js";
import { UNKNOWN_BODY, textOf } from "./room.js";

const SEARCH_AFTER_MS = 250;

export class List {
  #rows = new Map();
  #searchTimer = 0;
  #search = { text: "", nth: 0, next: undefined, loading: false };

  constructor(chat) {
    this.chat = chat;
    $("search").addEventListener("input", () => {
      clearTimeout(this.#searchTimer);
      this.#searchTimer = setTimeout(() => this.#find(), SEARCH_AFTER_MS);
    });
    $("search").addEventListener("keydown", (event) => this.#searchKey(event));
    $("found").addEventListener("scroll", () => this.#findMoreAtEnd());
    for (const id of ["rooms", "results"]) $(id).addEventListener("keydown", (event) => moveInList(event, $(id)));
  }

  get isSearching() {
    return !$("found").hidden;
  }

  update() {
    const rooms = this.sorted();
    const reached = rooms.includes(this.chat.room) ? this.chat.room : rooms[0];
    this.#rows = fit($("rooms"), rooms.map((room) => this.#row(room, room === reached)), this.#rows);
    $("no-rooms").hidden = rooms.length > 0 || !this.chat.isLive;
  }

  // The one with the newest message first.
  sorted() {
    const at = (room) => Math.max(room.newest?.ts ?? 0, room.pending.at(-1)?.ts ?? 0);
    return [...this.chat.rooms.values()].sort((a, b) => at(b) - at(a) || byName(a.title, b.title));
  }

  #row(room, isReached) {
    const { me } = this.chat;
    const typing = [...room.typing.keys()];
    const waiting = room.pending.at(-1);
    const last = waiting ? { ...waiting, from: me, body: { text: waiting.text } } : room.newest;
    const state = waiting ? { sent: "stored" }[waiting.state] ?? waiting.state : last?.from === me ? room.tick(last.seq, me) : "";
    const preview = typing.length > 0 ? "typing…" : last ? textOf(last) ?? UNKNOWN_BODY : "";
    const speaker = typing.length > 0 ? typing[0] : last?.from;
    const isOnline = room.other?.online === true;
    const isCurrent = room === this.chat.room;
    const time = shortTime(last?.ts);
    const shape = JSON.stringify([room.title, room.kind, preview.slice(0, 120), speaker, state, room.unread, isOnline, isCurrent, time, isReached]);
    return { key: room.name, shape, make: () => {
      const picture = avatar(el("span", { "aria-hidden": "true" }), room.title, room.kind);
      if (isOnline) picture.append(el("i", { class: "dot" }));
      const isMine = speaker === me;
      const who = room.kind !== "direct" && speaker && preview ? [el("bdi", {}, isMine ? "You" : speaker), typing.length > 0 ? " is " : ": "] : [];
      const said = el("span", { class: `preview${typing.length > 0 ? " typing-now" : ""}` }, ...who, el("bdi", {}, preview.slice(0, 120)));
      const row = el("button", {
        type: "button", class: `row${room.unread > 0 ? " unread" : ""}`, "data-room": room.name, tabindex: isReached ? "0" : "-1", "aria-current": isCurrent && "true",
      }, picture,
      el("span", { class: "top" },
        room.kind === "invite" && icon("lock", "kind"), room.kind === "invite" && el("span", { class: "unseen" }, "closed room "),
        el("bdi", { class: "title" }, room.title),
        room.kind === "direct" && el("span", { class: "unseen" }, isOnline ? ", online" : ""),
        time && el("time", { datetime: new Date(last.ts).toISOString(), title: fullTime(last.ts) }, time)),
      el("span", { class: "below" }, typing.length === 0 && state && tick(state), said,
        room.unread > 0 && el("span", { class: "count" }, count(room.unread), el("span", { class: "unseen" }, " unread"))));
      row.addEventListener("click", () => this.chat.open(room));
      return el("li", {}, row);
    } };
  }

  // ---- Search

  clearSearch() {
    $("search").value = "";
    this.#find();
  }

  async #find() {
    const text = $("search").value.trim();
    const nth = this.#search.nth + 1;
    this.#search = { text, nth, next: undefined, loading: false };
    $("list").hidden = text !== "";
    $("found").hidden = text === "";
    if (text === "") return $("results").replaceChildren();
    $("found-note").textContent = "Searching…";
    await this.#page(nth, () => $("results").replaceChildren());
  }

  async #page(nth, before) {
    this.#search.loading = true;
    try {
      const { msgs, next } = await this.chat.search(this.#search.text, this.#search.next);
      if (nth !== this.#search.nth) return;
      before();
      this.#search.next = next;
      $("results").append(...msgs.map((message) => this.#result(message)));
      const found = $("results").childElementCount;
      $("found-note").textContent = found === 0 ? "Nothing found." : next === undefined ? `${found} found` : `The newest ${found}`;
    } catch (refusal) {
      if (nth !== this.#search.nth) return;
      $("found-note").textContent = refusal.code === "closed" ? "Not connected: search again in a moment." : refusal.text;
    } finally {
      if (nth === this.#search.nth) this.#search.loading = false;
    }
    this.#findMoreAtEnd();
  }

  #findMoreAtEnd() {
    const found = $("found");
    const { next, loading, nth } = this.#search;
    if (next === undefined || loading || found.hidden) return;
    if (found.scrollHeight - found.scrollTop - found.clientHeight < 200) this.#page(nth, () => {});
  }

  #result(message) {
    const room = this.chat.rooms.get(message.room);
    const title = room?.title ?? message.room;
    const row = el("button", { type: "button", class: "row", "data-room": message.room, "data-seq": message.seq },
      avatar(el("span", { "aria-hidden": "true" }), title, room?.kind ?? "open"),
      el("span", { class: "top" }, el("bdi", { class: "title" }, title), el("time", { title: fullTime(message.ts) }, shortTime(message.ts))),
      el("span", { class: "below" }, el("span", { class: "preview" },
        el("bdi", {}, message.from === this.chat.me ? "You" : message.from), ": ", el("bdi", {}, ...marked(textOf(message) ?? UNKNOWN_BODY, this.#search.text)))));
    row.addEventListener("click", () => {
      const now = this.chat.rooms.get(message.room);
      if (now) this.chat.lookAt(now, message.seq);
    });
    return el("li", {}, row);
  }

  #searchKey(event) {
    if (event.key === "Escape" && $("search").value !== "") {
      this.clearSearch();
      event.stopPropagation();
    } else if (event.key === "ArrowDown") {
      (this.isSearching ? $("results") : $("rooms")).querySelector("button")?.focus();
      event.preventDefault();
    } else if (event.key === "Enter") {
      clearTimeout(this.#searchTimer);
      this.#find();
    }
  }
}

// The part of a text around the first word that was looked for, with all of them marked.
function marked(text, search) {
  const words = search.split(/\s+/).filter(Boolean).map((it) => it.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp(`(${words.join("|")})`, "giu");
  const first = text.search(pattern);
  const start = first > 40 ? first - 25 : 0;
  const part = (start > 0 ? "…" : "") + text.slice(start, start + 160);
  return part.split(pattern).map((it, n) => (n % 2 === 1 ? el("mark", {}, it) : it)).filter((it) => it !== "");
}

// Arrow keys, Home and End go from button to button.
function moveInList(event, list) {
  const buttons = [...list.querySelectorAll("button.row")];
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  buttons[Math.max(0, Math.min(buttons.length - 1, to))].focus();
}
