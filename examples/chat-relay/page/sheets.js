// What lies above the page for a moment: a new conversation, the menu, and the question whether one is sure.

import { $, tidy } from "./dom.js";
import { wishes } from "./store.js";

const WAYS = {
  socket: "Over a WebSocket.",
  events: "Over plain requests, with events from the relay: a WebSocket does not get through here.",
  polling: "Over plain requests alone: neither a WebSocket nor a stream of events gets through here. Things come a little later.",
};

export class Sheets {
  #sureYes = () => {};

  constructor(chat) {
    this.chat = chat;
    for (const sheet of document.querySelectorAll("dialog")) {
      sheet.addEventListener("click", ({ target }) => { if (target === sheet || target.closest("[data-close]")) sheet.close(); });
    }
    for (const id of ["new-button", "first-button"]) $(id).addEventListener("click", () => this.openNew());
    $("menu-button").addEventListener("click", () => this.#openMenu());
    $("direct").addEventListener("submit", (event) => { event.preventDefault(); this.#direct(); });
    $("join").addEventListener("submit", (event) => { event.preventDefault(); this.#join(); });
    $("notify").addEventListener("click", () => this.#toggleNotify());
    $("copy-key").addEventListener("click", () => this.#copyKey());
    $("sign-out").addEventListener("click", () => this.#signOut());
    $("sure-no").addEventListener("click", () => $("sure").close());
    $("sure-yes").addEventListener("click", () => { $("sure").close(); this.#sureYes(); });
  }

  openNew(room = "") {
    for (const id of ["direct-problem", "join-problem"]) $(id).textContent = "";
    $("room-name").value = room;
    if (!$("new").open) $("new").showModal();
    $(room ? "room-name" : "person").focus();
  }

  sure(text, yes, then) {
    $("sure-text").textContent = text;
    $("sure-yes").textContent = yes;
    this.#sureYes = then;
    $("sure").showModal();
    $("sure-no").focus();
  }

  #direct() {
    const user = tidy($("person").value);
    if (user !== "") this.#attempt("direct", this.chat.direct(user), ["person"]);
  }

  #join() {
    const name = tidy($("room-name").value).toLowerCase();
    if (name !== "") this.#attempt("join", this.chat.join(name, $("invite-only").checked ? "invite" : "open"), ["room-name"]);
  }

  async #attempt(form, action, fields) {
    $(`${form}-problem`).textContent = "";
    try {
      await action;
      $("new").close();
      for (const field of fields) $(field).value = "";
      $("invite-only").checked = false;
    } catch (refusal) {
      if (refusal.code === undefined) throw refusal;
      $(`${form}-problem`).textContent = refusal.code === "closed" ? "You are not connected. Try again in a moment." : `${refusal.text}.`;
    }
  }

  // ---- The menu

  #openMenu() {
    $("key").value = this.chat.token ?? "";
    $("key").type = "password";
    // Who has a password does not need it.
    $("key").closest(".stack").hidden = this.chat.by === "password";
    $("copy-key").textContent = "Copy";
    $("way").textContent = this.chat.isLive ? WAYS[this.chat.link.kind] : "Not connected just now.";
    this.#showNotify();
    $("menu").showModal();
  }

  #showNotify() {
    const allowed = typeof Notification === "undefined" ? "missing" : Notification.permission;
    const isOn = wishes.notify && allowed === "granted";
    $("notify").hidden = allowed === "denied" || allowed === "missing";
    $("notify").textContent = isOn ? "Turn notifications off" : "Turn notifications on";
    $("notify-note").textContent = {
      missing: "This browser shows none.", denied: "This browser was told not to show any from this page.",
    }[allowed] ?? (isOn ? "Messages that come while you look elsewhere are shown." : "They are off.");
  }

  async #toggleNotify() {
    if (wishes.notify && Notification.permission === "granted") wishes.notify = false;
    else wishes.notify = await Notification.requestPermission() === "granted";
    this.#showNotify();
  }

  async #copyKey() {
    try {
      await navigator.clipboard.writeText($("key").value);
      $("copy-key").textContent = "Copied";
    } catch {
      $("key").type = "text";
      $("key").select();
    }
  }

  #signOut() {
    const { by, isLive, me, rooms } = this.chat;
    const waiting = [...rooms.values()].flatMap(({ pending }) => pending).filter(({ state }) => state !== "sent").length;
    const parts = [
      by === "name" && isLive && `Nobody can come back as ${me} with this key, on any device.`,
      !isLive && "The relay cannot be told just now: the key of this browser stays good, for whoever has a copy of it.",
      waiting > 0 && `${waiting} of your messages ${waiting === 1 ? "is" : "are"} not sent yet, and will be lost.`,
      "Sign out, and forget everything in this browser?",
    ];
    $("menu").close();
    this.sure(parts.filter(Boolean).join(" "), "Sign out", () => this.chat.signOut());
  }
}
