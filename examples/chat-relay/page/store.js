// What outlives the page, in this browser: who one is, what was not sent yet, what is half written, and a few wishes.
//
// Each waiting message has a key of its own, so that several tabs do not overwrite each other's.

const SESSION = "relay:session";
const QUEUE = "relay:queue:";
const DRAFT = "relay:draft:";

// Storage may be full, or forbidden. Without it the page still works, until it is closed.
function attempt(action, otherwise = null) {
  try {
    return action();
  } catch {
    return otherwise;
  }
}

const read = (key) => attempt(() => JSON.parse(localStorage.getItem(key)));
const write = (key, value) => attempt(() => { localStorage.setItem(key, JSON.stringify(value)); return true; }, false);
const remove = (key) => attempt(() => localStorage.removeItem(key));
const keys = (prefix) => attempt(() => Object.keys(localStorage), []).filter((key) => key.startsWith(prefix));

// {user, token, by}, where `by` is how one came in: name, password or token.
export const session = {
  load: () => read(SESSION),
  save: (it) => write(SESSION, it),
  forget() {
    for (const key of keys("relay:")) remove(key);
    attempt(() => sessionStorage.clear());
  },
  // Another tab has signed out, or in as somebody else.
  onChange(changed) {
    addEventListener("storage", ({ key }) => { if (key === SESSION || key === null) changed(session.load()); });
  },
};

// Messages that are not stored by the relay yet: {cid, user, room, text, ts, nth, failed?}.
export const queue = {
  // False if it cannot be kept.
  put: (message) => write(QUEUE + message.cid, message),
  drop: (cid) => remove(QUEUE + cid),
  of(user) {
    const mine = keys(QUEUE).map(read).filter((it) => it?.user === user && typeof it.text === "string");
    return mine.sort((a, b) => a.ts - b.ts || a.nth - b.nth);
  },
  // Another tab has got one through, or given it up.
  onDrop(dropped) {
    addEventListener("storage", ({ key, newValue }) => {
      if (key?.startsWith(QUEUE) && newValue === null) dropped(key.slice(QUEUE.length));
    });
  },
};

// Each person's own: several may use one tab, one after the other.
const draft = (user, room) => DRAFT + JSON.stringify([user, room]);
export const drafts = {
  load: (user, room) => attempt(() => sessionStorage.getItem(draft(user, room))) ?? "",
  save(user, room, text) {
    const key = draft(user, room);
    attempt(() => text ? sessionStorage.setItem(key, text) : sessionStorage.removeItem(key));
  },
};

export const wishes = {
  get notify() { return read("relay:notify") === true; },
  set notify(on) { write("relay:notify", on); },
  // Which tab has the person's eyes, if any.
  get focused() { return read("relay:focused"); },
  set focused(device) { if (device) write("relay:focused", device); else remove("relay:focused"); },
};

export function randomId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Pages that did not come over TLS have no randomUUID.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// This tab's name as a device. A tab that was duplicated has a copy of the other's storage, but not its lock.
export async function deviceOfTab() {
  const kept = attempt(() => sessionStorage.getItem("relay:device"));
  const device = kept && await take(kept) ? kept : randomId();
  if (device !== kept) await take(device);
  attempt(() => sessionStorage.setItem("relay:device", device));
  return device;
}

function take(device) {
  if (!navigator.locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const hold = (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    };
    navigator.locks.request(`relay:device:${device}`, { ifAvailable: true }, hold).catch(() => resolve(true));
  });
}
