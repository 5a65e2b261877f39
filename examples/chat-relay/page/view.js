// The page as a whole: which screen and which pane is seen, the connection, the title, and what a new message sets off.

import { CLOSED, Chat } from "./chat.js";
import { $, avatar, count } from "./dom.js";
import { List } from "./list.js";
import { People } from "./people.js";
import { UNKNOWN_BODY, textOf } from "./room.js";
import { Sheets } from "./sheets.js";
import { SignIn } from "./signin.js";
import { wishes } from "./store.js";
import { Talk } from "./talk.js";

const NARROW = matchMedia("(max-width: 719.98px)");
const COARSE = matchMedia("(pointer: coarse)");
// A short interruption is not worth a word.
const BANNER_AFTER_MS = 1_500;

export class View {
  #due = false;
  #bannerTimer = 0;
  #tab = Math.random().toString(36).slice(2);

  constructor() {
    this.chat = new Chat(this);
    this.signInScreen = new SignIn(this.chat);
    this.list = new List(this.chat);
    this.talk = new Talk(this.chat, () => this.isWatching());
    this.sheets = new Sheets(this.chat);
    this.people = new People(this.chat, { sure: (...question) => this.sheets.sure(...question) });
    $("back").addEventListener("click", () => this.#back());
    $("skip").addEventListener("click", (event) => { event.preventDefault(); (this.chat.room?.canWrite ? $("text") : $("search")).focus(); });
    $("banner-button").addEventListener("click", () => (this.chat.state.name === "stopped" ? this.chat.link.start() : this.chat.link.hurry()));
    addEventListener("popstate", () => this.#fromAddress());
    addEventListener("keydown", (event) => this.#key(event));
    for (const change of ["focus", "blur", "visibilitychange", "pagehide"]) addEventListener(change, () => this.#attention(), true);
  }

  start() {
    this.#attention();
    return this.chat.start();
  }

  // Whether somebody looks at the open conversation.
  isWatching() {
    const covered = NARROW.matches && document.body.dataset.pane !== "talk";
    return document.visibilityState === "visible" && document.hasFocus() && !covered && document.body.dataset.screen === "app";
  }

  // ---- Called by the chat

  // Something looks different. It is shown with the next frame, however much there is; a page that nobody sees has no frames.
  changed() {
    if (this.#due) return;
    this.#due = true;
    const show = () => { this.#due = false; this.#update(); };
    if (document.hidden) setTimeout(show, 100);
    else requestAnimationFrame(show);
  }

  signIn(refusal, name) {
    document.body.dataset.screen = "welcome";
    for (const sheet of document.querySelectorAll("dialog[open]")) sheet.close();
    document.title = "Tautline";
    this.signInScreen.open(refusal, name);
  }

  entered() {
    if (document.body.dataset.screen === "app") {
      if (this.chat.isLive) this.#openFromAddress();
      return;
    }
    document.body.dataset.screen = "app";
    this.signInScreen.done();
    avatar($("my-avatar"), this.chat.me);
    $("my-name").textContent = this.chat.me;
    this.state();
    if (this.chat.isLive) this.#openFromAddress();
    this.#update();
  }

  state() {
    const { name, detail } = this.chat.state;
    this.signInScreen.state(this.chat.state);
    $("state").dataset.state = name;
    $("state").dataset.way = this.chat.link?.kind ?? "";
    $("state-text").textContent = { live: "Connected", stopped: "Not connected" }[name] ?? "Connecting…";
    clearTimeout(this.#bannerTimer);
    if (name === "live") {
      $("banner").hidden = true;
    } else if (name === "stopped") {
      const [text, button] = {
        [CLOSED.flood]: ["The relay has closed the connection, because too much came from here at once.", "Connect again"],
        [CLOSED.replaced]: ["You are connected in another tab, or on too many devices.", "Use it here"],
      }[detail] ?? ["The relay has closed the connection.", "Connect again"];
      this.#banner(text, button);
    } else {
      const why = detail?.text ? `Not let in yet: ${detail.text}.` : "No connection.";
      const show = () => this.#banner(`${why} What you write is kept, and sent when you are back.`, "Try now");
      if ($("banner").hidden) this.#bannerTimer = setTimeout(show, BANNER_AFTER_MS);
      else show();
    }
  }

  // A conversation was opened, perhaps at a message; or closed.
  moved(room, seq) {
    const wasList = document.body.dataset.pane === "list";
    document.body.dataset.pane = room ? "talk" : "list";
    const address = room ? `#${encodeURIComponent(room.name)}` : location.pathname;
    if (room && wasList && NARROW.matches) history.pushState({ fromList: true }, "", address);
    else history.replaceState(room ? history.state : null, "", address);
    if (room) this.talk.moved(room, seq);
    this.#update();
    if (!room || $("new").open || seq !== undefined) return;
    if (COARSE.matches || !room.canWrite) $("log").focus({ preventScroll: true });
    else $("text").focus({ preventScroll: true });
  }

  // Somebody has written.
  came(room, message) {
    const text = textOf(message) ?? UNKNOWN_BODY;
    if (room === this.chat.room && this.isWatching()) $("announce").textContent = `${message.from}: ${text}`;
    const isSeen = document.visibilityState === "visible" && document.hasFocus();
    if (isSeen || !wishes.notify || wishes.focused || typeof Notification === "undefined" || Notification.permission !== "granted") return;
    const title = room.kind === "direct" ? message.from : `${message.from} in ${room.title}`;
    try {
      const shown = new Notification(title, { body: text.slice(0, 200), tag: room.name, icon: "/favicon.svg" });
      shown.onclick = () => { focus(); shown.close(); this.chat.open(room); };
    } catch {
      // Some phones show them only for pages that are installed.
    }
  }

  // ---- What is seen

  #update() {
    if (document.body.dataset.screen !== "app") return;
    this.talk.update();
    this.list.update();
    this.people.update();
    const unread = [...this.chat.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
    const { room } = this.chat;
    const title = `${unread > 0 ? `(${count(unread)}) ` : ""}${room ? `${room.title} · ` : ""}Tautline`;
    if (document.title !== title) document.title = title;
  }

  #banner(text, button) {
    if ($("banner-text").textContent !== text) $("banner-text").textContent = text;
    $("banner-button").textContent = button;
    $("banner-button").hidden = false;
    $("banner").hidden = false;
  }

  #attention() {
    const isHere = document.visibilityState === "visible" && document.hasFocus();
    if (isHere) wishes.focused = this.#tab;
    else if (wishes.focused === this.#tab) wishes.focused = null;
    // What came is new until one has gone away and come back.
    if (!isHere && this.chat.room && this.chat.room.unread === 0) this.chat.room.newFrom = 0;
    if (isHere) this.talk.seen();
    // The frame that was waited for does not come while nobody sees it, and the title is seen all the same.
    if (document.hidden && this.#due) this.#update();
  }

  // ---- Where one is

  #back() {
    if (history.state?.fromList) return history.back();
    this.#toList();
  }

  #toList() {
    const { room } = this.chat;
    this.people.show(false, false);
    document.body.dataset.pane = "list";
    history.replaceState(null, "", location.pathname);
    this.chat.close();
    if (room) document.querySelector(`[data-room="${CSS.escape(room.name)}"]`)?.focus();
  }

  #fromAddress() {
    const name = roomOfAddress();
    if (!name) return this.#toList();
    document.body.dataset.pane = "talk";
    this.#openFromAddress();
  }

  #openFromAddress() {
    const name = roomOfAddress();
    if (!name || this.chat.room?.name === name) return;
    const room = this.chat.rooms.get(name);
    if (room) return this.chat.open(room);
    history.replaceState(null, "", location.pathname);
    if (!this.chat.room) document.body.dataset.pane = "list";
    if (!name.startsWith("@")) this.sheets.openNew(name);
  }

  #key(event) {
    if (document.querySelector("dialog[open]") || document.body.dataset.screen !== "app") return;
    if (event.key === "Escape") {
      if (this.people.isShown) this.people.show(false);
      else if (this.list.isSearching) this.list.clearSearch();
      else if (NARROW.matches && this.chat.room) this.#back();
    } else if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const rooms = this.list.sorted();
      const at = rooms.indexOf(this.chat.room) + (event.key === "ArrowDown" ? 1 : -1);
      if (rooms.length > 0) this.chat.open(rooms[(at + rooms.length) % rooms.length]);
    }
  }
}

function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    return null;
  }
}
