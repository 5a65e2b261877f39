// The page of the chat relay: a client of relay.v1.
//
// Four parts, top-down: the connection (Link), what the page knows (Room, Memory), what happens (Chat), what is seen
// (View). Text from others becomes text nodes and nothing else.

const HISTORY_SHOWN_MAX = 1000;
const BODY_BYTES_MAX = 8 * 1024;
const ANSWER_WITHIN_MS = 10_000;
const TYPING_TTL_S = 6;
const RETRY_MS = { first: 500, last: 30_000, spread: 2_000, afterRestart: 3_000 };
const REJOIN_MS = 10_000;
// What keeps a room closed for a moment only.
const TEMPORARY = new Set(["room_full", "relay_full", "rate"]);
const CALM_AFTER_MS = 10_000;
const HOME = "lobby";

// ---------------------------------------------------------------------------------------------------------------
// The connection: opens the socket again for as long as it is wanted, matches answers with questions, and finds out
// by itself when nobody is there any more.

class Link {
  #socket = null;
  #questions = new Map();
  #lastId = 0;
  #attempt = 0;
  #retryTimer = 0;
  #calmTimer = 0;
  #pingTimer = 0;
  #wanted = false;

  // on: open(), line(object), state(name, detail)
  constructor(on) {
    this.on = on;
    this.pingEvery = 25_000;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    this.#wanted = true;
    this.#connect();
  }

  stop() {
    this.#wanted = false;
    this.#abandon(1000);
  }

