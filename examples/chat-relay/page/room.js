// A conversation as this page knows it: a piece of its log, its members, and the marks. Knows no connection and no element.

// Messages of one conversation that are kept in memory while it is not being read further up.
export const KEPT_MAX = 400;
// A gap beyond this is not filled: what is in it can be read by scrolling up.
const GAP_MAX = 300;
const TYPING_S_MAX = 60;

export class Room {
  epoch = "";
  kind = "open";
  role = "member";
  with = "";
  first = 1;
  head = 0;
  // The last message that was applied: the cursor.
  last = 0;
  // Messages up to `last`, without a gap; and, where an older place is looked at, those around it.
  tail = [];
  around = null;
  // The newest message, also where the tail was not loaded.
  newest = null;
  // One's own marks.
  recv = 0;
  read = 0;
  // The same for a log that begins anew, until a reset tells of it.
  #renewed = null;
  members = new Map();
  // Whether they were asked for since the connection was made, and what asks for the next page of them.
  knowsMembers = false;
  nextMembers = null;
  // Whether there are more members than are told of each other's marks.
  isBig = false;
  typing = new Map();
  // The first message under the line "New messages"; 0 for none.
  newFrom = 0;
  // What waits to be sent: {cid, text, ts, state: waiting | sent | failed, why}.
  pending = [];
  // One is not in it any more; it is shown for as long as something in it waits for a decision.
  isGone = false;

  constructor(name, info) {
    this.name = name;
    this.take(info);
    this.last = this.head;
  }

  // What hello, join, direct and added tell of it. The log is left as it is: what is missing follows.
  take({ kind, with: other, role, epoch, first, head, recv, read }) {
    Object.assign(this, { kind, role });
    this.with = other ?? this.with;
    if (this.epoch !== "" && this.epoch !== epoch) {
      this.#renewed = { epoch, recv, read };
      return;
    }
    Object.assign(this, { first, epoch });
    this.head = Math.max(this.head, head);
    this.recv = Math.max(this.recv, recv);
    this.read = Math.max(this.read, read);
  }

  get title() {
    return this.kind === "direct" ? this.with || "Somebody" : this.name;
  }

  get unread() {
    return Math.max(0, this.head - this.read);
  }

  get canWrite() {
    return !this.isGone && (this.role === "owner" || this.role === "member");
  }

  // ---- The log

  get shown() {
    return this.around ?? this.tail;
  }

  // Whether everything before what is shown was read from the relay, or is gone there.
  get isAtBeginning() {
    return (this.shown[0]?.seq ?? this.last + 1) <= this.first;
  }

  // What a message does to the log: "new", "old", or "gap" when some before it are missing.
  apply(message) {
    if (message.seq <= this.last) return "old";
    this.head = Math.max(this.head, message.seq);
    if (message.seq > this.last + 1) return "gap";
    this.last = message.seq;
    this.tail.push(message);
    this.newest = message;
    return "new";
  }

  // The gap up to a number that is worth asking for: [from, to], or null if it is to be left out.
  gap() {
    if (this.last >= this.head) return null;
    if (this.head - this.last > GAP_MAX) this.skipTo(this.head - 50);
    return [Math.max(this.last + 1, this.first), this.head];
  }

  // Leaves out what is between the last message and this number.
  skipTo(seq) {
    if (seq <= this.last) return;
    this.tail = [];
    this.around = null;
    this.last = seq;
    this.#settle();
  }

