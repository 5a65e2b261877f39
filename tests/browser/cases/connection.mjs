// What happens when the connection or the relay goes away, and when the relay refuses something.

import assert from "node:assert/strict";
import { test } from "../harness.mjs";
import { member, playRelay, room, welcome } from "../support.mjs";

test("who was offline misses nothing and doubles nothing, and what was written is sent once, in order", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const [ada, ben] = await world.two(relay.url, "tea", line.url);
  await ada.write("1: both are here");
  await ben.sees("1: both are here");

  line.cut();
  await ben.isNotLive();
  for (let n = 2; n <= 4; n += 1) await ada.write(`${n}: ben is away`);
  await ada.seesTick("4: ben is away", "stored");
  for (let n = 5; n <= 9; n += 1) await ben.write(`${n}: written offline`);
  await ben.page.waitForFunction(() => document.querySelectorAll("#pending .tick.waiting").length === 5);
  await ben.page.waitForSelector("#banner:not([hidden])");
  assert.match(await ben.page.textContent("#banner-text"), /is kept, and sent when you are back/);
  assert.deepEqual(await ben.log(), ["1: both are here"]);

  line.restore();
  await ben.isLive();
  await ada.sees("9: written offline");
  await ada.write("10: back together");
  for (const person of [ada, ben]) await person.sees("10: back together");
  const log = await ada.log();
  assert.deepEqual(log.map((text) => Number(text.split(":")[0])), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(await ben.log(), log);
  assert.equal(await ben.page.locator("#pending .message").count(), 0);
  assert.equal(await ben.page.isVisible("#banner"), false);
});

test("what one has written oneself is not unread, wherever one looks when it is sent", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const [ada, ben] = await world.two(relay.url, "tea", line.url);
  await ben.join("cake");
  await ben.open("tea");
  line.cut();
  await ben.isNotLive();
  await ben.write("written offline");
  await ben.open("cake");
  line.restore();
  await ada.sees("written offline");
  await ada.write("answered");
  await ben.seesUnread("tea", 1);
});

test("what waits to be sent survives a page that is closed", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  // The page comes, its socket does not.
  let blocked = true;
  await ben.page.routeWebSocket(/\/ws$/, (socket) => {
    if (blocked) socket.close({ code: 1012 });
    else socket.connectToServer();
  });
  await ben.page.reload();
  await ben.page.waitForSelector("body[data-screen=app]");
  assert.equal(await ben.page.textContent("#my-name"), "Ben");
  // Nothing is known of the rooms yet, so it is put where the page keeps it.
  await ben.page.evaluate(() => {
    for (const n of [1, 2, 3]) {
      const message = { cid: `kept-${n}`, user: "Ben", room: "tea", text: `kept ${n}`, ts: 1000, nth: n };
      localStorage.setItem(`relay:queue:kept-${n}`, JSON.stringify(message));
    }
  });
  blocked = false;
  await ben.page.reload();
  await ben.isLive();
  await ada.sees("kept 3");
  await ben.page.reload();
  await ben.isLive();
  await ben.sees("kept 3");
  assert.deepEqual(await ada.log(), ["kept 1", "kept 2", "kept 3"]);
  assert.deepEqual(await ben.log(), await ada.log());
  assert.deepEqual(await ben.page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("relay:queue:"))), []);
});

test("a message whose answer was lost arrives once", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const [ada, ben] = await world.two(relay.url, "tea", line.url);
  for (let n = 1; n <= 3; n += 1) {
    line.loseAnswers();
    await ben.write(`lost ${n}`);
    await ada.sees(`lost ${n}`);
    await ben.page.waitForSelector("#pending .message");
    line.cut();
    await ben.isNotLive();
    await ada.write(`meanwhile ${n}`);
    line.restore();
    await ben.isLive();
    await ben.sees(`meanwhile ${n}`);
    await ben.page.waitForSelector("#pending .message", { state: "detached" });
  }
  await ada.sees("meanwhile 3");
  const log = await ada.log();
  assert.deepEqual(log, [1, 2, 3].flatMap((n) => [`lost ${n}`, `meanwhile ${n}`]));
  assert.deepEqual(await ben.log(), log);
});

