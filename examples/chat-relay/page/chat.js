// What happens: the person, the conversations, and what the relay says about them. Knows no element; it tells `view` when something
// looks different.

import { Link, Refusal } from "./link.js";
import { Marks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { Room } from "./room.js";
import { deviceOfTab, drafts, session } from "./store.js";

const PAGE_MESSAGES = 50;
const TYPING = { ttl_s: 6, again_ms: 4_000 };
const MEMBERS_AGAIN_MS = 1_000;
const MEMBERS_OLD_MS = 20_000;
// A message that comes later than this after it was written is no news.
const NEWS_MS = 60_000;

export const CLOSED = { flood: 4500, replaced: 4501, signedOut: 4502, expired: 4503 };

export class Chat {
  me = "";
  // How one came in: "name", "password" or "token".
  by = "";
  rooms = new Map();
  room = null;
  // connecting, waiting (perhaps because hello was refused), live, stopped (close code)
  state = { name: "connecting" };
  // When one came into a room, or out of it.
  #changedAt = new Map();
  #credential = {};
  #device = "";
  #typedAt = 0;
  #warming = false;
  // Whose conversations this page has shown.
  #shownTo = "";

  // view: changed(), signIn(refusal), entered(), state(), came(room, message), moved(room, seq)
  constructor(view) {
    this.view = view;
    this.outbox = new Outbox(this, () => view.changed());
    this.marks = new Marks(this);
    this.link = new Link(() => this.#greeting(), {
      welcome: (ok, isFirst, asOf) => this.#welcome(ok, isFirst, asOf),
      refused: (refusal) => this.#refused(refusal),
      token: (token) => { this.#credential = { token }; },
      line: (line) => this.#line(line),
      state: (name, detail) => this.#state(name, detail),
    });
    session.onChange((now) => { if (this.me && now?.token !== this.#credential.token) location.reload(); });
    setInterval(() => this.#expireTyping(), 1_000);
  }

  get isLive() {
    return this.link.isLive;
  }

  get token() {
    return this.#credential.token;
  }

  // ---- Who one is

  async start() {
    this.#device = await deviceOfTab();
    const kept = session.load();
    if (!kept?.token) return this.view.signIn(null, kept?.user);
    this.me = kept.user;
    this.by = kept.by;
    this.#credential = { token: kept.token };
    this.view.entered();
    this.link.start();
  }

  // fields: {name}, {name, password}, {name, password, register, invitation} or {token}.
  enter(fields) {
    this.#credential = fields;
    this.by = fields.token ? "token" : fields.password ? "password" : "name";
    this.link.start();
  }

  // Gives the token back, where the relay can be reached, and forgets everything.
  async signOut() {
    const { token } = this.#credential;
    const over = this.link.ask({ logout: { token } }).catch(() => {});
    await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 2_000))]);
    this.#forget();
    location.reload();
  }

  #forget() {
    this.link.stop();
    this.#credential = {};
    session.forget();
    history.replaceState(null, "", location.pathname);
  }

  #greeting() {
    const at = Object.fromEntries([...this.rooms.values()]
      .filter(({ isGone }) => !isGone).map(({ name, epoch, last }) => [name, [epoch, last]]));
    return { v: 1, ...this.#credential, device: this.#device, at };
  }

  #state(name, detail) {
    this.state = { name, detail };
    this.view.state();
    if (name === "stopped" && detail === CLOSED.signedOut) this.#refused(new Refusal({ code: "signed_out" }));
    if (name === "stopped" && detail === CLOSED.expired) this.#refused(new Refusal({ code: "expired" }));
  }

  #refused(refusal) {
    const name = this.me;
    if (["token", "signed_out", "expired"].includes(refusal.code) && name !== "") {
      // What waits to be sent stays: the same person may come in again.
      session.save({ user: name });
      this.me = "";
      this.rooms.clear();
      this.room = null;
    }
    this.view.signIn(refusal, name);
  }

  // `asOf`: when the rooms were these. An answer of long polling begins with a welcome, which may be older than what one has
  // done meanwhile.
  #welcome({ user, token, rooms }, isFirst, asOf) {
    const isNews = (name) => (this.#changedAt.get(name) ?? 0) <= asOf;
    if (token) this.#credential = { token };
    const enters = session.load()?.token !== this.#credential.token;
    if (enters) session.save({ user, token: this.#credential.token, by: this.by });
    // Nothing of what another person has seen here is left.
    if (this.#shownTo !== "" && this.#shownTo !== user) {
      history.replaceState(null, "", location.pathname);
      return location.reload();
    }
    this.#shownTo = user;
    this.me = user;
    for (const [name, info] of Object.entries(rooms)) {
      const room = this.rooms.get(name);
      if (room && !room.isGone) {
        room.take(info);
        if (isFirst || Date.now() - (room.membersAskedAt ?? 0) > MEMBERS_OLD_MS) room.knowsMembers = false;
      } else if (isNews(name)) {
        this.#add(name, info);
      } else {
        continue;
      }
      this.marks.compare(this.rooms.get(name), info);
    }
    this.outbox.restore();
    for (const room of this.rooms.values()) {
      if (!Object.hasOwn(rooms, room.name) && isNews(room.name)) this.#gone(room);
    }
    this.outbox.sendAll();
    this.view.entered();
    if (this.room) this.#refresh(this.room);
    this.#warmUp();
    this.view.changed();
  }

  // ---- Conversations

  async join(name, access) {
    const known = this.rooms.get(name);
    if (known && !known.isGone) return this.open(known);
    this.open(this.#joined(await this.link.ask({ join: access === "invite" ? { room: name, access } : { room: name } })));
  }

  async direct(user) {
    this.open(this.#joined(await this.link.ask({ direct: { user } })));
  }

  async leave(room) {
    await this.link.ask({ leave: { room: room.name } });
    this.#gone(room);
  }

  async grant(room, user, role) {
    await this.link.ask({ grant: { room: room.name, user, role } });
  }

  // Perhaps at a message, which is looked for then.
  open(room, seq) {
    if (this.room && this.room !== room) {
      this.room.newFrom = 0;
      this.room.backToTail();
      this.room.trim();
    }
    if (this.room !== room) room.newFrom = room.unread > 0 && room.head > 0 ? room.read + 1 : 0;
    this.room = room;
    this.view.moved(room, seq);
    this.#refresh(room);
  }

  close() {
    if (this.room) this.room.newFrom = 0;
    this.room = null;
    this.view.changed();
  }

  // The room, or a place to show what can no longer be sent to it.
  roomOrRemains(name) {
    const known = this.rooms.get(name);
    if (known) return known;
    const info = { kind: name.startsWith("@") ? "direct" : "open", role: "none", epoch: "", first: 1, head: 0, recv: 0, read: 0 };
    const room = Object.assign(new Room(name, info), { isGone: true });
    this.rooms.set(name, room);
    return room;
  }

  discard(room, message) {
    this.outbox.discard(room, message);
    if (room.isGone) this.#gone(room);
  }

  #add(name, info) {
    const before = this.rooms.get(name);
    const room = new Room(name, info);
    room.pending = (before?.pending ?? []).map((it) => ({ ...it }));
    this.rooms.set(name, room);
    this.#changedAt.set(name, Date.now());
    if (this.room === before && before) this.room = room;
    return room;
  }

  #joined({ room: name, members, next, ...info }) {
    const known = this.rooms.get(name);
    const room = known && !known.isGone ? known : this.#add(name, info);
    room.take(info);
    room.takeMembers({ members, next }, true, this.me);
    this.#warmUp();
    return room;
  }

  #gone(room) {
    room.isGone = true;
    this.#changedAt.set(room.name, Date.now());
    this.outbox.failAll(room, "you are not in this conversation any more");
    if (room.pending.length === 0) {
      this.rooms.delete(room.name);
      drafts.save(this.me, room.name, "");
      if (this.room === room) {
        this.room = null;
        this.view.moved(null);
      }
    }
    this.view.changed();
  }

  // What the open conversation needs.
  async #refresh(room) {
    if (room.isGone || !this.isLive) return;
    await this.#quietly(async () => {
      await this.#loadTail(room);
      if (!room.knowsMembers) await this.loadMembers(room);
    });
  }

  // The last message of every conversation, and who the other one is: one after another, the open one first.
  async #warmUp() {
    if (this.#warming) return;
    this.#warming = true;
    await this.#quietly(async () => {
      for (;;) {
        const cold = [...this.rooms.values()].find((it) => !it.isGone
          && ((it.newest === null && it.head >= it.first && it.head > 0) || (it.kind === "direct" && !it.knowsMembers)));
        if (!cold || !this.isLive) break;
        if (cold.newest === null && cold.head >= cold.first) {
          const [message] = await this.#range(cold, cold.head, cold.head);
          cold.newest ??= message ?? { seq: cold.head, ts: 0, from: "", body: { text: "" } };
          this.marks.received(cold);
        }
        if (cold.kind === "direct" && !cold.knowsMembers) await this.loadMembers(cold);
        this.view.changed();
      }
    });
    this.#warming = false;
  }

  // What fails because the connection ended is done again after the next hello.
  async #quietly(action) {
    try {
      await action();
    } catch (refusal) {
      if (refusal.code === undefined) throw refusal;
    }
  }

  async loadMembers(room, more = false) {
    room.membersAskedAt = Date.now();
    const after = more ? room.nextMembers ?? 0 : 0;
    const answer = await this.link.askUntilAnswered({ members: { room: room.name, after } });
    room.takeMembers(answer, !more, this.me);
    this.view.changed();
  }

  // ---- The log

  // All messages of a range, in as many answers as it takes.
  async #range(room, from, to) {
    const found = [];
    for (let next = Math.max(from, room.first); next <= to;) {
      const { first, msgs } = await this.link.askUntilAnswered({ get: { room: room.name, from: next, to } });
      room.first = Math.max(room.first, first);
      if (msgs.length === 0) break;
      found.push(...msgs);
      next = msgs.at(-1).seq + 1;
    }
    return found;
  }

  async #loadTail(room) {
    if (room.tail.length > 0 || room.last < room.first || room.last === 0) return;
    await this.#load(room, async () => {
      const { last } = room;
      const messages = await this.#range(room, last - PAGE_MESSAGES + 1, last);
      if (room.tail.length === 0 || room.tail[0].seq > last) room.prepend(messages);
      this.marks.received(room);
    });
  }

  loadOlder(room) {
    if (room.isAtBeginning || room.shown.length === 0) return;
    return this.#load(room, async () => {
      const { shown } = room;
      const messages = await this.#range(room, shown[0].seq - PAGE_MESSAGES, shown[0].seq - 1);
      if (shown !== room.shown) return;
      if (messages.length === 0) room.first = shown[0].seq;
      room.prepend(messages);
    });
  }

  loadNewer(room) {
    if (!room.around) return;
    return this.#load(room, async () => {
      const from = room.around.at(-1).seq + 1;
      const messages = await this.#range(room, from, Math.min(room.head, from + PAGE_MESSAGES));
      if (messages.length === 0) room.backToTail();
      else room.append(messages);
    });
  }

  // Opens a conversation at a message.
  async lookAt(room, seq) {
    this.open(room, seq);
    if (!room.has(seq)) {
      await this.#quietly(async () => {
        const half = PAGE_MESSAGES / 2;
        room.lookAround(await this.#range(room, seq - half, Math.min(room.head, seq + half)));
      });
    }
    // Where it could not be had, one looks at what there is.
    this.view.moved(room, room.has(seq) ? seq : undefined);
  }

  // One at a time for each room.
  async #load(room, action) {
    if (room.isLoading || !this.isLive) return;
    room.isLoading = true;
    try {
      await this.#quietly(action);
    } finally {
      room.isLoading = false;
      this.view.changed();
    }
  }

  async #fill(room) {
    if (room.isFilling) return;
    room.isFilling = true;
    await this.#quietly(async () => {
      for (let gap = room.gap(); gap; gap = room.gap()) {
        const { first, msgs } = await this.link.askUntilAnswered({ get: { room: room.name, from: gap[0], to: gap[1] } });
        room.first = Math.max(room.first, first);
        const next = msgs[0]?.seq ?? gap[1] + 1;
        if (next > room.last + 1) room.skipTo(next - 1);
        for (const message of msgs) this.#message(room, message);
      }
    });
    room.isFilling = false;
    this.view.changed();
  }

  #message(room, message) {
    const how = room.apply(message);
    if (how === "gap") this.#fill(room);
    if (how !== "new") return;
    room.typing.delete(message.from);
    if (message.from === this.me) {
      this.outbox.arrived(room, message);
      // One's own message is not unread.
      if (room.read === message.seq - 1) this.marks.seen(room, message.seq);
    } else {
      if (room === this.room && room.newFrom === 0 && !this.view.isWatching()) room.newFrom = message.seq;
      if (Date.now() - message.ts < NEWS_MS) this.view.came(room, message);
    }
    if (room !== this.room) room.trim();
    this.marks.received(room);
    this.view.changed();
  }

  search(text, before) {
    return this.link.askUntilAnswered({ search: before === undefined ? { text } : { text, before } });
  }

  // ---- Writing

  write(text) {
    const { room } = this;
    room.newFrom = 0;
    room.backToTail();
    this.outbox.write(room, text);
    this.#typedAt = 0;
  }

  typed(text) {
    const { room } = this;
    drafts.save(this.me, room.name, text);
    if (text === "" && this.#typedAt) this.#sayTyping(room, 0);
    else if (text !== "" && Date.now() - this.#typedAt > TYPING.again_ms) this.#sayTyping(room, TYPING.ttl_s);
  }

  #sayTyping(room, ttl_s) {
    this.#typedAt = ttl_s > 0 ? Date.now() : 0;
    if (room.canWrite) this.link.tell({ eph: { room: room.name, kind: "typing", ttl_s } });
  }

  #expireTyping() {
    const ended = [...this.rooms.values()].filter((room) => room.expireTyping(Date.now()));
    if (ended.length > 0) this.view.changed();
  }

  // ---- What the relay says

  #line(line) {
    const [name] = Object.keys(line);
    const event = line[name];
    const room = this.rooms.get(event?.room);
    if (name === "added") {
      if (!room || room.isGone) this.#add(event.room, event);
      this.#warmUp();
    } else if (room && !room.isGone) {
      this.#event(name, room, event);
    }
    this.view.changed();
  }

  #event(name, room, event) {
    switch (name) {
      case "msg":
        return this.#message(room, event);
      case "live":
        room.head = Math.max(room.head, event.head);
        if (room.last < room.head) this.#fill(room);
        return this.#askMembersAgain(room);
      case "reset":
        room.reset(event);
        room.knowsMembers = false;
        return this.#warmUp();
      case "removed":
        return this.#gone(room);
      case "member":
        room.takeMember(event);
        if (event.user === this.me && event.role !== "none") room.role = event.role;
        return undefined;
      case "presence":
        return room.takePresence(event);
      case "mark":
        return room.takeMark(event, this.me);
      case "eph":
        if (event.kind === "typing" && event.from !== this.me) room.takeTyping(event.from, event.ttl_s, Date.now());
        return undefined;
      default:
        return undefined;
    }
  }

  // Marks and presence are not replayed.
  #askMembersAgain(room) {
    room.knowsMembers = false;
    if (room !== this.room || room.membersTimer) return;
    const wait = Math.max(0, (room.membersAskedAt ?? 0) + MEMBERS_AGAIN_MS - Date.now());
    room.membersTimer = setTimeout(() => {
      room.membersTimer = 0;
      if (this.isLive && this.rooms.has(room.name)) this.#quietly(() => this.loadMembers(room));
    }, wait);
  }
}