  // What is stored and will not come back, because its place was left out, waits no longer.
  #settle() {
    this.pending = this.pending.filter(({ state, seq }) => state !== "sent" || seq > this.last);
  }

  // The cursor did not fit: what follows begins at `first`.
  reset({ epoch, first, head }) {
    const restarted = epoch !== this.epoch;
    Object.assign(this, { epoch, first, head, tail: [], around: null, newest: null, last: first - 1 });
    if (restarted) {
      const { recv, read } = this.#renewed?.epoch === epoch ? this.#renewed : { recv: 0, read: 0 };
      Object.assign(this, { recv, read, newFrom: 0 });
    }
    this.#renewed = null;
    this.pending = this.pending.filter(({ state }) => state !== "sent");
  }

  // An answer to get, for what is before the shown part, after it, or around a message.
  prepend(messages) {
    const shown = this.shown;
    const before = messages.filter((it) => it.seq < (shown[0]?.seq ?? this.last + 1));
    shown.unshift(...before);
    if (!this.around && shown.length > 0) this.newest ??= shown.at(-1);
  }

  append(messages) {
    if (!this.around) return;
    this.around.push(...messages.filter((it) => it.seq > this.around.at(-1).seq));
    this.#join();
  }

  lookAround(messages) {
    this.around = messages;
    this.#join();
  }

  backToTail() {
    this.around = null;
  }

  // The two parts become one where they touch.
  #join() {
    const end = this.around.at(-1)?.seq ?? 0;
    const start = this.tail[0]?.seq ?? this.last + 1;
    if (end + 1 < start) return;
    this.tail = [...this.around, ...this.tail.filter((it) => it.seq > end)];
    this.around = null;
  }

  trim() {
    if (this.tail.length > KEPT_MAX) this.tail.splice(0, this.tail.length - KEPT_MAX);
  }

  has(seq) {
    const [first, last] = [this.shown[0]?.seq, this.shown.at(-1)?.seq];
    return first <= seq && seq <= last;
  }

  // ---- People

  takeMembers({ members, next }, isFirstPage, me) {
    if (isFirstPage) this.members = new Map();
    for (const member of members) {
      this.members.set(member.user, member);
      if (member.user === me) this.takeMark(member, me);
    }
    this.nextMembers = next ?? null;
    this.isBig = next !== undefined || this.members.size > 256;
    this.knowsMembers = true;
  }

  // Somebody joined, left, or has another role.
  takeMember(member) {
    if (member.role === "none") {
      this.members.delete(member.user);
      this.typing.delete(member.user);
    } else {
      this.members.set(member.user, { ...this.members.get(member.user), ...member });
    }
  }

  takePresence({ user, online, last_seen }) {
    const member = this.members.get(user);
    if (member) Object.assign(member, { online, last_seen });
    if (!online) this.typing.delete(user);
  }

  takeMark({ user, recv, read }, me) {
    if (user === me) {
      this.recv = Math.max(this.recv, recv);
      this.read = Math.max(this.read, read);
    }
    const member = this.members.get(user);
    if (!member) return;
    member.recv = Math.max(member.recv, recv);
    member.read = Math.max(member.read, read);
  }

  // The other one of a room of two.
  get other() {
    return this.kind === "direct" ? this.members.get(this.with) : undefined;
  }

  // Up to where all others have received and read.
  least(me) {
    const others = this.isBig ? [] : [...this.members.values()].filter(({ user }) => user !== me);
    if (others.length === 0) return { recv: 0, read: 0 };
    return { recv: Math.min(...others.map((it) => it.recv)), read: Math.min(...others.map((it) => it.read)) };
  }

  // What became of one's own message: "stored", "received" by all others, or "read" by all others.
  tick(seq, me, { recv, read } = this.least(me)) {
    if (recv < seq) return "stored";
    return read < seq ? "received" : "read";
  }

  takeTyping(user, ttlS, now) {
    if (ttlS > 0) this.typing.set(user, now + 1000 * Math.min(ttlS, TYPING_S_MAX));
    else this.typing.delete(user);
  }

  // Whether something has ended.
  expireTyping(now) {
    const before = this.typing.size;
    for (const [user, until] of this.typing) if (until <= now) this.typing.delete(user);
    return this.typing.size < before;
  }
}

// A body that another client made may be anything.
export function textOf({ body }) {
  return typeof body?.text === "string" && body.text !== "" ? body.text : null;
}
export const UNKNOWN_BODY = "A message of a kind that this page does not know";
