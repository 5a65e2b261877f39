// What the cases in `cases/` are made with: a name, and a world in which everything that is opened is closed after it.

import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { FakeRelay } from "./fake.mjs";
import { Person, Proxy, Relay } from "./support.mjs";

export const tests = [];
export const test = (name, run) => tests.push({ name, run });

let theBrowser;
export const browser = () => theBrowser;
export const useBrowser = (it) => { theBrowser = it; };

// Each test has a relay of its own, and everything that it opened is closed after it.
export function world() {
  const open = [];
  const keep = async (thing, end) => {
    const kept = await thing;
    open.push(() => end(kept));
    return kept;
  };
  return {
    people: [],
    relay: (...flags) => keep(Relay.start(...flags), (relay) => relay.stop("SIGKILL")),
    proxy: (port) => keep(Proxy.start(port), (proxy) => proxy.stop()),
    fake: () => keep(FakeRelay.start(), (relay) => relay.stop()),
    server: (server) => keep(server, (server) => server.close()),
    folder: () => keep(mkdtemp(path.join(os.tmpdir(), "relay-")), (folder) => rm(folder, { recursive: true, force: true })),
    async visit(url, options) {
      const person = await keep(Person.visit(browser(), url, options), (person) => person.leave());
      this.people.push({ person, host: new URL(url).host });
      return person;
    },
    async enter(url, name, options) {
      const person = await keep(Person.enter(browser(), url, name, options), (person) => person.leave());
      this.people.push({ person, host: new URL(url).host });
      return person;
    },
    async enterWithKey(url, key, options) {
      const person = await keep(Person.enterWithKey(browser(), url, key, options), (person) => person.leave());
      this.people.push({ person, host: new URL(url).host });
      return person;
    },
    // Ada and Ben in a room.
    async two(url, name, other = url) {
      const [ada, ben] = [await this.enter(url, "Ada"), await this.enter(other, "Ben")];
      for (const person of [ada, ben]) await person.join(name);
      return [ada, ben];
    },
    async end() {
      for (const end of open.reverse()) {
        try {
          await end();
        } catch (error) {
          console.log(error.stack);
        }
      }
    },
  };
}