test("a connection that has fallen silent is given up and replaced", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const [ada, ben] = await world.two(relay.url, "tea", line.url);
  line.fallSilent();
  await ben.write("into the silence");
  await ada.write("can you hear me?");
  await ben.isNotLive();
  line.restore();
  await ben.isLive();
  for (const person of [ada, ben]) for (const text of ["into the silence", "can you hear me?"]) await person.sees(text);
  assert.equal((await ada.log()).length, 2);
  assert.deepEqual(await ben.log(), await ada.log());
});

test("a relay that is killed and started again has lost nothing, and says nothing twice", async (world) => {
  const folder = await world.folder();
  const first = await world.relay("--data", folder);
  const line = await world.proxy(first.port);
  const [ada, ben] = await world.two(line.url, "tea");
  for (let n = 1; n <= 5; n += 1) await ada.write(`before ${n}`);
  await ada.seesTick("before 5", "read");
  await first.stop("SIGKILL");
  line.cut();
  for (const person of [ada, ben]) await person.isNotLive();
  await ada.write("in between");
  await ben.write("in between, too");

  const second = await world.relay("--data", folder);
  line.port = second.port;
  line.restore();
  for (const person of [ada, ben]) {
    await person.isLive();
    for (const text of ["in between", "in between, too"]) await person.sees(text);
  }
  const log = await ada.log();
  assert.deepEqual(log.slice(0, 5), [1, 2, 3, 4, 5].map((n) => `before ${n}`));
  assert.deepEqual([...log.slice(5)].sort(), ["in between", "in between, too"]);
  assert.deepEqual(await ben.log(), log);
  await ada.seesTick("in between", "read");
});

test("when the relay has forgotten everybody, one comes in again under the same name", async (world) => {
  const first = await world.relay();
  const line = await world.proxy(first.port);
  const ada = await world.enter(line.url, "Ada");
  await ada.join("tea");
  await first.stop("SIGKILL");
  line.cut();
  await ada.isNotLive();
  await ada.write("in between");
  const second = await world.relay();
  line.port = second.port;
  line.restore();
  await ada.page.waitForSelector("body[data-screen=welcome]", { timeout: 20_000 });
  assert.match(await ada.page.textContent("#enter-problem"), /does not know you any more/);
  assert.equal(await ada.page.inputValue("#name"), "Ada");
  await ada.page.click("#enter-button");
  await ada.isLive();
  // What waited has no room any more, and says so until it is deleted.
  await ada.open("tea");
  assert.match(await ada.page.textContent("#pending .failed"), /in between.*not in this conversation any more/s);
  await ada.page.getByText("Delete").click();
  await ada.page.waitForSelector("#rooms [data-room=tea]", { state: "detached" });
});

test("a page that is loaded again knows who it is, and shows the history once", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "lobby");
  await ben.join("tea");
  for (let n = 1; n <= 4; n += 1) await ada.write(`m${n}`);
  await ada.sees("m4");
  await ada.page.fill("#text", "half a thou");
  await ada.page.reload();
  await ada.isLive();
  await ada.sees("m4");
  assert.deepEqual(await ada.log(), ["m1", "m2", "m3", "m4"]);
  assert.equal(await ada.page.inputValue("#text"), "half a thou");
  assert.equal(await ada.page.locator(".divider.new").count(), 0);

  // Ben is in another room, with four unread in the lobby; they still are after he comes back.
  await ben.seesUnread("lobby", 4);
  await ben.page.reload();
  await ben.isLive();
  await ben.seesUnread("lobby", 4);
  assert.equal(await ben.page.title(), "(4) tea · Tautline");
});

