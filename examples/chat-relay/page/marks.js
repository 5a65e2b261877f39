// How far one has received and read, told to the relay: at most one mark for each conversation in a while.

const APART_MS = 300;

export class Marks {
  #of = new Map();

  constructor(chat) {
    this.chat = chat;
    // What is seen last would otherwise be new again when the page comes back.
    addEventListener("pagehide", () => this.#flush());
  }

  // What has arrived in this tab, whether or not it is looked at.
  received(room) {
    const upTo = Math.max(room.last, room.newest?.seq ?? 0);
    if (upTo <= room.recv) return;
    room.recv = upTo;
    this.#say(room);
  }

  // What was seen.
  seen(room, seq) {
    if (seq <= room.read) return false;
    room.read = Math.min(seq, room.head);
    room.recv = Math.max(room.recv, room.read);
    this.#say(room);
    return true;
  }

  // After hello: what the relay was told on a connection that broke, it may not know.
  compare(room, { recv, read }) {
    if (room.recv > recv || room.read > read) this.#say(room);
  }

  #say(room) {
    const known = this.#of.get(room.name) ?? { at: 0, timer: 0 };
    this.#of.set(room.name, known);
    if (known.timer) return;
    known.timer = setTimeout(() => this.#tell(room, known), Math.max(0, known.at + APART_MS - Date.now()));
  }

  #tell(room, known) {
    clearTimeout(known.timer);
    known.timer = 0;
    known.at = Date.now();
    if (!room.isGone) this.chat.link.tell({ mark: { room: room.name, recv: room.recv, read: room.read } });
  }

  #flush() {
    for (const [name, known] of this.#of) {
      const room = this.chat.rooms.get(name);
      if (known.timer && room) this.#tell(room, known);
    }
  }
}
