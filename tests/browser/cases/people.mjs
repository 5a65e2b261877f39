// Two people and more: what they see of each other.

import assert from "node:assert/strict";
import { test } from "../harness.mjs";
import { member, playRelay, room, speak, welcome } from "../support.mjs";

test("two people on three devices see what was stored, received and read, and how much is unread", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  const phone = await world.enterWithKey(relay.url, await ben.key());
  await phone.open("tea");
  await phone.isIn("tea");
  await ada.write("read at once");
  await ada.seesTick("read at once", "read");

  // Ben is there, and looks elsewhere with both devices.
  for (const device of [ben, phone]) await device.look(false);
  await ada.write("only received");
  await ada.seesTick("only received", "received");
  for (const device of [ben, phone]) await device.seesUnread("tea", 1);
  assert.match(await ben.page.title(), /^\(1\) tea · /);
  const before = await ben.page.$eval(".divider.new", (divider) => divider.nextElementSibling.textContent);
  assert.match(before, /only received/);
  await phone.look(true);
  await ada.seesTick("only received", "read");
  // What one device has read, the other one does not count.
  await ben.seesUnread("tea", 0);
  await ben.page.waitForFunction(() => document.title === "tea · Tautline");

  // With nobody at the other end there is one tick.
  for (const device of [ben, phone]) await device.leave();
  await ada.write("stored");
  await ada.seesTick("stored", "stored");
  assert.equal(await ada.page.locator(".message.mine .tick.read").last().textContent(), "Read by all");
  const again = await world.enterWithKey(relay.url, await ada.key());
  await again.open("tea");
  await again.sees("stored");
  assert.deepEqual(await again.log(), ["read at once", "only received", "stored"]);
  await again.seesTick("only received", "read");
  await again.seesTick("stored", "stored");
});

test("in a group the ticks wait for the last one, and in a big one there is only one tick", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  const cleo = await world.enter(relay.url, "Cleo");
  await cleo.join("tea");
  await cleo.look(false);
  await ada.write("all here?");
  await ben.sees("all here?");
  await ada.seesTick("all here?", "received");
  await cleo.look(true);
  await ada.seesTick("all here?", "read");

  const big = await world.visit(relay.url);
  const log = [];
  await playRelay(big.page, ({ said, ok, say }) => {
    if (said.hello) ok(welcome({ big: room() }));
    if (said.members) ok({ members: [member("Ada"), member("Ben", { recv: 9, read: 9 })], next: 2 });
    if (said.send) {
      log.push(said.send);
      ok({ seq: log.length, ts: Date.now() });
      say({ msg: { ...said.send, seq: log.length, from: "Ada", ts: Date.now() } });
    }
  });
  await big.page.fill("#name", "Ada");
  await big.page.press("#name", "Enter");
  await big.isLive();
  await big.open("big");
  await big.page.waitForFunction(() => /2\+ people/.test(document.getElementById("subtitle").textContent));
  await big.write("to very many");
  await big.sees("to very many");
  await big.seesTick("to very many", "stored");
});

test("who types, who is there, and who was", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  await ada.page.waitForFunction(() => document.getElementById("subtitle").textContent === "2 people, 2 online");
  await ben.page.locator("#text").pressSequentially("hello");
  await ada.page.waitForSelector("#typing:not([hidden])");
  assert.equal(await ada.page.textContent("#typing-text"), "Ben is typing…");
  assert.match(await ada.page.textContent("#rooms [data-room=tea]"), /Ben is typing…/);
  await ben.page.press("#text", "Enter");
  await ada.sees("hello");
  await ada.page.waitForSelector("#typing", { state: "hidden" });
  // Who stops does not type for ever.
  await ben.page.locator("#text").pressSequentially("well");
  await ada.page.waitForSelector("#typing:not([hidden])");
  await ben.page.fill("#text", "");
  await ada.page.waitForSelector("#typing", { state: "hidden", timeout: 3_000 });

  await ada.direct("Ben");
  await ada.page.waitForFunction(() => document.getElementById("subtitle").textContent === "online");
  await ada.page.waitForSelector("#rooms [data-room^='@'] .dot");
  await ben.leave();
  await ada.page.waitForFunction(() => document.getElementById("subtitle").textContent === "last seen just now");
  await ada.page.waitForSelector("#rooms [data-room^='@'] .dot", { state: "detached" });
  await ada.open("tea");
  await ada.page.click("#people-button");
  assert.match(await ada.page.textContent("#members [data-user=Ben]"), /last seen just now/);
});