test("several tabs work side by side", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  const tab = await ada.openTab(`${relay.url}#tea`);
  await tab.waitForSelector("#state[data-state=live]", { state: "attached" });
  await ben.write("to both");
  await ada.sees("to both");
  await tab.waitForFunction(() => document.querySelector("#messages .body")?.textContent === "to both");
  await tab.fill("#text", "from the second tab");
  await tab.press("#text", "Enter");
  await ada.sees("from the second tab");
  await ben.sees("from the second tab");

  // A tab that was duplicated has a copy of the other one's storage, and is still another device.
  const [copy] = await Promise.all([ada.context.waitForEvent("page"), ada.page.evaluate(() => { window.open("/#tea"); })]);
  await copy.waitForSelector("#state[data-state=live]", { state: "attached" });
  await copy.waitForFunction(() => document.querySelectorAll("#messages .body").length === 2);
  await copy.waitForTimeout(500);
  for (const page of [ada.page, tab, copy]) assert.equal(await page.getAttribute("#state", "data-state"), "live");

  // Signing out in one is signing out.
  await copy.click("#menu-button");
  await copy.click("#sign-out");
  await copy.click("#sure-yes");
  for (const page of [copy, tab, ada.page]) await page.waitForSelector("body[data-screen=welcome]");
});

test("a relay that sends one away is obeyed, and a button comes back", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const played = await playRelay(ada.page, ({ said, ok }) => {
    if (said.hello) ok(welcome({ tea: room() }));
    if (said.members) ok({ members: [member("Ada")] });
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  for (const [code, text] of [[4500, /too much came from here/], [4501, /another tab/]]) {
    await played.close(code);
    await ada.page.waitForSelector("#state[data-state=stopped]", { state: "attached" });
    assert.match(await ada.page.textContent("#banner-text"), text);
    const before = played.sockets;
    await ada.page.waitForTimeout(2_500);
    assert.equal(played.sockets, before, "it does not come back by itself");
    await ada.page.click("#banner-button");
    await ada.isLive();
  }
  for (const code of [4001, 4002, 1001]) {
    const before = played.sockets;
    await played.close(code);
    await ada.isNotLive();
    await ada.isLive();
    assert.equal(played.sockets, before + 1);
  }
  await played.close(4502);
  await ada.page.waitForSelector("body[data-screen=welcome]");
  assert.match(await ada.page.textContent("#enter-problem"), /signed out/);
});

test("what the relay cannot store waits, and what it will not have is given back", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const log = [];
  let refusal = null;
  await playRelay(ada.page, ({ said, ok, err, say }) => {
    if (said.hello) ok(welcome({ tea: room() }));
    if (said.members) ok({ members: [member("Ada")] });
    if (!said.send) return;
    if (refusal) return err(refusal);
    log.push(said.send.body.text);
    ok({ seq: log.length, ts: Date.now() });
    say({ msg: { ...said.send, seq: log.length, from: "Ada", ts: Date.now() } });
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  await ada.open("tea");
  for (const code of ["rate", "busy"]) {
    refusal = { code, text: "slower", retry_ms: 300 };
    await ada.write(code);
    await ada.page.waitForSelector("#pending .tick.waiting");
    refusal = null;
    await ada.sees(code);
  }
  refusal = { code: "storage", text: "the disk is full" };
  await ada.write("first");
  await ada.write("second");
  await ada.page.waitForSelector("#pending .why");
  assert.match(await ada.page.textContent("#pending .why"), /cannot store/);
  refusal = null;
  await ada.sees("second");
  refusal = { code: "too_long", text: "a body has at most 8192 bytes" };
  await ada.write("very long");
  await ada.page.waitForSelector("#pending .failed");
  assert.match(await ada.page.textContent("#pending .failed"), /Not sent: it is too long/);
  refusal = null;
  await ada.page.getByText("Try again").click();
  await ada.sees("very long");
  refusal = { code: "forbidden", text: "you may only read here" };
  await ada.write("no");
  await ada.page.getByText("Delete").click();
  await ada.page.waitForSelector("#pending .message", { state: "detached" });
  assert.deepEqual(log, ["rate", "busy", "first", "second", "very long"]);
  assert.equal(await ada.page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith("relay:queue:"))), false);
});

