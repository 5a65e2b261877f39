// Who is in a conversation, and what its owners may do about it.

import { $, ago, avatar, byName, el, fit, fullTime, icon, presence } from "./dom.js";

const ROLES = { owner: "Owner", member: "Member", reader: "Reader" };
const WIDE = matchMedia("(min-width: 1080px)");

export class People {
  #rows = new Map();
  #room = null;

  constructor(chat, { sure }) {
    this.chat = chat;
    this.sure = sure;
    $("people-button").addEventListener("click", () => this.show($("people").hidden));
    // For a pointer only: the button does the same.
    $("about").addEventListener("click", () => this.show($("people").hidden));
    $("people-close").addEventListener("click", () => this.show(false));
    $("add").addEventListener("submit", (event) => { event.preventDefault(); this.#add(); });
    $("leave").addEventListener("click", () => this.#leave());
    $("more-members").addEventListener("click", () => this.#try(this.chat.loadMembers(this.chat.room, true)));
    WIDE.addEventListener("change", () => this.show(!$("people").hidden, false));
  }

  get isShown() {
    return !$("people").hidden;
  }

  show(shown, focus = true) {
    const before = this.isShown;
    $("people").hidden = !shown;
    $("people-button").setAttribute("aria-expanded", String(shown));
    // Where there is no room beside the conversation it lies above it.
    for (const id of ["side", "talk"]) $(id).inert = shown && !WIDE.matches;
    if (shown) {
      this.update();
      const { room } = this.chat;
      if (room && !room.isGone && !room.knowsMembers) this.#try(this.chat.loadMembers(room));
    }
    if (focus && shown && !before) $("people-close").focus();
    if (focus && !shown && before) $("people-button").focus();
  }

  update() {
    const { room } = this.chat;
    if (!this.isShown) return;
    if (!room) return this.show(false, false);
    if (room !== this.#room) {
      this.#room = room;
      this.#problem("");
      $("add-name").value = "";
    }
    this.#portrait(room);
    const isOwner = room.role === "owner" && room.kind !== "direct" && !room.isGone;
    $("add").hidden = !isOwner;
    $("leave").hidden = room.kind === "direct" || room.isGone;
    const members = room.kind === "direct" ? [] : [...room.members.values()];
    $("members-title").hidden = members.length === 0;
    $("members-title").textContent = room.nextMembers === null ? `${members.length} ${members.length === 1 ? "person" : "people"}` : `The first ${members.length} people`;
    $("more-members").hidden = room.nextMembers === null;
    members.sort((a, b) => Number(b.online) - Number(a.online) || byName(a.user, b.user));
    this.#rows = fit($("members"), members.map((member) => this.#row(room, member, isOwner)), this.#rows);
  }

  #portrait(room) {
    const kinds = { direct: "", open: "Open room: who knows its name may join", invite: "Closed room: its owners let people in" };
    const about = room.kind === "direct" ? presence(room.other) : kinds[room.kind];
    const shape = JSON.stringify([room.title, room.kind, about]);
    if ($("portrait").dataset.shape === shape) return;
    $("portrait").dataset.shape = shape;
    $("portrait").replaceChildren(avatar(el("span", { "aria-hidden": "true" }), room.title, room.kind), el("bdi", { class: "title" }, room.title), el("span", { class: "soft" }, about));
  }

  #row(room, member, isOwner) {
    const { user, role, online, last_seen: seen } = member;
    const isMe = user === this.chat.me;
    const when = online ? "online" : seen ? ago(seen) : "";
    const shape = JSON.stringify([room.name, user, role, when, isOwner]);
    return { key: user, shape, make: () => {
      const picture = avatar(el("span", { "aria-hidden": "true" }), user);
      if (online) picture.append(el("i", { class: "dot" }));
      const name = el("bdi", { class: "name" }, user);
      const state = el("span", { class: "soft", title: !online && seen ? fullTime(seen) : "" }, presence(member));
      const actions = isOwner && !isMe ? this.#ownersActions(room, member) : [el("span", { class: "role" }, isMe ? `you${role === "member" ? "" : `, ${role}`}` : role === "member" ? "" : role)];
      const who = el(isMe ? "span" : "button", { class: "person", type: !isMe && "button", title: isMe ? "" : "Write to this person" }, picture, el("span", { class: "who" }, name, state));
      if (!isMe) who.addEventListener("click", () => this.#try(this.chat.direct(user).then(() => { if (!WIDE.matches) this.show(false, false); })));
      return el("li", { "data-user": user, class: online ? "online" : "" }, who, ...actions);
    } };
  }

  #ownersActions(room, { user, role }) {
    const choice = el("select", { "aria-label": `Role of ${user}` },
      ...Object.entries(ROLES).map(([value, text]) => el("option", { value, selected: value === role }, text)));
    choice.addEventListener("change", () => this.#try(this.chat.grant(room, user, choice.value), () => { choice.value = role; }));
    const remove = el("button", { type: "button", class: "icon small", "aria-label": `Remove ${user}`, title: "Remove" }, icon("close"));
    remove.addEventListener("click", () => this.sure(`Remove ${user} from ${room.title}?`, "Remove", () => this.#try(this.chat.grant(room, user, "none"))));
    return [choice, remove];
  }

  #add() {
    const { room } = this.chat;
    const user = $("add-name").value.trim();
    if (user === "") return;
    this.#try(this.chat.grant(room, user, "member").then(() => { $("add-name").value = ""; }));
  }

  #leave() {
    const { room } = this.chat;
    this.sure(`Leave ${room.title}?`, "Leave", () => this.#try(this.chat.leave(room)));
  }

  async #try(action, undo = () => {}) {
    this.#problem("");
    try {
      await action;
    } catch (refusal) {
      if (refusal.code === undefined) throw refusal;
      undo();
      this.#problem(refusal.code === "closed" ? "You are not connected. Try again in a moment." : refusal.text);
    }
  }

  #problem(text) {
    $("people-problem").textContent = text;
  }
}