test("rooms are joined, switched and left, and the list has the newest first", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "lobby");
  for (const text of ["before 1", "before 2"]) await ben.write(text);
  await ada.sees("before 2");
  await ben.join("Tea  Room".toLowerCase().replace("  ", " "));
  await ben.write("who is in?");
  await ada.join("tea room");
  await ada.sees("who is in?");
  await ben.open("lobby");
  for (let n = 1; n <= 3; n += 1) await ben.write(`unread ${n}`);
  await ada.page.waitForFunction(() => document.title.startsWith("(3) tea room"));
  await ada.seesUnread("lobby", 3);
  const names = () => ada.page.$$eval("#rooms .row", (rows) => rows.map((it) => it.dataset.room));
  assert.deepEqual(await names(), ["lobby", "tea room"]);
  assert.match(await ada.page.textContent("#rooms [data-room=lobby] .preview"), /Ben: unread 3/);
  await ada.open("lobby");
  await ada.page.waitForFunction(() => document.title === "lobby · Tautline");
  const after = await ada.page.$eval(".divider.new", (divider) => divider.nextElementSibling.textContent);
  assert.match(after, /unread 1/);

  await ada.page.click("#people-button");
  await ada.page.click("#leave");
  await ada.page.click("#sure-yes");
  await ada.page.waitForSelector("#rooms [data-room=lobby]", { state: "detached" });
  assert.equal(await ada.page.isVisible("#empty"), true);
  await ben.page.waitForFunction(() => document.getElementById("subtitle").textContent === "1 person, 1 online");

  await ada.page.click("#new-button");
  await ada.page.fill("#room-name", "@nowhere");
  await ada.page.press("#room-name", "Enter");
  await ada.page.waitForSelector("#join-problem:not(:empty)");
});

test("an owner lets people in, makes them readers and owners, and out", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ada.join("board", true);
  await ben.page.click("#new-button");
  await ben.page.fill("#room-name", "board");
  await ben.page.press("#room-name", "Enter");
  await ben.page.waitForFunction(() => /let in by an owner/.test(document.getElementById("join-problem").textContent));
  await ben.page.keyboard.press("Escape");

  await ada.page.click("#people-button");
  await ada.page.fill("#add-name", "Nobody");
  await ada.page.press("#add-name", "Enter");
  await ada.page.waitForSelector("#people-problem:not(:empty)");
  await ada.page.fill("#add-name", "Ben");
  await ada.page.press("#add-name", "Enter");
  await ben.open("board");
  await ben.write("thank you");
  await ada.sees("thank you");

  await ada.page.selectOption("#members [data-user=Ben] select", "reader");
  await ben.page.waitForSelector("#cannot:not([hidden])");
  assert.equal(await ben.page.isVisible("#composer"), false);
  await ada.page.selectOption("#members [data-user=Ben] select", "owner");
  await ben.page.waitForSelector("#composer:not([hidden])");
  await ben.page.click("#people-button");
  await ben.page.waitForSelector("#members [data-user=Ada] select");
  await ben.page.click("#people-close");
  await ben.page.fill("#text", "one more thing");

  await ada.page.click("#members [data-user=Ben] [aria-label='Remove Ben']");
  await ada.page.click("#sure-yes");
  await ben.page.waitForSelector("#rooms [data-room=board]", { state: "detached" });
  await ada.page.waitForSelector("#members [data-user=Ben]", { state: "detached" });
});

test("two people write to each other alone", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ada.page.click("#new-button");
  await ada.page.fill("#person", "Nobody");
  await ada.page.press("#person", "Enter");
  await ada.page.waitForSelector("#direct-problem:not(:empty)");
  await ada.page.keyboard.press("Escape");
  // Case does not tell two names apart.
  await ada.page.click("#new-button");
  await ada.page.fill("#person", "ben");
  await ada.page.press("#person", "Enter");
  await ada.isIn("Ben");
  await ada.write("only for you");
  await ben.page.waitForSelector("#rooms [data-room^='@']");
  await ben.page.click("#rooms [data-room^='@']");
  await ben.isIn("Ada");
  await ben.sees("only for you");
  await ada.seesTick("only for you", "read");
  await ben.write("and for you");
  await ada.sees("and for you");
  await ben.page.click("#people-button");
  assert.equal(await ben.page.isVisible("#leave"), false);
  assert.equal(await ben.page.textContent("#portrait .title"), "Ada");
  await ben.page.reload();
  await ben.isLive();
  await ben.isIn("Ada");
  await ben.sees("and for you");
});

