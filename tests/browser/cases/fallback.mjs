// Events and polling, where no WebSocket gets through.

import assert from "node:assert/strict";
import { test } from "../harness.mjs";

const NO_SOCKETS = `window.WebSocket = class {
  static OPEN = 1;
  readyState = 0;
  constructor() { setTimeout(() => { this.readyState = 3; this.onclose?.({ code: 1006 }); }, 20); }
  send() {}
  close() {}
};`;
// A stream of events that begins and says nothing.
const NO_EVENTS = `const really = window.fetch;
window.fetch = (path, options) => String(path).startsWith("/sse")
  ? new Promise((_, reject) => options.signal.addEventListener("abort", () => reject(new Error("aborted"))))
  : really(path, options);`;

// Two people talk, in whichever way the page has found.
async function talkOver(world, url, kind, options) {
  const ada = await world.enter(url, "Ada", options);
  const ben = await world.enter(url, "Ben", options);
  for (const person of [ada, ben]) {
    assert.equal(await person.page.getAttribute("#state", "data-way"), kind);
    await person.join("tea");
  }
  for (let n = 1; n <= 5; n += 1) {
    await ada.write(`ada ${n}`);
    await ben.write(`ben ${n} — ünï`);
  }
  for (const person of [ada, ben]) for (const text of ["ada 5", "ben 5 — ünï"]) await person.sees(text);
  const log = await ada.log();
  assert.equal(log.length, 10);
  assert.deepEqual(await ben.log(), log);
  assert.deepEqual(log.filter((it) => it.startsWith("ada")), [1, 2, 3, 4, 5].map((n) => `ada ${n}`));
  await ada.seesTick("ada 5", "read");
  assert.equal(await ada.page.locator("#pending .message").count(), 0);
  return [ada, ben];
}

test("without WebSockets the page uses events, and comes back when they end", async (world) => {
  const relay = await world.fake();
  const [ada, ben] = await talkOver(world, relay.url, "events");
  for (const code of [undefined, 4002]) {
    relay.endStreams(code);
    await ada.isNotLive();
    await ada.isLive();
    await ben.isLive();
  }
  await ben.write("after it");
  await ada.sees("after it");
  await ada.page.reload();
  await ada.isLive();
  await ada.sees("after it");
  assert.equal((await ada.log()).length, 11);
  relay.endStreams(4500);
  await ada.page.waitForSelector("#state[data-state=stopped]", { state: "attached" });
  await ada.page.click("#menu-button");
  assert.match(await ada.page.textContent("#way"), /Not connected/);
});

test("without WebSockets and events the page polls", async (world) => {
  const relay = await world.fake();
  relay.sse = "silence";
  const [ada, ben] = await talkOver(world, relay.url, "polling");
  await ben.write("after it");
  await ada.sees("after it");
  assert.equal((await ada.log()).length, 11);
  assert.ok(relay.asked.filter((it) => it === "/poll").length < 200, "it waits for the answers");
});

test("where only WebSockets are served, the page keeps trying them", async (world) => {
  const relay = await world.fake();
  relay.sse = "missing";
  const script = `window.sockets = 0;
    window.WebSocket = class {
      static OPEN = 1;
      constructor() {
        window.sockets += 1;
        const works = window.sockets > 3;
        this.readyState = works ? 1 : 3;
        setTimeout(() => works ? this.onopen() : this.onclose({ code: 1006 }), 20);
      }
      send(text) {
        const { id, hello } = JSON.parse(text);
        if (hello) this.onmessage({ data: JSON.stringify({ id, ok: { user: "Ada", ping_s: 25, rooms: {} } }) });
      }
      close() {}
    };`;
  const ada = await world.enter(relay.url, "Ada", { script });
  assert.equal(await ada.page.getAttribute("#state", "data-way"), "socket");
  assert.equal(await ada.page.evaluate(() => window.sockets), 4);
  assert.ok(relay.asked.includes("/sse"));
});

for (const [name, kind, script] of [["events", "events", NO_SOCKETS], ["long polling", "polling", NO_SOCKETS + NO_EVENTS]]) {
  test(`the relay's own ${name} carry the page where a WebSocket does not get through`, async (world) => {
    const relay = await world.relay();
    if (!await relay.hasFallbacks()) {
      world.skipped = "this relay answers 404 on /sse";
      return;
    }
    const [ada, ben] = await talkOver(world, relay.url, kind, { script });
    await ada.page.reload();
    await ada.isLive();
    await ada.sees("ben 5 — ünï");
    await ben.write("after it");
    await ada.sees("after it");
    assert.equal((await ada.log()).length, 11);
  });
}