  // Connects now instead of when the waiting is over.
  hurry() {
    if (this.#wanted && !this.#socket) this.#connect();
  }

  // Asks whether the relay is there, and gives up the connection if no answer comes.
  probe(withinMs = ANSWER_WITHIN_MS) {
    if (this.isOpen) this.ask({ ping: {} }, () => {}, () => {}, withinMs);
  }

  // After hello: from here on the connection counts as good.
  settled(pingSeconds) {
    this.pingEvery = pingSeconds * 1000;
    clearTimeout(this.#calmTimer);
    this.#calmTimer = setTimeout(() => { this.#attempt = 0; }, CALM_AFTER_MS);
    clearInterval(this.#pingTimer);
    this.#pingTimer = setInterval(() => this.probe(), this.pingEvery);
  }

  tell(command) {
    if (this.isOpen) this.#socket.send(JSON.stringify(command));
  }

  // One of the two is called, once: onErr({code: "closed"}) when the answer can no longer come.
  ask(command, onOk, onErr, withinMs = ANSWER_WITHIN_MS) {
    if (!this.isOpen) {
      onErr({ code: "closed" });
      return;
    }
    const id = ++this.#lastId;
    const timer = setTimeout(() => this.#lost(1006), withinMs);
    this.#questions.set(id, { onOk, onErr, timer });
    this.#socket.send(JSON.stringify({ id, ...command }));
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.on.state("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws`, "relay.v1");
    this.#socket = socket;
    const mine = (handle) => (event) => { if (this.#socket === socket) handle(event); };
    const slow = setTimeout(mine(() => this.#lost(1006)), ANSWER_WITHIN_MS);
    socket.onopen = mine(() => { clearTimeout(slow); this.on.open(); });
    socket.onmessage = mine((event) => this.#receive(event.data));
    socket.onclose = (event) => { clearTimeout(slow); mine(() => this.#lost(event.code))(); };
  }

  #receive(text) {
    for (const line of text.split("\n")) {
      let said;
      try {
        said = JSON.parse(line);
      } catch {
        continue;
      }
      const question = this.#questions.get(said.id);
      if (question) {
        this.#questions.delete(said.id);
        clearTimeout(question.timer);
        if (said.err) question.onErr(said.err);
        else question.onOk(said.ok);
      } else {
        this.on.line(said);
      }
    }
  }

  // Codes from 4500 mean: do not come back by yourself.
  #lost(code) {
    this.#abandon(1000);
    if (!this.#wanted) return;
    if (code >= 4500 && code < 5000) {
      this.#wanted = false;
      this.on.state("stopped", code);
      return;
    }
    const restarted = code === 1001 || code === 1012 || (code >= 4000 && code < 4500);
    const grown = Math.min(RETRY_MS.last, RETRY_MS.first * 2 ** this.#attempt);
    // Whatever cut one connection may have cut them all: they do not come back all at once.
    const longest = Math.max(grown, restarted ? RETRY_MS.afterRestart : RETRY_MS.spread);
    const wait = longest * (restarted || longest === RETRY_MS.spread ? Math.random() : 0.5 + Math.random() / 2);
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#connect(), wait);
    this.on.state("waiting", Date.now() + wait);
  }

  #abandon(code) {
    for (const timer of [this.#retryTimer, this.#calmTimer, this.#pingTimer]) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(code);
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    for (const { onErr, timer } of questions) {
      clearTimeout(timer);
      onErr({ code: "closed" });
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// A room as this page knows it.

class Room {
  epoch = "";
  // The last message that was applied, and the first one that the relay still has.
  last = 0;
  first = 1;
  // What is shown: messages, and notes about what is missing between them.
  items = [];
  members = new Map();
  typing = new Map();
  live = false;
  // The highest number seen beyond a gap.
  beyond = 0;
  filling = false;
  rejoinTimer = 0;
  // Whether the relay will not take it again by itself.
  refused = false;
  // What was read, and how much was not.
  read = 0;
  unread = 0;
  newFrom = 0;
  // Messages that are not in the log yet, oldest first.
  pending = [];
  sending = false;
  draft = "";

  constructor(name) {
    this.name = name;
  }

  // Takes the next message. False if it is not new; a gap is noted in `beyond`.
  apply(message) {
    if (message.seq <= this.last) return false;
    if (message.seq > this.last + 1) {
      this.beyond = Math.max(this.beyond, message.seq);
      return false;
    }
    this.last = message.seq;
    this.items.push(message);
    return true;
  }

  // The cursor does not fit: what follows begins at `first`.
  reset({ epoch, first }) {
    const restarted = epoch !== this.epoch;
    if (this.items.length > 0) {
      const note = restarted ? "The relay has started anew" : "Some messages are missing here";
      this.items.push({ note });
    }
    if (restarted) {
      this.read = 0;
      this.newFrom = 0;
    }
    this.epoch = epoch;
    this.first = first;
    this.last = first - 1;
    this.beyond = 0;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// What outlives the page: per name its token, rooms, what was read, what was not sent yet.

const Memory = {
  key: (name) => `relay:${name.toLowerCase()}`,

  // Storage may be full, or forbidden. Without it the page still works, until it is closed.
  attempt(action, otherwise) {
    try {
      return action();
    } catch {
      return otherwise;
    }
  },

  // The name of this tab, or the last one of this browser.
  name() {
    return Memory.attempt(() => sessionStorage.getItem("relay") ?? localStorage.getItem("relay"), null);
  },

  load(name) {
    return Memory.attempt(() => JSON.parse(localStorage.getItem(Memory.key(name))), null) ?? {};
  },

  // False if it cannot be kept.
  save(name, state) {
    return Memory.attempt(() => {
      localStorage.setItem(Memory.key(name), JSON.stringify(state));
      localStorage.setItem("relay", name);
      sessionStorage.setItem("relay", name);
      return true;
    }, false);
  },

  // What waits to be sent under this name is sent under another one.
  dropPending(name) {
    const { rooms, ...state } = Memory.load(name);
    if (!rooms) return;
    const emptied = { ...state, rooms: rooms.map((room) => ({ ...room, pending: [] })) };
    Memory.attempt(() => localStorage.setItem(Memory.key(name), JSON.stringify(emptied)));
  },

  forget(name) {
    Memory.attempt(() => sessionStorage.removeItem("relay"));
    Memory.attempt(() => localStorage.removeItem("relay"));
    Memory.attempt(() => localStorage.removeItem(Memory.key(name)));
  },

  // A page that is loaded again is to take its name from the tab that has it.
  stealNext(name) {
    Memory.attempt(() => sessionStorage.setItem("relay", name));
    Memory.attempt(() => sessionStorage.setItem("relay:steal", "1"));
  },

  steals() {
    const steals = Memory.attempt(() => sessionStorage.getItem("relay:steal") !== null, false);
    Memory.attempt(() => sessionStorage.removeItem("relay:steal"));
    return steals;
  },
};

// One tab at a time uses a name. Resolves to false if another tab has it, unless it is to be taken over. Calls onLost
// when another tab takes it from this one.
async function claim(name, steal, onLost) {
  if (!navigator.locks) return true;
  return new Promise((resolve) => {
    const options = steal ? { steal } : { ifAvailable: true };
    let has = false;
    const held = (lock) => {
      has = lock !== null;
      resolve(has);
      return lock && new Promise(() => {});
    };
    navigator.locks.request(Memory.key(name), options, held).catch(() => {
      if (has) onLost();
      // Where locks are forbidden, the relay alone decides.
      else resolve(true);
    });
  });
}

// ---------------------------------------------------------------------------------------------------------------
// What happens.

class Chat {
  name = "";
  token = null;
  rooms = new Map();
  room = null;
  typedAt = 0;
  // Whether what is written outlives the page.
  keeps = true;
  #saveTimer = 0;
  #helloTimer = 0;
  #silent = false;
  #claims = 0;
  // Names under which what waits to be sent may still be stored.
  #formerNames = new Set();

  constructor() {
    this.view = new View(this);
    this.link = new Link({
      open: () => this.#hello(),
      line: (line) => this.#line(line),
      state: (state, detail) => this.#state(state, detail),
    });
    window.addEventListener("online", () => { this.link.hurry(); this.link.probe(3_000); });
    window.addEventListener("offline", () => this.link.probe(3_000));
    window.addEventListener("pagehide", () => this.#save());
    window.addEventListener("hashchange", () => this.#openFromAddress());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        this.#save();
      } else {
        this.link.hurry();
        this.seen();
      }
    });
    setInterval(() => this.#expireTyping(), 1_000);
  }

  async start() {
    const name = Memory.name();
    if (!name) return this.view.welcome("");
    if (!await this.#claim(name, Memory.steals())) return this.view.welcome("", { elsewhere: name });
    this.enter(name);
  }

  // Someone has chosen a name.
  async choose(name) {
    await this.#claim(name, true);
    this.enter(name);
  }

  #claim(name, steal) {
    this.#claims += 1;
    const claims = this.#claims;
    return claim(name, steal, () => { if (claims === this.#claims) this.#taken(); });
  }

  // Another tab has the name now: this one leaves it alone.
  #taken() {
    this.link.stop();
    if (this.token) this.#state("stopped", 4501);
    else this.view.welcome("", { elsewhere: this.name });
  }

  enter(name) {
    const memory = Memory.load(name);
    if (this.rooms.size > 0) this.#formerNames.add(this.name);
    this.name = memory.name ?? name;
    // A person who had to choose another name keeps the rooms and what is not sent.
    if (this.rooms.size === 0) {
      for (const { name, epoch, read, pending, draft } of memory.rooms ?? []) {
        const waiting = (pending ?? []).map((message) => ({ ...message, state: "waiting" }));
        const room = Object.assign(new Room(name), { epoch, read, draft: draft ?? "", pending: waiting });
        this.rooms.set(name, room);
      }
    }
    this.token = memory.token ?? null;
    this.room = this.rooms.get(memory.active) ?? this.room ?? this.rooms.values().next().value ?? null;
    this.view.busy(true);
    if (this.token) this.view.enter();
    this.link.start();
  }

  // Takes the name back from another tab.
  useHere() {
    Memory.stealNext(this.name);
    location.reload();
  }

  signOut() {
    const queued = [...this.rooms.values()].some(({ pending }) => pending.length > 0);
    if (queued && !confirm("Some of your messages are not sent yet. Sign out, and lose them?")) return;
    for (const room of this.rooms.keys()) this.link.tell({ leave: { room } });
    this.#silent = true;
    this.link.stop();
    Memory.forget(this.name);
    history.replaceState(null, "", location.pathname);
    location.reload();
  }

  // ---- Rooms

  join(name, onProblem, onDone = () => {}) {
    if (this.rooms.has(name)) {
      this.open(name);
      return onDone();
    }
    this.link.ask({ join: { room: name } }, (joined) => {
      this.#joined(joined);
      this.open(name);
      onDone();
    }, (problem) => {
      onProblem(problem.code === "closed" ? "You are not connected. Try again in a moment." : problem.text);
    });
  }

  open(name) {
    const room = this.rooms.get(name);
    if (!room) return;
    if (this.room && this.room !== room) this.room.newFrom = 0;
    this.room = room;
    room.newFrom = room.unread > 0 ? room.read + 1 : 0;
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    this.view.room({ opened: true });
    this.seen();
    this.save();
  }

  leave() {
    const room = this.room;
    if (!room) return;
    this.link.ask({ leave: { room: room.name } }, () => this.#removeRoom(room), (problem) => {
      if (problem.code === "not_member") this.#removeRoom(room);
    });
  }

  // The next room, or the one before: dir is 1 or -1.
  step(dir) {
    const names = [...this.rooms.keys()].sort(byName);
    const at = names.indexOf(this.room?.name);
    if (names.length > 0) this.open(names[(at + dir + names.length) % names.length]);
  }

  // What is at the end of the open room is being looked at.
  seen() {
    const room = this.room;
    if (!room || document.hidden || !this.view.isAtEnd()) return;
    if (room.read === room.last && room.unread === 0) return;
    room.read = room.last;
    room.unread = 0;
    this.view.rooms();
    this.save();
  }

  #removeRoom(room) {
    this.rooms.delete(room.name);
    if (this.room === room) {
      this.room = null;
      const next = [...this.rooms.keys()].sort(byName)[0];
      if (next === undefined) history.replaceState(null, "", location.pathname);
      if (next !== undefined) this.open(next);
      else this.view.room();
    }
    this.view.rooms();
    this.save();
  }

  #openFromAddress() {
    const name = roomOfAddress();
    if (name) this.join(name, (text) => this.view.joinProblem(text));
  }

  // ---- Hello, and what follows

  #hello() {
    clearTimeout(this.#helloTimer);
    for (const room of this.rooms.values()) {
      clearTimeout(room.rejoinTimer);
      room.refused = false;
      room.live = false;
      room.filling = false;
      room.sending = false;
    }
    // Not one by one: a room may be called __proto__.
    const at = Object.fromEntries([...this.rooms.values()].map(({ name, epoch, last }) => [name, [epoch, last]]));
    const hello = { v: 1, name: this.name, at };
    if (this.token) hello.token = this.token;
    this.link.ask({ hello }, (ok) => this.#welcome(ok), (problem) => this.#notWelcome(problem));
  }

  #welcome({ user, token, ping_s, rooms, refused }) {
    this.name = user;
    this.token = token;
    this.link.settled(ping_s);
    this.#state("live");
    for (const [name, code] of Object.entries(refused ?? {})) {
      const room = this.rooms.get(name);
      if (room) this.#refused(room, { code, text: "the relay has no place for this room any more" });
    }
    for (const [name, { epoch, first, head }] of Object.entries(rooms)) {
      if (!this.rooms.has(name)) this.#begin(new Room(name), epoch, first, head);
      const room = this.rooms.get(name);
      room.first = first;
    }
    this.room = this.rooms.get(this.room?.name) ?? null;
    this.view.enter();
    const wanted = roomOfAddress() ?? (this.rooms.size === 0 ? HOME : null);
    if (wanted) this.join(wanted, (text) => this.view.joinProblem(text));
    else if (this.room) this.view.room();
    else if (this.rooms.size > 0) this.open([...this.rooms.keys()].sort(byName)[0]);
    this.#save();
    if (this.keeps) this.#dropFormerNames();
  }

  #dropFormerNames() {
    for (const name of this.#formerNames) {
      if (Memory.key(name) !== Memory.key(this.name)) Memory.dropPending(name);
    }
    this.#formerNames.clear();
  }

  #notWelcome(problem) {
    if (problem.code === "closed" || problem.code === "hello_again") return;
    if (problem.retry_ms !== undefined) {
      this.#helloTimer = setTimeout(() => this.#hello(), problem.retry_ms);
      this.view.state("connecting", problem.text);
      return;
    }
    this.#claims += 1;
    this.link.stop();
    this.#state("stopped");
    this.token = null;
    this.view.welcome(this.name, { problem: problem.text });
  }

  #joined({ room: name, epoch, first, head, members }) {
    const room = this.rooms.get(name) ?? new Room(name);
    if (!this.rooms.has(name)) this.#begin(room, epoch, first, head);
    else if (room.epoch !== epoch || room.last > head || room.last < first - 1) this.#reset(room, { epoch, first });
    this.#live(room, { head, members });
  }

  // The room stays as long as the relay may take it again, or something in it is not sent.
  #refused(room, { code, text, retry_ms }) {
    if (TEMPORARY.has(code) || retry_ms !== undefined) {
      clearTimeout(room.rejoinTimer);
      room.rejoinTimer = setTimeout(() => this.#rejoin(room), retry_ms ?? REJOIN_MS);
      this.view.joinProblem(`There is no place in #${room.name} just now. Trying again…`);
      return;
    }
    room.refused = true;
    this.view.joinProblem(`The relay has no place any more in #${room.name}.`);
    if (room.pending.length === 0) return this.#removeRoom(room);
    for (const message of room.pending) Object.assign(message, { state: "failed", why: text });
    this.#pendingChanged(room);
  }

  #rejoin(room) {
    clearTimeout(room.rejoinTimer);
    if (room.live || this.rooms.get(room.name) !== room) return;
    this.link.ask({ join: { room: room.name } }, (joined) => {
      this.#joined(joined);
      this.view.joinProblem("");
    }, (problem) => {
      if (problem.code !== "closed") this.#refused(room, problem);
    });
  }

  // A room that this page did not know: it goes on from the head, and what came before is asked for.
  #begin(room, epoch, first, head) {
    Object.assign(room, { epoch, first, last: head, read: head });
    this.rooms.set(room.name, room);
    this.view.rooms();
    this.save();
    if (head >= first) this.#history(room, first, head, []);
  }

  #history(room, from, to, got) {
    this.link.ask({ get: { room: room.name, from, to } }, ({ msgs }) => {
      got.push(...msgs);
      const last = msgs.at(-1)?.seq ?? to;
      if (last < to) return this.#history(room, last + 1, to, got);
      room.items.unshift(...got);
      if (room === this.room) this.view.room();
    }, (problem) => {
      if (problem.retry_ms) setTimeout(() => this.#history(room, from, to, got), problem.retry_ms);
      // Without a connection: the cursor of the next hello asks for everything.
      else if (problem.code === "closed") {
        Object.assign(room, { last: 0, items: [] });
        if (room === this.room) this.view.room();
      }
    });
  }

  #line(line) {
    const [kind] = Object.keys(line);
    const said = line[kind];
    const room = this.rooms.get(said?.room);
    if (!room) return;
    switch (kind) {
      case "msg": return this.#message(room, said);
      case "live": return this.#live(room, said);
      case "reset": return this.#reset(room, said);
      case "presence": return this.#presence(room, said);
      case "eph": return this.#ephemeral(room, said);
    }
  }

  #message(room, message) {
    if (room.apply(message)) this.#shown(room, message);
    else if (room.beyond > room.last) this.#fill(room);
  }

  #shown(room, message) {
    const mine = message.from === this.name;
    room.typing.delete(message.from);
    if (mine) {
      const at = room.pending.findIndex(({ cid }) => cid === message.cid);
      if (at >= 0) room.pending.splice(at, 1);
    }
    if (!mine && message.seq > room.read) room.unread += 1;
    if (mine && message.seq === room.read + 1) room.read = message.seq;
    const watched = room === this.room && !document.hidden && this.view.isAtEnd();
    if (room === this.room && !mine && !watched && room.newFrom === 0) room.newFrom = message.seq;
    if (room.items.length > HISTORY_SHOWN_MAX) room.items.splice(0, room.items.length - HISTORY_SHOWN_MAX);
    if (room === this.room) this.view.append(message);
    else this.view.rooms();
    this.seen();
    this.save();
  }

  // Asks for what is missing before a message that came too early.
  #fill(room) {
    if (room.filling) return;
    room.filling = true;
    const get = { room: room.name, from: room.last + 1, to: room.beyond };
    this.link.ask({ get }, ({ first, msgs }) => {
      room.filling = false;
      if (first > room.last + 1) {
        const { beyond } = room;
        this.#reset(room, { epoch: room.epoch, first });
        room.beyond = beyond;
      }
      for (const message of msgs) this.#message(room, message);
      if (room.beyond > room.last && msgs.length > 0) this.#fill(room);
    }, ({ retry_ms }) => {
      room.filling = false;
      if (retry_ms) setTimeout(() => { if (room.beyond > room.last) this.#fill(room); }, retry_ms);
    });
  }

  #live(room, { head, members }) {
    room.live = true;
    room.refused = false;
    this.#setMembers(room, members);
    if (head > room.last) {
      room.beyond = Math.max(room.beyond, head);
      this.#fill(room);
    }
    this.#flush(room);
  }

  #reset(room, log) {
    room.reset(log);
    room.unread = 0;
    if (room === this.room) this.view.room();
    this.save();
  }

  #setMembers(room, members) {
    room.members = new Map(members.map((member) => [member.user, member]));
    room.typing.clear();
    if (room === this.room) this.view.people();
  }

  #presence(room, { user, online, last_seen, left }) {
    if (left) room.members.delete(user);
    else room.members.set(user, { user, online, last_seen });
    if (!online) room.typing.delete(user);
    if (room === this.room) this.view.people();
  }

  #ephemeral(room, { kind, from, ttl_s }) {
    if (kind !== "typing") return;
    if (ttl_s > 0) room.typing.set(from, Date.now() + ttl_s * 1000);
    else room.typing.delete(from);
    if (room === this.room) this.view.typing();
  }

  #expireTyping() {
    for (const room of this.rooms.values()) {
      for (const [user, until] of room.typing) {
        if (until <= Date.now()) {
          room.typing.delete(user);
          if (room === this.room) this.view.typing();
        }
      }
    }
  }

  // ---- Writing

  // A message is kept from the moment it is written, and sent as soon as the room is live. Its cid makes it safe to
  // send it again when no answer came.
  write(text) {
    const room = this.room;
    const message = { cid: randomId(), text, ts: Date.now(), state: "waiting" };
    room.pending.push(message);
    room.draft = "";
    room.newFrom = 0;
    this.typedAt = 0;
    this.view.pending();
    this.save();
    if (room.refused) this.#rejoin(room);
    this.#flush(room);
  }

  typing(text) {
    const room = this.room;
    room.draft = text;
    this.save();
    const worth = text.trim() !== "" && room.live;
    if (worth && Date.now() - this.typedAt > TYPING_TTL_S * 500) {
      this.typedAt = Date.now();
      this.link.tell({ eph: { room: room.name, kind: "typing", ttl_s: TYPING_TTL_S } });
    } else if (text === "" && this.typedAt !== 0) {
      this.typedAt = 0;
      this.link.tell({ eph: { room: room.name, kind: "typing", ttl_s: 0 } });
    }
  }

  // Tries again what the relay has refused, or gives it up.
  retry(message) {
    message.state = "waiting";
    delete message.why;
    this.view.pending();
    if (this.room.refused) this.#rejoin(this.room);
    this.#flush(this.room);
  }

  discard(message) {
    const room = this.room;
    room.pending = room.pending.filter((it) => it !== message);
    this.view.pending();
    this.save();
  }

  // One at a time, so that they arrive in the order in which they were written.
  #flush(room) {
    if (!room.live || room.sending || !this.rooms.has(room.name)) return;
    const message = room.pending.find(({ state }) => state === "waiting");
    if (!message) return;
    room.sending = true;
    const send = { room: room.name, cid: message.cid, body: { text: message.text } };
    this.link.ask({ send }, ({ seq }) => {
      room.sending = false;
      message.state = "sent";
      // Usually the message itself takes its place; unless it had come before the answer.
      if (seq <= room.last) room.pending = room.pending.filter((it) => it !== message);
      this.#pendingChanged(room);
      this.#flush(room);
    }, (problem) => {
      room.sending = false;
      if (problem.retry_ms !== undefined) {
        setTimeout(() => this.#flush(room), problem.retry_ms);
      } else if (problem.code !== "closed") {
        message.state = "failed";
        message.why = problem.text;
        this.#pendingChanged(room);
        this.#flush(room);
      }
    });
  }

  #pendingChanged(room) {
    if (room === this.room) this.view.pending();
    this.save();
  }

  // ---- State

  #state(state, detail) {
    clearTimeout(this.#helloTimer);
    if (this.#silent) return;
    if (state !== "live") {
      for (const room of this.rooms.values()) {
        room.live = false;
        room.typing.clear();
      }
      // What was sent but is not in the log that we have is sent again; the cid keeps it single.
      for (const room of this.rooms.values()) {
        for (const message of room.pending) if (message.state === "sent") message.state = "waiting";
      }
      this.view.pending();
      this.view.typing();
    }
    if (state === "stopped" && detail === 4501) this.#silent = true;
    this.view.state(state, detail);
  }

  save() {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = setTimeout(() => this.#save(), 200);
  }

  #save() {
    clearTimeout(this.#saveTimer);
    if (this.#silent || !this.token) return;
    const rooms = [...this.rooms.values()].map(({ name, epoch, read, pending, draft }) => ({
      name, epoch, read, draft, pending: pending.map(({ cid, text, ts }) => ({ cid, text, ts })),
    }));
    this.keeps = Memory.save(this.name, { name: this.name, token: this.token, rooms, active: this.room?.name });
  }
}

// ---------------------------------------------------------------------------------------------------------------
// What is seen.

const $ = (id) => document.getElementById(id);

class View {
  #chat;
  #stateTimer = 0;
  #bannerTimer = 0;
  #lastShown = null;
  #pendingShown = new Map();
  #announced = "";

  constructor(chat) {
    this.#chat = chat;
    this.#listenWelcome();
    this.#listenRooms();
    this.#listenTalk();
    this.#listenPeople();
    setInterval(() => { if (chat.room) this.people(); }, 60_000);
  }

  // ---- Welcome

  #listenWelcome() {
    $("enter").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = tidy($("name").value);
      if (name === "") return this.welcome("", { problem: "Choose a name first." });
      $("name-problem").textContent = "";
      this.busy(true);
      this.#chat.choose(name);
    });
    $("enter-here").addEventListener("click", () => this.#chat.choose(Memory.name()));
  }

  welcome(name, { problem = "", elsewhere = "" } = {}) {
    document.body.dataset.screen = "welcome";
    if (name) $("name").value = name;
    $("name-problem").textContent = elsewhere ? `You are ${elsewhere} in another tab.` : problem;
    $("name").setAttribute("aria-invalid", String(problem !== ""));
    $("enter-here").hidden = !elsewhere;
    $("enter-here").textContent = elsewhere ? `Be ${elsewhere} here instead` : "";
    this.busy(false);
    $("name").focus();
    $("name").select();
  }

  busy(busy) {
    $("enter-button").disabled = busy;
    $("enter-button").textContent = busy ? "One moment…" : "Enter";
  }

  enter() {
    const first = document.body.dataset.screen !== "app";
    document.body.dataset.screen = "app";
    $("name-problem").textContent = "";
    $("my-name").textContent = this.#chat.name;
    fillAvatar($("my-avatar"), this.#chat.name);
    this.rooms();
    if (first) this.room();
  }

  // ---- Rooms

  #listenRooms() {
    $("join").addEventListener("submit", (event) => {
      event.preventDefault();
      this.joinProblem("");
      const name = tidy($("room-name").value).replace(/^#/, "").toLowerCase();
      if (name === "") return $("room-name").focus();
      this.#chat.join(name, (text) => this.joinProblem(text), () => {
        $("room-name").value = "";
        this.#show("talk");
        if (!isTouch()) $("text").focus();
      });
    });
    $("room-name").addEventListener("input", () => this.joinProblem(""));
    $("sign-out").addEventListener("click", () => this.#chat.signOut());
    $("back").addEventListener("click", () => {
      this.#show("rooms");
      $("rooms").querySelector("[aria-current]")?.focus();
    });
    $("empty-button").addEventListener("click", () => {
      this.#show("rooms");
      $("room-name").focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.altKey && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
        event.preventDefault();
        this.#chat.step(event.key === "ArrowDown" ? 1 : -1);
      }
      if (event.key === "Escape" && !$("people").hidden && !isWide()) this.#showPeople(false);
    });
  }

  // On a phone the rooms and the conversation take turns.
  #show(view) {
    document.body.dataset.view = view;
  }

  joinProblem(text) {
    $("join-problem").textContent = text;
    if (text) this.#show("rooms");
  }

  rooms() {
    const list = $("rooms");
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.room : null;
    const rooms = [...this.#chat.rooms.values()].sort((a, b) => byName(a.name, b.name));
    list.replaceChildren(...rooms.map((room) => this.#roomEntry(room)));
    if (focused !== null) list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
    const unread = rooms.reduce((sum, room) => sum + (room === this.#chat.room ? 0 : room.unread), 0);
    $("back-count").hidden = unread === 0;
    $("back-count").textContent = count(unread);
    $("back").setAttribute("aria-label", unread ? `Rooms, ${unread} unread` : "Rooms");
    const all = rooms.reduce((sum, room) => sum + room.unread, 0);
    const open = this.#chat.room ? `#${this.#chat.room.name} · ` : "";
    document.title = `${all ? `(${count(all)}) ` : ""}${open}Tautline`;
  }

  #roomEntry(room) {
    const current = room === this.#chat.room;
    const last = room.items.findLast((item) => item.seq !== undefined);
    const from = last && el("bdi", {}, last.from === this.#chat.name ? "You" : shownName(last.from));
    const preview = last ? [from, ": ", el("bdi", {}, textOf(last).slice(0, 120))] : ["Nothing said yet"];
    const button = el("button", { type: "button", class: room.unread ? "room unread" : "room" },
      el("span", { class: "hash", "aria-hidden": "true" }, "#"),
      el("bdi", { class: "name" }, room.name),
      el("bdi", { class: "preview", "aria-hidden": "true" }, ...preview),
      room.unread > 0 && el("span", { class: "count" }, count(room.unread), el("span", { class: "unseen" }, " unread")),
    );
    button.dataset.room = room.name;
    if (current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => {
      this.#chat.open(room.name);
      this.#show("talk");
      if (!isTouch()) $("text").focus();
    });
    return el("li", {}, button);
  }

  // ---- The conversation

  #listenTalk() {
    const text = $("text");
    // Without going to its address, which would be a room's.
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      this.#show("talk");
      (this.#chat.room ? text : $("empty-button")).focus();
    });
    text.addEventListener("input", () => {
      this.#grow();
      this.#checkLength();
      if (this.#chat.room) this.#chat.typing(text.value);
    });
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || isTouch()) return;
      event.preventDefault();
      this.#send();
    });
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    // A tap on the button must not close the keyboard of a phone.
    $("send").addEventListener("pointerdown", (event) => event.preventDefault());
    $("log").addEventListener("scroll", () => this.#scrolled(), { passive: true });
    $("down").addEventListener("click", () => this.#toEnd(true));
    new ResizeObserver(() => { if (this.#stuck) this.#toEnd(); }).observe($("log"));
    $("banner-button").addEventListener("click", () => {
      if ($("banner").dataset.state === "stopped") this.#chat.useHere();
      else this.#chat.link.hurry();
    });
  }

  #send() {
    const text = $("text").value.replace(/^\s*\n/, "").trimEnd().toWellFormed?.() ?? $("text").value.trim();
    if (text === "" || $("text").disabled || !this.#chat.room || this.#checkLength()) return;
    $("text").value = "";
    this.#grow();
    this.#stuck = true;
    this.#chat.write(text);
    $("text").focus();
  }

  // True, and says so, if the message is longer than the relay takes.
  #checkLength() {
    const body = JSON.stringify({ text: $("text").value });
    const over = new TextEncoder().encode(body).length - BODY_BYTES_MAX;
    $("text-problem").textContent = over > 0 ? `This is too long by about ${over} characters.` : "";
    return over > 0;
  }

  // For browsers whose fields do not grow by themselves.
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    const text = $("text");
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  // Draws the open room anew: it was opened, or its past has changed.
  room({ opened = false } = {}) {
    const { room } = this.#chat;
    const fromEnd = $("log").scrollHeight - $("log").scrollTop;
    for (const part of ["log", "composer", "down", "people-button"]) $(part).hidden = !room;
    $("empty").hidden = Boolean(room);
    $("title").textContent = room ? `#${room.name}` : "";
    $("people").hidden = !room || !this.#peopleShown;
    this.rooms();
    this.people();
    this.pending();
    if (!room) {
      $("messages").replaceChildren();
      return;
    }
    const log = $("log");
    log.setAttribute("aria-live", "off");
    this.#lastShown = null;
    $("messages").replaceChildren(...room.items.flatMap((item) => this.#itemNodes(room, item)));
    this.#topNote(room);
    $("text").value = room.draft;
    $("text").placeholder = `Message #${room.name}`;
    this.#grow();
    this.#checkLength();
    // To where reading goes on: at what is new, where it was, or at the end.
    const divider = opened ? $("messages").querySelector(".new") : null;
    if (!divider && (opened || this.#stuck)) {
      this.#toEnd();
    } else {
      if (divider) divider.scrollIntoView({ block: "center" });
      else log.scrollTop = log.scrollHeight - fromEnd;
      this.#scrolled();
    }
    // Whoever has just come in can begin to write.
    if (document.activeElement === document.body && !isTouch()) $("text").focus();
    requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
  }

  #topNote(room) {
    const shown = Number($("messages").querySelector("[data-seq]")?.dataset.seq ?? room.first);
    if (room.first > 1) $("top-note").textContent = "Earlier messages are no longer kept.";
    else if (shown > 1) $("top-note").textContent = "Earlier messages are not shown.";
    else $("top-note").textContent = `This is the beginning of #${room.name}.`;
  }

  append(message) {
    const { room } = this.#chat;
    const stuck = this.isAtEnd();
    const messages = $("messages");
    messages.append(...this.#itemNodes(room, message));
    // Not under the eyes of somebody who reads further up.
    if (stuck && messages.childElementCount > HISTORY_SHOWN_MAX) {
      while (messages.childElementCount > HISTORY_SHOWN_MAX) messages.firstElementChild.remove();
      this.#topNote(room);
    }
    this.pending();
    this.typing();
    this.rooms();
    if (stuck) this.#toEnd();
    else this.#scrolled();
  }

  #itemNodes(room, item) {
    if (item.note) {
      this.#lastShown = null;
      return [el("li", { class: "divider note" }, el("span", {}, item.note))];
    }
    const nodes = [];
    const before = this.#lastShown;
    if (!before || !sameDay(before.ts, item.ts)) {
      nodes.push(el("li", { class: "divider" }, el("span", {}, day(item.ts))));
    }
    const isNew = item.seq === room.newFrom;
    if (isNew) nodes.push(el("li", { class: "divider new" }, el("span", {}, "New")));
    const follows = nodes.length === 0 && before.from === item.from && item.ts - before.ts < 300_000;
    nodes.push(this.#message(item, follows));
    this.#lastShown = item;
    return nodes;
  }

  #message(message, follows) {
    const mine = message.from === this.#chat.name;
    const time = el("time", { datetime: new Date(message.ts).toISOString(), title: fullTime(message.ts) }, clock(message.ts));
    const item = el("li", { class: `message${mine ? " mine" : ""}${follows ? " follows" : ""}` });
    if (!mine) {
      const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
      if (!follows) fillAvatar(avatar, message.from);
      item.append(avatar);
    }
    const from = el("bdi", { class: `from hue-${hue(message.from)}${follows || mine ? " unseen" : ""}` }, mine ? "You" : shownName(message.from));
    const meta = el("span", { class: "meta" }, time, mine && icon("check"));
    item.append(el("div", { class: "bubble" }, from, paragraph(textOf(message), meta)));
    item.dataset.seq = message.seq;
    return item;
  }

  // Only what has changed is made anew: there may be many.
  pending() {
    const { room } = this.#chat;
    const before = this.#pendingShown;
    this.#pendingShown = new Map();
    for (const message of room?.pending ?? []) {
      const shown = before.get(message);
      const node = shown?.state === message.state ? shown.node : this.#pendingMessage(message);
      if (shown && shown.node !== node) shown.node.replaceWith(node);
      else if (!shown) $("pending").append(node);
      before.delete(message);
      this.#pendingShown.set(message, { node, state: message.state });
    }
    for (const { node } of before.values()) node.remove();
    $("pending").hidden = this.#pendingShown.size === 0;
    if (this.isAtEnd()) this.#toEnd();
  }

  #pendingMessage(message) {
    const failed = message.state === "failed";
    const said = failed ? `Not sent: ${message.why}` : message.state === "sent" ? "Sent" : "Waiting to be sent";
    const meta = el("span", { class: "meta" },
      el("time", {}, clock(message.ts)), icon(failed ? "alert" : "clock"), el("span", { class: failed ? "" : "unseen" }, said));
    const bubble = el("div", { class: "bubble" }, paragraph(message.text, meta));
    if (failed) {
      const retry = el("button", { type: "button", class: "quiet" }, "Try again");
      retry.addEventListener("click", () => this.#chat.retry(message));
      const discard = el("button", { type: "button", class: "quiet" }, "Discard");
      discard.addEventListener("click", () => this.#chat.discard(message));
      bubble.append(el("span", { class: "choices" }, retry, discard));
    }
    return el("li", { class: `message mine ${message.state}` }, bubble);
  }

  // ---- Scrolling

  // Whether the end is to stay in view, and whether that is still to be done in this frame.
  #stuck = true;
  #scrollDue = false;

  isAtEnd() {
    return this.#stuck;
  }

  #scrolled() {
    if (this.#scrollDue) return;
    const log = $("log");
    this.#stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    $("down").hidden = this.#stuck;
    $("down-text").textContent = this.#chat.room?.unread ? `${count(this.#chat.room.unread)} new` : "To the newest";
    if (this.#stuck) this.#chat.seen();
  }

  // Once a frame, however much has come.
  #toEnd(smooth = false) {
    this.#stuck = true;
    $("down").hidden = true;
    if (this.#scrollDue) return;
    this.#scrollDue = true;
    requestAnimationFrame(() => {
      const log = $("log");
      this.#scrollDue = false;
      log.scrollTo({ top: log.scrollHeight, behavior: smooth ? "smooth" : "instant" });
    });
  }

  // ---- People

  #peopleShown = false;

  #listenPeople() {
    $("people-button").addEventListener("click", () => this.#showPeople(!this.#peopleShown));
    $("people-close").addEventListener("click", () => this.#showPeople(false));
    $("shade").addEventListener("click", () => this.#showPeople(false));
    $("leave").addEventListener("click", () => {
      if (!isWide()) this.#showPeople(false);
      this.#chat.leave();
    });
    this.#showPeople(isWide(), false);
    matchMedia(WIDE).addEventListener("change", ({ matches }) => this.#showPeople(matches, false));
  }

  #showPeople(shown, focus = true) {
    this.#peopleShown = shown;
    $("people").hidden = !shown || !this.#chat.room;
    $("people-button").setAttribute("aria-expanded", String(shown));
    const over = shown && !isWide();
    $("shade").hidden = !over;
    for (const part of document.querySelectorAll(".side, .talk")) part.inert = over;
    if (focus && over) $("people-close").focus();
    if (focus && !shown && !isWide()) $("people-button").focus();
  }

  people() {
    const { room } = this.#chat;
    const members = room ? [...room.members.values()].sort((a, b) => byName(a.user, b.user)) : [];
    const here = members.filter(({ online }) => online);
    const away = members.filter(({ online }) => !online).sort((a, b) => (b.last_seen ?? 0) - (a.last_seen ?? 0));
    $("here").replaceChildren(...here.map((member) => this.#person(member)));
    $("away").replaceChildren(...away.map((member) => this.#person(member)));
    $("here-count").textContent = here.length || "";
    $("away-count").textContent = away.length || "";
    $("away-title").hidden = away.length === 0;
    this.typing();
  }

  #person({ user, online, last_seen }) {
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    fillAvatar(avatar, user);
    const seen = online || !last_seen ? null : el("time", { class: "seen", title: fullTime(last_seen) }, ago(last_seen));
    const name = el("bdi", { class: "name" }, user);
    const you = user === this.#chat.name && el("span", { class: "you" }, "you");
    return el("li", { class: online ? "online" : "" }, avatar, name, you, seen);
  }

  typing() {
    const { room } = this.#chat;
    const who = room ? [...room.typing.keys()].sort(byName) : [];
    $("typing").hidden = who.length === 0;
    // Each name by itself: one that is written from right to left must not turn the others.
    const names = new Intl.ListFormat("en").formatToParts(who.map(shownName))
      .map(({ type, value }) => type === "element" ? el("bdi", {}, value) : value);
    const said = who.length > 3 ? ["Several people are"] : [...names, who.length > 1 ? " are" : " is"];
    $("typing-text").replaceChildren(...(who.length === 0 ? [] : [...said, " typing…"]));
    const here = room?.live ? [...room.members.values()].filter(({ online }) => online).length : 0;
    $("subtitle").textContent = here === 0 ? "" : here === 1 ? "Only you are here" : `${here} people here`;
  }

  // ---- The connection

  state(state, detail) {
    if (document.body.dataset.screen === "welcome" && state === "waiting") {
      $("name-problem").textContent = "The relay cannot be reached. This page keeps trying.";
    }
    if (document.body.dataset.screen === "welcome" && state === "connecting" && detail) {
      $("name-problem").textContent = `Not let in yet: ${detail}. This page keeps trying.`;
    }
    clearInterval(this.#stateTimer);
    clearTimeout(this.#bannerTimer);
    $("state").dataset.state = state;
    // What would be written here then, nobody would send.
    const elsewhere = state === "stopped" && detail === 4501;
    for (const part of ["text", "send"]) $(part).disabled = elsewhere;
    const banner = $("banner");
    banner.dataset.state = state;
    const kept = () => this.#chat.keeps
      ? "What you write is kept, and sent when you are back."
      : "This browser cannot keep what you write: leave this page open until you are back.";
    if (state === "live") {
      banner.hidden = true;
      this.#say("Connected");
    } else if (state === "stopped") {
      this.#say(elsewhere ? "Open elsewhere" : "Not connected");
      $("banner-text").textContent = elsewhere
        ? `You are ${this.#chat.name} in another tab or on another device now.`
        : "The relay has closed the connection, because too much came from here at once.";
      $("banner-button").textContent = elsewhere ? "Use it here" : "Connect again";
      $("banner-button").hidden = false;
      banner.hidden = false;
    } else {
      const tick = () => {
        const seconds = state === "waiting" ? Math.ceil((detail - Date.now()) / 1000) : 0;
        const refused = state === "connecting" && detail;
        const now = refused ? `Not let in yet: ${detail}. Trying again…` : "Connecting…";
        $("banner-text").textContent = `${seconds > 1 ? `No connection. Next try in ${seconds} s.` : now} ${kept()}`;
        $("banner-button").hidden = seconds <= 1;
      };
      this.#say(state === "waiting" ? "No connection" : "Connecting…");
      $("banner-button").textContent = "Try now";
      tick();
      this.#stateTimer = setInterval(tick, 250);
      // A short interruption is not worth a word.
      if (banner.hidden) this.#bannerTimer = setTimeout(() => { banner.hidden = false; }, 1_200);
    }
  }

  #say(text) {
    $("state-text").textContent = text;
    const matters = text !== "Connecting…" && text !== this.#announced;
    if (matters && this.#announced !== "") $("announce").textContent = text;
    if (matters) this.#announced = text;
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Small things.

// An element with attributes and children. Strings become text nodes; false and null are left out.
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== "") element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== false && child !== null));
  return element;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "glyph");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function fillAvatar(element, name) {
  const letter = [...name].find((character) => /[\p{L}\p{N}]/u.test(character)) ?? "?";
  element.textContent = letter.toUpperCase();
  element.classList.add(`hue-${hue(name)}`);
}

// One of eight colours, the same on every device.
function hue(name) {
  let hash = 7;
  for (const character of name.toLowerCase()) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash % 8;
}

// The text of a message, with its time in the last line or below it.
function paragraph(text, meta) {
  return el("p", { dir: "auto" }, el("span", { class: "body" }, ...withLinks(text)), meta);
}

// The text, with what begins as a web address made a link.
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    let length = found.length;
    while (".,:;!?'\")]}".includes(found[length - 1])) length -= 1;
    const address = found.slice(0, length);
    if (!isAddress(address)) continue;
    parts.push(text.slice(end, index));
    parts.push(el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, address));
    end = index + address.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

function isAddress(text) {
  try {
    return Boolean(new URL(text));
  } catch {
    return false;
  }
}

// "You" is what the page calls whoever sits in front of it.
function shownName(name) {
  return name.toLowerCase() === "you" ? `“${name}”` : name;
}

// A body that another client made may be anything.
function textOf({ body }) {
  return typeof body?.text === "string" && body.text !== "" ? body.text : "(a message that this page cannot show)";
}

function tidy(name) {
  return name.trim().replace(/\s+/g, " ");
}

function byName(a, b) {
  return a.localeCompare(b);
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function roomOfAddress() {
  try {
    return tidy(decodeURIComponent(location.hash.slice(1))).toLowerCase() || null;
  } catch {
    return null;
  }
}

function count(number) {
  return number > 99 ? "99+" : String(number);
}

const formats = {
  clock: new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" }),
  full: new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" }),
  day: new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" }),
  ago: new Intl.RelativeTimeFormat("en", { style: "short", numeric: "auto" }),
};

const clock = (ts) => formats.clock.format(ts);
const fullTime = (ts) => formats.full.format(ts);
const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

function day(ts) {
  if (sameDay(ts, Date.now())) return "Today";
  if (sameDay(ts, Date.now() - 86_400_000)) return "Yesterday";
  return formats.day.format(ts);
}

function ago(ts) {
  const minutes = Math.round((Date.now() - ts) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return formats.ago.format(-minutes, "minute");
  return formats.ago.format(-Math.round(minutes / 60), "hour");
}

const WIDE = "(min-width: 1080px)";
const isWide = () => matchMedia(WIDE).matches;
const isTouch = () => matchMedia("(pointer: coarse)").matches;

new Chat().start();