test("a message that is too long is not sent, and can be edited", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  await ada.join("tea");
  for (const length of [9_000, 70_000]) {
    await ada.write("x".repeat(length));
    await ada.page.waitForSelector("#pending .failed");
    assert.match(await ada.page.textContent("#pending .failed .why"), /too long/);
    await ada.page.getByText("Edit").click();
    assert.equal((await ada.page.inputValue("#text")).length, length);
    await ada.page.waitForSelector("#pending .message", { state: "detached" });
  }
  await ada.write("x".repeat(8_000));
  await ada.sees("x".repeat(8_000));
  assert.equal((await ada.log()).length, 1);
});

test("someone who types very fast is slowed down, and nothing is lost", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  await ada.page.evaluate(() => {
    const [text, composer] = ["text", "composer"].map((id) => document.getElementById(id));
    for (let n = 0; n < 260; n += 1) {
      text.value = `fast ${n}`;
      composer.requestSubmit();
    }
  });
  await ben.sees("fast 259", 70_000);
  const expected = Array.from({ length: 260 }, (_, n) => `fast ${n}`);
  assert.deepEqual(await ben.log(), expected);
  await ada.sees("fast 259");
  await ada.page.waitForSelector("#pending .message", { state: "detached" });
  assert.deepEqual(await ada.log(), expected);
});

test("a gap is filled page by page, and a reset begins anew", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const message = (seq, text = `m${seq}`) => ({ room: "tea", seq, from: "Bot", cid: `c${seq}`, ts: Date.now(), body: { text } });
  const hellos = [];
  const played = await playRelay(ada.page, ({ said, ok, say }) => {
    if (said.hello) {
      hellos.push(said.hello);
      ok(welcome({ tea: room({ head: hellos.length > 1 ? 2 : 0, epoch: hellos.length > 1 ? "f" : "e" }) }));
      if (hellos.length === 1) return;
      say({ reset: { room: "tea", epoch: "f", first: 1, head: 2 } });
      for (const seq of [1, 2]) say({ msg: message(seq, `new ${seq}`) });
      say({ live: { room: "tea", head: 2 } });
    } else if (said.members) {
      ok({ members: [member("Ada")] });
    } else if (said.get) {
      const first = said.get.to > 20 ? 51 : 1;
      const from = Math.max(first, said.get.from);
      const msgs = Array.from({ length: Math.min(10, said.get.to - from + 1) }, (_, n) => message(from + n));
      ok({ room: "tea", first, head: 150, msgs });
    }
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  await ada.open("tea");
  for (const seq of [1, 2]) played.say({ msg: message(seq) });
  await ada.sees("m2");
  for (const seq of [2, 1, 20]) played.say({ msg: message(seq) });
  await ada.sees("m20");
  assert.deepEqual(await ada.log(), Array.from({ length: 20 }, (_, n) => `m${n + 1}`));
  // The relay has forgotten what is between.
  played.say({ msg: message(150) });
  await ada.sees("m150");
  assert.deepEqual(await ada.log(), Array.from({ length: 100 }, (_, n) => `m${n + 51}`));

  await played.close(1012);
  await ada.isNotLive();
  await ada.sees("new 2");
  assert.deepEqual(hellos[1].at, { tea: ["e", 150] });
  assert.deepEqual(await ada.log(), ["new 1", "new 2"]);
});

test("a room may be called __proto__", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const [ada, ben] = await world.two(relay.url, "__proto__", line.url);
  await ada.write("one");
  await ben.sees("one");
  line.cut();
  await ben.isNotLive();
  await ada.write("two, while Ben is away");
  await ada.sees("two, while Ben is away");
  line.restore();
  await ben.isLive();
  await ben.sees("two, while Ben is away");
  assert.deepEqual(await ben.log(), ["one", "two, while Ben is away"]);
});

test("a hello that the relay cannot read is said, and not waited for", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const text = "a line has at most 196608 bytes";
  await playRelay(ada.page, ({ said, say }) => {
    if (said.hello) say({ err: { code: "too_long", text } });
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.page.waitForFunction((said) => document.getElementById("enter-problem").textContent.includes(said), text);
});
