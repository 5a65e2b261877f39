// The open conversation: its messages, what waits to be sent, and the field to write in.

import { $, avatar, button, byName, clock, count, day, el, fit, fullTime, hue, presence, tick, withLinks } from "./dom.js";
import { KEPT_MAX, UNKNOWN_BODY, textOf } from "./room.js";
import { drafts } from "./store.js";

const FOLLOWS_MS = 5 * 60_000;
const NEAR_PX = 60;
const LOAD_PX = 500;

export class Talk {
  #room = null;
  #nodes = new Map();
  #pendingNodes = new Map();
  // Where to go as soon as there is something to see: {seq} or {} for where one has read to.
  #place = null;
  // Whether the end is to stay in view.
  #stuck = true;

  // isWatching(): whether somebody looks at the page.
  constructor(chat, isWatching) {
    this.chat = chat;
    this.isWatching = isWatching;
    $("log").addEventListener("scroll", () => this.#scrolled());
    $("down").addEventListener("click", () => this.toNewest());
    $("composer").addEventListener("submit", (event) => { event.preventDefault(); this.#write(); });
    $("text").addEventListener("input", () => this.#typed());
    $("text").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#write();
    });
    new ResizeObserver(() => { if (this.#stuck && !this.#place) this.#toEnd(); }).observe($("log"));
  }

  // A conversation was opened, perhaps at a message.
  moved(room, seq) {
    if (room !== this.#room) {
      $("text").value = drafts.load(this.chat.me, room.name);
      $("text-problem").textContent = "";
      this.#fitText();
    }
    this.#place = room ? { seq } : null;
  }

  toNewest() {
    this.chat.room?.backToTail();
    this.#stuck = true;
    this.#place = null;
    this.update();
    this.#toEnd();
    $("text").focus({ preventScroll: true });
  }

  update() {
    const { room } = this.chat;
    $("empty").hidden = room !== null;
    for (const part of document.querySelectorAll("#talk > :not(#empty)")) if (!["typing", "cannot", "composer"].includes(part.id)) part.hidden = !room;
    if (room !== this.#room) this.#clear();
    this.#room = room;
    $("composer").hidden = !room?.canWrite;
    $("cannot").hidden = !room || room.canWrite;
    this.#typing(room);
    if (!room) return;
    $("cannot").textContent = room.isGone ? "You are not in this conversation any more." : "You may read here, but not write.";
    this.#heading(room);
    this.#render(room);
  }

  #clear() {
    for (const id of ["messages", "pending"]) $(id).replaceChildren();
    this.#nodes = new Map();
    this.#pendingNodes = new Map();
    this.#stuck = true;
  }

  #heading(room) {
    const shape = `${room.kind} ${room.title}`;
    if ($("talk-avatar").dataset.shape !== shape) {
      avatar($("talk-avatar"), room.title, room.kind).dataset.shape = shape;
      $("title").textContent = room.title;
    }
    const members = [...room.members.values()];
    const here = members.filter((it) => it.online).length;
    const people = `${members.length}${room.nextMembers === null ? "" : "+"} ${members.length === 1 ? "person" : "people"}, ${here} online`;
    const text = room.kind === "direct" ? presence(room.other) : members.length > 0 ? people : "";
    if ($("subtitle").textContent !== text) $("subtitle").textContent = text;
  }

  #typing(room) {
    const who = room ? [...room.typing.keys()].sort(byName) : [];
    $("typing").hidden = who.length === 0;
    // Each name by itself: one that is written from right to left must not turn the others.
    const names = new Intl.ListFormat("en").formatToParts(who)
      .map(({ type, value }) => (type === "element" ? el("bdi", {}, value) : value));
    const said = who.length > 3 ? ["Several people are"] : [...names, who.length > 1 ? " are" : " is"];
    $("typing-text").replaceChildren(...(who.length === 0 ? [] : [...said, " typing…"]));
  }

  // ---- Messages

  #render(room) {
    // Who reads at the end does not need what is far above it.
    if (this.#stuck && !this.#place && room.tail.length > KEPT_MAX + 100) room.trim();
    const anchor = this.#stuck || this.#place ? null : this.#anchor();
    this.#nodes = fit($("messages"), this.#items(room), this.#nodes);
    const pending = room.around ? [] : room.pending;
    this.#pendingNodes = fit($("pending"), pending.map((it) => this.#pendingItem(room, it)), this.#pendingNodes);
    $("pending").hidden = pending.length === 0;
    this.#topNote(room);
    if (this.#place) this.#goToPlace(room);
    else if (this.#stuck && !room.around) this.#toEnd();
    else if (anchor) this.#keep(anchor);
    this.#afterScroll();
  }

  #items(room) {
    const items = [];
    let [before, newFrom] = [null, room.newFrom];
    const least = room.least(this.chat.me);
    for (const message of room.shown) {
      message.day ??= new Date(message.ts).toDateString();
      const isNewDay = message.day !== before?.day;
      if (isNewDay) items.push({ key: `day before ${message.seq}`, shape: day(message.ts), make: () => divider("day", day(message.ts)) });
      // One's own messages are no news.
      const isNew = newFrom > 0 && message.seq >= newFrom && message.from !== this.chat.me;
      if (isNew) newFrom = 0;
      if (isNew) items.push({ key: "new", shape: "", make: () => divider("new", "New messages") });
      const follows = !isNewDay && !isNew && before.from === message.from && message.ts - before.ts < FOLLOWS_MS;
      items.push(this.#item(room, message, follows, least));
      before = message;
    }
    return items;
  }

  #item(room, message, follows, least) {
    const isMine = message.from === this.chat.me;
    const state = isMine ? room.tick(message.seq, this.chat.me, least) : "";
    return { key: message.seq, shape: `${follows} ${state}`, make: () => {
      const isGroup = room.kind !== "direct" && !isMine;
      const text = textOf(message);
      const name = el("bdi", { class: `from hue-${hue(message.from)}${follows || !isGroup ? " unseen" : ""}` }, isMine ? "You" : message.from);
      const item = el("li", { class: `message${isMine ? " mine" : ""}${follows ? " follows" : ""}`, "data-seq": message.seq },
        isGroup && (follows ? el("span", { class: "avatar gap", "aria-hidden": "true" }) : avatar(el("span", { "aria-hidden": "true" }), message.from)),
        el("div", { class: "bubble" }, name, paragraph(text ?? UNKNOWN_BODY, text === null, this.#time(message.ts), isMine && tick(state))));
      return item;
    } };
  }

  #time(ts) {
    return el("time", { datetime: new Date(ts).toISOString(), title: fullTime(ts) }, clock(ts));
  }

  #pendingItem(room, message) {
    const { state, why = "" } = message;
    return { key: message.cid, shape: `${state} ${why}`, make: () => {
      const shown = state === "sent" ? "stored" : state;
      const bubble = el("div", { class: "bubble" }, el("bdi", { class: "unseen" }, "You"), paragraph(message.text, false, this.#time(message.ts), tick(shown)));
      if (why) bubble.append(el("p", { class: "why" }, state === "failed" ? `Not sent: ${why}.` : `${why}. It is sent later.`));
      if (state === "failed") bubble.append(this.#choices(room, message));
      return el("li", { class: `message mine ${state}`, "data-cid": message.cid }, bubble);
    } };
  }

  #choices(room, message) {
    const edit = () => {
      this.chat.discard(room, message);
      // What is half written stays, behind it.
      $("text").value = [message.text, $("text").value].filter(Boolean).join("\n");
      this.#typed();
      $("text").focus();
    };
    return el("span", { class: "choices" },
      room.canWrite && button("Try again", () => this.chat.outbox.retry(room, message)),
      room.canWrite && button("Edit", edit),
      button("Delete", () => this.chat.discard(room, message)));
  }

  #topNote(room) {
    let text = "";
    if (room.isLoading) text = "Loading…";
    else if (room.shown.length === 0 && room.head >= room.first && room.head > 0) text = this.chat.isLive ? "Loading…" : "";
    else if (!room.isAtBeginning) text = "";
    else if (room.first > 1) text = "What was said before is no longer kept.";
    else text = room.kind === "direct" ? `This is the beginning of your conversation with ${room.title}.` : `This is the beginning of ${room.title}.`;
    if ($("top-note").textContent !== text) $("top-note").textContent = text;
  }

  // ---- Scrolling

  // The first message in sight and where it is, so that it stays there whatever comes above it.
  #anchor() {
    const log = $("log");
    for (const node of $("messages").children) {
      if (!node.dataset.seq || node.offsetTop + node.offsetHeight <= log.scrollTop) continue;
      return { seq: Number(node.dataset.seq), below: node.offsetTop - log.scrollTop };
    }
    return null;
  }

  #keep({ seq, below }) {
    const node = this.#nodes.get(seq)?.node;
    if (node) $("log").scrollTop = node.offsetTop - below;
  }

  #goToPlace(room) {
    const { seq } = this.#place;
    if (room.shown.length === 0 && room.head >= room.first && room.head > 0 && !room.isGone) return;
    const node = this.#nodes.get(seq ?? "new")?.node;
    if (seq !== undefined && !node) return;
    this.#place = null;
    if (!node) {
      this.#toEnd();
      return;
    }
    const log = $("log");
    log.scrollTop = Math.max(0, node.offsetTop - log.clientHeight / (seq === undefined ? 5 : 2.5));
    this.#stuck = this.#isAtEnd() && !room.around;
    if (seq === undefined) return;
    node.classList.add("flash");
    node.tabIndex = -1;
    node.focus({ preventScroll: true });
    node.addEventListener("animationend", () => node.classList.remove("flash"), { once: true });
  }

  #isAtEnd() {
    const log = $("log");
    return log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_PX;
  }

  #toEnd() {
    this.#stuck = true;
    $("log").scrollTop = $("log").scrollHeight;
  }

  #scrolled() {
    const { room } = this.chat;
    if (!room || this.#place || room !== this.#room) return;
    this.#stuck = this.#isAtEnd() && !room.around;
    this.#afterScroll();
  }

  #afterScroll() {
    const { room } = this.chat;
    if (this.#place) return;
    const log = $("log");
    $("down").hidden = this.#stuck;
    const text = room.unread > 0 ? `${count(room.unread)} new` : "Newest";
    if ($("down-text").textContent !== text) $("down-text").textContent = text;
    if (log.scrollTop < LOAD_PX) this.chat.loadOlder(room);
    if (room.around && log.scrollHeight - log.scrollTop - log.clientHeight < LOAD_PX) this.chat.loadNewer(room);
    this.seen();
  }

  // What is in sight was read, if somebody is looking.
  seen() {
    const { room } = this.chat;
    if (!room || this.#place || room !== this.#room || !this.isWatching()) return;
    const log = $("log");
    const end = log.scrollTop + log.clientHeight;
    const nodes = $("messages").children;
    for (let n = nodes.length - 1; n >= 0; n -= 1) {
      if (!nodes[n].dataset.seq || (!this.#stuck && nodes[n].offsetTop + 12 > end)) continue;
      if (this.chat.marks.seen(room, Number(nodes[n].dataset.seq))) this.chat.view.changed();
      return;
    }
  }

  // ---- Writing

  #typed() {
    $("text-problem").textContent = "";
    this.#fitText();
    if (this.chat.room) this.chat.typed($("text").value);
  }

  #write() {
    const text = $("text").value.trim();
    if (text === "" || !this.chat.room?.canWrite) return;
    this.#stuck = true;
    this.#place = null;
    $("text").value = "";
    this.chat.typed("");
    this.chat.write(text);
    $("text-problem").textContent = this.chat.outbox.keeps ? "" : "This browser cannot keep what you write: leave this page open until it is sent.";
    this.#fitText();
  }

  // For browsers that cannot do it by style.
  #fitText() {
    if (CSS.supports("field-sizing", "content")) return;
    $("text").style.height = "auto";
    $("text").style.height = `${$("text").scrollHeight}px`;
  }
}

function divider(kind, text) {
  return el("li", { class: `divider ${kind}`, role: "separator", "aria-label": text }, el("span", {}, text));
}

// A message's text, with its time in the last line or below it.
function paragraph(text, isUnknown, ...meta) {
  return el("p", { dir: "auto" }, el("span", { class: `body${isUnknown ? " unknown" : ""}` }, ...withLinks(text)), el("span", { class: "meta" }, ...meta));
}