test("markup in messages, names and rooms stays text", async (world) => {
  const relay = await world.relay();
  const name = "<img src=x onerror=pwned(1)>";
  const said = [
    "<img src=x onerror=\"pwned(1)\">", "<script>pwned(1)</script>", "<b>bold</b> &amp; &lt;",
    "<svg/onload=pwned(1)>", "</p></li></ol><style>body{display:none}</style>", "javascript:pwned(1)",
    "https://example.com/\"onmouseover=\"pwned(1)", "<iframe srcdoc='<script>parent.pwned(1)</script>'>",
    "{{constructor.constructor('pwned(1)')()}}", "\u202Eright to left", "http://<script>pwned(1)</script>",
  ];
  const ada = await world.enter(relay.url, "<b>Ada</b>");
  const ben = await world.enter(relay.url, "Ben");
  for (const { page } of [ada, ben]) await page.evaluate(() => { window.pwned = () => { window.ran = true; }; });
  for (const person of [ada, ben]) await person.join(name);
  for (const text of said) {
    await ada.write(text);
    await ben.sees(text);
  }
  assert.deepEqual(await ben.log(), said);
  await ben.page.click("#people-button");
  await ben.page.fill("#search", "constructor");
  await ben.page.waitForSelector("#results .row");
  const strange = await ben.page.$$eval("#messages *, #side li *, #people li *, #portrait *", (elements) => {
    const known = new Set(["LI", "SPAN", "DIV", "BDI", "P", "TIME", "A", "I", "BUTTON", "MARK", "svg", "use"]);
    const handlers = (it) => it.getAttributeNames().some((name) => name.startsWith("on") || name === "style");
    return elements.filter((it) => !known.has(it.tagName) || handlers(it)).map((it) => it.outerHTML);
  });
  assert.deepEqual(strange, []);
  const links = await ben.page.$$eval("#messages a", (links) => links.map((it) => [it.href, it.rel]));
  assert.deepEqual(links, [["https://example.com/", "noopener noreferrer"]]);
  assert.equal(await ben.page.textContent(".message .from"), "<b>Ada</b>");
  assert.equal(await ben.page.textContent("#title"), name);
  for (const { page } of [ada, ben]) assert.equal(await page.evaluate(() => window.ran), undefined);

  // And if markup came in, the policy would stop it.
  const ran = await ben.page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.ranInline = true";
    document.body.append(script);
    const image = document.createElement("img");
    image.setAttribute("onerror", "window.ranHandler = true");
    image.src = "/nothing";
    document.body.append(image);
    await new Promise((resolve) => image.addEventListener("error", resolve));
    return Boolean(window.ranInline || window.ranHandler);
  });
  assert.equal(ran, false);
  ben.complaints = ben.complaints.filter((it) => !/Content Security Policy|404/.test(it));
});

test("bodies of a kind that the page does not know do not trouble it", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  await ada.join("tea");
  const bodies = [{}, { text: 7 }, { text: null }, { text: ["<b>"] }, { text: "" }, { html: "<b>x</b>" }, { text: { toString: 1 } }];
  const lines = bodies.map((body, n) => ({ send: { room: "tea", cid: `bot${n}`, body } }));
  await speak(ada.page, { name: "Bot" }, [{ join: { room: "tea" } }, ...lines]);
  await ada.write("still here");
  await ada.sees("still here");
  const log = await ada.log();
  assert.equal(log.length, bodies.length + 1);
  assert.ok(log.slice(0, -1).every((text) => text === "A message of a kind that this page does not know"), log.join("\n"));
});

test("several lines and links are shown as they were written", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  await ada.page.fill("#text", "one\ntwo https://example.com/a?b=1&c=2. three");
  await ada.page.click("#send");
  await ben.sees("one\ntwo https://example.com/a?b=1&c=2. three");
  assert.equal(await ben.page.getAttribute("#messages a", "href"), "https://example.com/a?b=1&c=2");
});
