// The page in real Chromium, with the real relay. Run by `tests/browser/run`.

import assert from "node:assert/strict";
import http from "node:http";
import { Person, playRelay, Proxy, Relay, speak, startBrowser, welcome, within } from "./support.mjs";

const ONE_TEST_WITHIN_MS = 60_000;
// What a browser says by itself when a connection is cut, whatever the page does about it.
const CUT = /WebSocket connection to .* failed/;

let browser;
const tests = [];
const test = (name, run) => tests.push({ name, run });

// Each test has a relay of its own, and everything that it opened is closed after it.
function world() {
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
    server: (server) => keep(server, (server) => server.close()),
    async visit(url, options) {
      const person = await keep(Person.visit(browser, url, options), (person) => person.leave());
      this.people.push({ person, host: new URL(url).host });
      return person;
    },
    async enter(url, name, options) {
      const person = await keep(Person.enter(browser, url, name, options), (person) => person.leave());
      this.people.push({ person, host: new URL(url).host });
      return person;
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

// ---------------------------------------------------------------------------------------------------------------

test("the files come with a strict policy, and nothing else comes", async (world) => {
  const relay = await world.relay();
  const types = { "": "text/html", "app.js": "text/javascript", "style.css": "text/css", "favicon.svg": "image/svg+xml" };
  for (const [file, type] of Object.entries(types)) {
    const answer = await fetch(relay.url + file);
    assert.equal(answer.status, 200, file);
    assert.ok(answer.headers.get("content-type").startsWith(type), file);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.equal(answer.headers.get("referrer-policy"), "no-referrer");
    const policy = answer.headers.get("content-security-policy");
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'",
      "form-action 'none'", "frame-ancestors 'none'", `connect-src 'self' ws://${relay.host} wss://${relay.host}`]) {
      assert.ok(policy.split("; ").includes(rule), `${rule} in ${policy}`);
    }
    assert.ok(!/unsafe|\*/.test(policy));
  }
  assert.equal((await fetch(relay.url, { method: "HEAD" })).status, 200);
  assert.equal((await fetch(relay.url, { method: "POST" })).status, 405);
  assert.equal((await fetch(`${relay.url}../Cargo.toml`)).status, 404);
  assert.equal((await fetch(`${relay.url}ws`)).status, 426);
});

test("two people chat, and see each other and who types", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ada.page.waitForSelector("#here li:nth-child(2)");
  assert.deepEqual(await ada.page.$$eval("#here .name", (names) => names.map((it) => it.textContent)), ["Ada", "Ben"]);
  assert.equal(await ada.page.textContent("#subtitle"), "2 people here");

  await ben.page.locator("#text").pressSequentially("hello");
  await ada.page.waitForSelector("#typing:not([hidden])");
  assert.equal(await ada.page.textContent("#typing-text"), "Ben is typing…");
  await ben.page.press("#text", "Enter");
  await ada.sees("hello");
  await ada.page.waitForSelector("#typing", { state: "hidden" });
  for (let n = 1; n <= 5; n += 1) {
    await ada.write(`ada ${n}`);
    await ben.write(`ben ${n}`);
  }
  for (const person of [ada, ben]) for (const name of ["ada", "ben"]) await person.sees(`${name} 5`);
  const log = await ada.log();
  assert.equal(log.length, 11);
  assert.deepEqual(await ben.log(), log);
  assert.equal(await ada.page.locator("#messages .mine").count(), 5);
  assert.equal(await ada.page.locator("#pending .message").count(), 0);

  // Several lines, and a link.
  await ada.page.fill("#text", "one\ntwo https://example.com/a?b=1&c=2. three");
  await ada.page.click("#send");
  await ben.sees("one\ntwo https://example.com/a?b=1&c=2. three");
  assert.equal(await ben.page.getAttribute("#messages a", "href"), "https://example.com/a?b=1&c=2");

  await ben.leave();
  await ada.page.waitForSelector("#away li");
  assert.match(await ada.page.textContent("#away"), /Ben.*just now/);
});

test("messages are compressed between relay and browser, and the page shows nothing of it", async (world) => {
  const relay = await world.relay();
  const proxy = await world.proxy(relay.port);
  const ada = await world.enter(proxy.url, "Ada");
  const text = "as the waves come and go, ".repeat(40).trim();
  await ada.write(text);
  await ada.sees(text);
  const said = Buffer.concat(proxy.said).toString("latin1");
  assert.match(said, /^Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r$/m);
  assert.ok(!said.includes("waves come and go, as the waves"), "a text that was said was not compressed");
});

test("rooms are joined, switched and left, and count what is unread", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  for (const text of ["before 1", "before 2"]) await ben.write(text);
  await ada.sees("before 2");
  await ben.join("Tea  Room");
  assert.equal(await ben.page.textContent("#title"), "#tea room");
  await ben.write("who is in?");
  await ben.sees("who is in?");

  // By its address; its history is there, and the lobby counts.
  await ada.page.evaluate(() => { location.hash = "#tea room"; });
  await ada.sees("who is in?");
  assert.deepEqual(await ada.log(), ["who is in?"]);
  await ben.page.click("[data-room=lobby]");
  for (let n = 1; n <= 3; n += 1) await ben.write(`unread ${n}`);
  await ada.page.waitForFunction(() => document.title.startsWith("(3)"));
  assert.equal(await ada.page.textContent("[data-room=lobby] .count"), "3 unread");
  await ada.page.click("[data-room=lobby]");
  await ada.page.waitForFunction(() => document.title === "#lobby · Tautline");
  const after = await ada.page.$eval(".divider.new", (divider) => divider.nextElementSibling.textContent);
  assert.match(after, /unread 1/);

  await ada.page.click("[data-room='tea room']");
  await ada.page.click("#leave");
  await ada.page.waitForSelector("[data-room='tea room']", { state: "detached" });
  assert.equal(await ada.page.textContent("#title"), "#lobby");
  await ada.page.click("#leave");
  await ada.page.waitForSelector("#empty:not([hidden])");
  await ada.join("elsewhere");
  assert.equal(await ada.page.locator("#empty").isVisible(), false);
  assert.equal(await ben.page.locator("#here li").count(), 1);

  await ada.page.fill("#room-name", "x".repeat(49));
  await ada.page.press("#room-name", "Enter");
  await ada.page.waitForSelector("#join-problem:not(:empty)");
});

test("markup in messages, names and rooms stays text", async (world) => {
  const relay = await world.relay();
  const room = "<img src=x onerror=pwned(1)>";
  const texts = [
    "<img src=x onerror=\"pwned(1)\">", "<script>pwned(1)</script>", "<b>bold</b> &amp; &lt;",
    "<svg/onload=pwned(1)>", "</p></li></ol><style>body{display:none}</style>", "javascript:pwned(1)",
    "https://example.com/\"onmouseover=\"pwned(1)", "<iframe srcdoc='<script>parent.pwned(1)</script>'>",
    "{{constructor.constructor('pwned(1)')()}}", "\u202Eright to left", "http://<script>pwned(1)</script>",
  ];
  const ada = await world.enter(relay.url, "<b>Ada</b>");
  const ben = await world.enter(relay.url, "Ben");
  for (const { page } of [ada, ben]) await page.evaluate(() => { window.pwned = () => { window.ran = true; }; });
  for (const person of [ada, ben]) await person.join(room);
  for (const text of texts) {
    await ada.write(text);
    await ben.sees(text);
  }
  assert.deepEqual(await ben.log(), texts);
  const strange = await ben.page.$$eval("#messages *, #rooms *, #people li *", (elements) => {
    const known = new Set(["LI", "SPAN", "DIV", "BDI", "P", "TIME", "A", "BUTTON", "svg", "use"]);
    const handlers = (it) => it.getAttributeNames().some((name) => name.startsWith("on") || name === "style");
    return elements.filter((it) => !known.has(it.tagName) || handlers(it)).map((it) => it.outerHTML);
  });
  assert.deepEqual(strange, []);
  assert.deepEqual(await ben.page.$$eval("#messages a", (links) => links.map((it) => it.href)), ["https://example.com/"]);
  assert.equal(await ben.page.textContent(".message .from"), "<b>Ada</b>");
  assert.equal(await ben.page.textContent("#title"), `#${room}`);
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

test("bodies that another client sends do not trouble the page", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const bodies = [{}, { text: 7 }, { text: null }, { text: ["<b>"] }, { text: "" }, { html: "<b>x</b>" }, { text: { toString: 1 } }];
  await speak(ada.page, "Bot", "lobby", bodies.map(({ text }) => text));
  await ada.write("still here");
  await ada.sees("still here");
  const log = await ada.log();
  assert.equal(log.length, bodies.length + 1);
  assert.ok(log.slice(0, -1).every((text) => text === "(a message that this page cannot show)"), log.join("\n"));
});

test("a name in use is refused, and what is wrong with a name is said", async (world) => {
  const relay = await world.relay();
  await world.enter(relay.url, "Ada");
  const other = await world.visit(relay.url);
  for (const [name, problem] of [["ada", /somebody has this name/], ["  ", /Choose a name/], ["...", /letter or a digit/]]) {
    await other.page.fill("#name", name);
    await other.page.press("#name", "Enter");
    await other.page.waitForFunction((pattern) => {
      return new RegExp(pattern).test(document.getElementById("name-problem").textContent);
    }, problem.source);
    assert.equal(await other.page.getAttribute("#name", "aria-invalid"), "true");
  }
  await other.page.fill("#name", "Ben");
  await other.page.click("#enter-button");
  await other.isLive();
  assert.equal(await other.page.textContent("#my-name"), "Ben");
});

test("a page of another site cannot open the socket, unless it is allowed", async (world) => {
  const elsewhere = http.createServer((_, answer) => {
    answer.setHeader("Content-Type", "text/html");
    answer.end("<title>elsewhere</title>");
  });
  await new Promise((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
  await world.server(elsewhere);
  const origin = `http://127.0.0.1:${elsewhere.address().port}`;
  const relay = await world.relay();
  const open = await world.relay("--origin", origin);

  const status = (relay, origin) => new Promise((resolve, reject) => {
    const request = http.get({
      host: "127.0.0.1", port: relay.port, path: "/ws", timeout: 5_000,
      headers: {
        Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "relay.v1",
        ...(origin ? { Origin: origin } : {}),
      },
    });
    request.on("response", (answer) => { answer.resume(); resolve(answer.statusCode); });
    request.on("upgrade", (_, socket) => { socket.destroy(); resolve(101); });
    request.on("error", reject);
  });
  for (const foreign of [origin, "http://evil.example", "null", "http://127.0.0.1", `https://${relay.host}`]) {
    assert.equal(await status(relay, foreign), 403, foreign);
  }
  assert.equal(await status(relay, `http://${relay.host}`), 101);
  assert.equal(await status(relay), 101, "a program that is no browser");
  assert.equal(await status(open, origin), 101);
  assert.equal(await status(open, `http://${open.host}`), 101);
  assert.equal(await status(open, "http://evil.example"), 403);

  const page = await browser.newPage();
  try {
    await page.goto(origin);
    const opens = (host) => page.evaluate((host) => new Promise((resolve) => {
      const socket = new WebSocket(`ws://${host}/ws`, "relay.v1");
      socket.onopen = () => { socket.close(); resolve(true); };
      socket.onerror = () => resolve(false);
    }), host);
    assert.equal(await opens(relay.host), false);
    assert.equal(await opens(open.host), true);
  } finally {
    await page.close();
  }
});

test("who was offline misses nothing and doubles nothing", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(line.url, "Ben");
  await ada.write("1: both are here");
  await ben.sees("1: both are here");

  line.cut();
  await ben.isNotLive();
  await ada.page.waitForSelector("#away li");
  for (let n = 2; n <= 6; n += 1) await ada.write(`${n}: ben is away`);
  await ada.sees("6: ben is away");
  for (const text of ["7: written offline", "8: written offline too"]) await ben.write(text);
  assert.equal(await ben.page.locator("#pending .waiting").count(), 2);
  await ben.page.waitForSelector("#banner:not([hidden])");
  assert.match(await ben.page.textContent("#banner-text"), /kept, and sent when you are back/);
  assert.deepEqual(await ben.log(), ["1: both are here"]);

  line.restore();
  await ben.isLive();
  await ada.sees("8: written offline too");
  await ada.write("9: back together");
  for (const person of [ada, ben]) await person.sees("9: back together");
  const log = await ada.log();
  assert.deepEqual(log.map((text) => Number(text.split(":")[0])), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(await ben.log(), log);
  assert.equal(await ben.page.locator("#pending .message").count(), 0);
  assert.equal(await ben.page.locator("#banner").isVisible(), false);
  assert.equal(await ada.page.locator("#here li").count(), 2);
});

test("a message whose answer was lost arrives once", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(line.url, "Ben");
  for (let n = 1; n <= 3; n += 1) {
    line.loseAnswers();
    await ben.write(`lost ${n}`);
    await ada.sees(`lost ${n}`);
    assert.equal(await ben.page.locator("#pending .message").count(), 1);
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
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(line.url, "Ben");
  line.fallSilent();
  await ben.write("into the silence");
  await ada.write("can you hear me?");
  await ben.isNotLive();
  // The relay still thinks that the old connection lives; the token lets the new one take over.
  assert.equal(await ada.page.locator("#here li").count(), 2);
  line.restore();
  await ben.isLive();
  for (const person of [ada, ben]) for (const text of ["into the silence", "can you hear me?"]) await person.sees(text);
  assert.equal((await ada.log()).length, 2);
  assert.deepEqual(await ben.log(), await ada.log());
});

test("who was away for more than the relay keeps is told so", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(line.url, "Ben");
  await ada.write("long ago");
  await ben.sees("long ago");
  line.cut();
  await ben.isNotLive();
  const texts = Array.from({ length: 120 }, (_, n) => `m${n}`);
  await speak(ada.page, "Bot", "lobby", texts);
  line.restore();
  await ben.isLive();
  await ben.sees("m119");
  assert.deepEqual(await ben.log(), ["long ago", ...texts.slice(20)]);
  assert.match(await ben.page.textContent(".divider.note"), /missing/);
  await ada.sees("m119");
  assert.deepEqual(await ada.log(), ["long ago", ...texts]);

  const cleo = await world.enter(relay.url, "Cleo");
  await cleo.sees("m119");
  assert.deepEqual(await cleo.log(), texts.slice(20));
  assert.match(await cleo.page.textContent("#top-note"), /no longer kept/);
});

test("when the relay is started anew, everybody comes back", async (world) => {
  const first = await world.relay();
  const line = await world.proxy(first.port);
  const people = [await world.enter(line.url, "Ada"), await world.enter(line.url, "Ben")];
  const [ada, ben] = people;
  await ada.join("tea");
  await ben.join("tea");
  await ada.write("before");
  await ben.sees("before");

  assert.deepEqual(await first.stop(), { code: 0, signal: null });
  await ada.isNotLive();
  await ada.write("in between");
  const second = await world.relay();
  line.port = second.port;
  for (const person of people) {
    await person.isLive();
    await person.sees("in between");
    await person.sees("before");
    assert.deepEqual(await person.log(), ["before", "in between"]);
    assert.match(await person.page.textContent(".divider.note"), /started anew/);
    assert.equal(await person.page.locator("#rooms .room").count(), 2);
  }
});

test("a page that is loaded again knows who it is, and shows the history once", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ben.join("tea");
  for (let n = 1; n <= 4; n += 1) await ada.write(`m${n}`);
  await ada.page.fill("#text", "half a thou");
  await ada.sees("m4");
  await ada.page.waitForTimeout(300);
  await ada.page.reload();
  await ada.isLive();
  await ada.sees("m4");
  assert.deepEqual(await ada.log(), ["m1", "m2", "m3", "m4"]);
  assert.equal(await ada.page.inputValue("#text"), "half a thou");
  assert.equal(await ada.page.locator(".divider.new").count(), 0);

  // Ben is in another room, with four unread in the lobby; they still are after he comes back.
  await ben.page.waitForFunction(() => document.title.startsWith("(4)"));
  await ben.page.reload();
  await ben.isLive();
  await ben.page.waitForFunction(() => document.title === "(4) #tea · Tautline");
});

test("another tab asks before it takes the name", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  await ada.write("from the first tab");
  await ada.sees("from the first tab");
  await ada.page.waitForTimeout(300);
  const tab = await ada.openTab(relay.url);
  await tab.waitForSelector("#enter-here:not([hidden])");
  assert.match(await tab.textContent("#name-problem"), /in another tab/);
  assert.equal(await ada.page.getAttribute("#state", "data-state"), "live");
  await tab.click("#enter-here");
  await tab.waitForSelector("#state[data-state=live]");
  await tab.waitForFunction(() => document.querySelector("#messages .body")?.textContent === "from the first tab");
  await ada.page.waitForSelector("#state[data-state=stopped]");
  assert.match(await ada.page.textContent("#banner-text"), /another tab/);

  await ada.page.click("#banner-button");
  await ada.isLive();
  await tab.waitForSelector("#state[data-state=stopped]");

  // Two people in one browser are no problem.
  const other = await ada.openTab(relay.url);
  await other.fill("#name", "Ada's sister");
  await other.press("#name", "Enter");
  await other.waitForSelector("#state[data-state=live]");
  await ada.page.waitForSelector("#here li:nth-child(2)");
});

test("signing out leaves all rooms and frees the name", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ada.page.waitForSelector("#here li:nth-child(2)");
  await ben.page.click("#sign-out");
  await ben.page.waitForSelector("#enter");
  await ada.page.waitForFunction(() => document.querySelectorAll("#people li").length === 1);
  const other = await world.enter(relay.url, "Ben");
  assert.equal(await other.page.textContent("#my-name"), "Ben");
  await ben.page.reload();
  assert.equal(await ben.page.locator("#enter").isVisible(), true);
});

test("the page fits a phone", async (world) => {
  const relay = await world.relay();
  const phone = { viewport: { width: 375, height: 667 }, isMobile: true, hasTouch: true, colorScheme: "dark" };
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.visit(relay.url, phone);
  const fits = async (what) => {
    const wide = await ben.page.evaluate(() => {
      const shown = [...document.querySelectorAll("body *")].filter((it) => it.checkVisibility?.() && !it.closest(".unseen, .skip, .sprite"));
      const over = shown.filter((it) => it.getBoundingClientRect().right > innerWidth + 0.5 && !it.closest(".name, .preview"));
      return [document.documentElement.scrollWidth, ...over.map((it) => it.outerHTML.slice(0, 80))];
    });
    assert.deepEqual(wide, [375], what);
  };
  await fits("welcome");
  await ben.page.fill("#name", "Ben");
  await ben.page.tap("#enter-button");
  await ben.isLive();
  await ada.write("w".repeat(500));
  await ada.write(`https://example.com/${"x".repeat(200)}`);
  await ada.write("A sentence of ordinary length, so that there is something to read as well.");
  await ben.sees("w".repeat(500));
  await ben.page.fill("#text", "from the phone");
  await ben.page.tap("#send");
  await ada.sees("from the phone");
  await fits("talk");
  assert.equal(await ben.page.locator(".side").isVisible(), false);
  await ben.page.tap("#people-button");
  assert.equal(await ben.page.locator("#people").isVisible(), true);
  await fits("people");
  await ben.page.tap("#people-close");
  await ben.page.tap("#back");
  assert.equal(await ben.page.locator(".talk").isVisible(), false);
  await fits("rooms");
  await ben.page.fill("#room-name", "n".repeat(48));
  await ben.page.press("#room-name", "Enter");
  await ben.page.waitForSelector(".talk", { state: "visible" });
  await fits("a room with a long name");
  for (const box of await ben.page.$$(".icon:visible")) {
    const { width, height } = await box.boundingBox();
    assert.ok(width >= 40 && height >= 40, "a finger hits it");
  }
});

test("the keyboard is enough, and everything has a name", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const { page } = ada;
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.room);
  assert.equal(await focused(), "name");
  await page.keyboard.type("Ada");
  await page.keyboard.press("Enter");
  await ada.isLive();
  assert.equal(await focused(), "text");
  await page.keyboard.type("typed");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("on two lines");
  await page.keyboard.press("Enter");
  await ada.sees("typed\non two lines");
  assert.equal(await focused(), "text");
  await ada.join("aviary");
  await page.keyboard.press("Alt+ArrowDown");
  await page.waitForFunction(() => document.title.startsWith("#lobby"));
  await page.keyboard.press("Alt+ArrowUp");
  await page.waitForFunction(() => document.title.startsWith("#aviary"));

  const stops = new Set();
  for (let n = 0; n < 30; n += 1) {
    await page.keyboard.press("Tab");
    stops.add(await focused());
  }
  for (const stop of ["aviary", "lobby", "room-name", "sign-out", "people-button", "log", "text", "send", "leave"]) {
    assert.ok(stops.has(stop), `${stop} is reached by Tab: ${[...stops]}`);
  }

  // On a narrow window the list of people is a layer above the rest: it takes the focus and gives it back.
  await page.setViewportSize({ width: 900, height: 700 });
  await page.focus("#people-button");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "people-close");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#people").isVisible(), false);
  assert.equal(await focused(), "people-button");

  const nameless = await page.evaluate(() => {
    const named = (it) => it.textContent.trim() || it.getAttribute("aria-label") || it.labels?.[0]?.textContent.trim();
    return [...document.querySelectorAll("button, input, textarea")].filter((it) => !named(it)).map((it) => it.id);
  });
  assert.deepEqual(nameless.filter((id) => id !== "banner-button" && id !== "enter-here"), []);
  assert.equal(await page.getAttribute("#log", "role"), "log");
  assert.equal(await page.getAttribute("#log", "aria-live"), "polite");
  assert.equal(await page.getAttribute(".room[aria-current]", "data-room"), "aviary");
});

test("a message that is too long is not sent, and the page says so", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  await ada.write("x".repeat(9_000));
  assert.match(await ada.page.textContent("#text-problem"), /too long by about 8\d\d characters/);
  await ada.write("x".repeat(8_000));
  await ada.sees("x".repeat(8_000));
  assert.equal((await ada.log()).length, 1);
});

test("someone who types very fast is slowed down, and nothing is lost", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(relay.url, "Ben");
  await ada.page.evaluate(() => {
    const [text, composer] = ["text", "composer"].map((id) => document.getElementById(id));
    for (let n = 0; n < 260; n += 1) {
      text.value = `fast ${n}`;
      composer.requestSubmit();
    }
  });
  await ben.sees("fast 259");
  const expected = Array.from({ length: 260 }, (_, n) => `fast ${n}`);
  assert.deepEqual(await ben.log(), expected);
  await ada.page.waitForSelector("#pending .message", { state: "detached" });
  assert.deepEqual(await ada.log(), expected);
});

test("a hello that is to be said again is not said on another connection", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const hellos = [];
  await playRelay(ada.page, ({ said, nth, ok, err, say, close }) => {
    if (!said.hello) return;
    hellos.push(nth);
    if (nth === 1) {
      err({ code: "relay_full", text: "the relay is full of people", retry_ms: 4_000 });
      setTimeout(() => close(1000), 500);
    } else if (hellos.filter((it) => it === nth).length > 1) {
      err({ code: "hello_again", text: "this connection has said hello already" });
    } else {
      ok(welcome({ lobby: { epoch: "e", first: 1, head: 0 } }));
      say({ live: { room: "lobby", head: 0, members: [] } });
    }
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.page.waitForFunction(() => /full of people/.test(document.getElementById("name-problem").textContent));
  await ada.isLive();
  await ada.page.waitForTimeout(4_500);
  assert.deepEqual(hellos, [1, 2]);
  assert.equal(await ada.page.getAttribute("body", "data-screen"), "app");
});

test("what waits in a room that the relay refuses is not lost", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const lobby = { epoch: "e", first: 1, head: 0 };
  let refused = "relay_full";
  let joins = 0;
  let log = [];
  const played = await playRelay(ada.page, ({ said, nth, ok, err, say }) => {
    if (said.hello && nth === 1) {
      ok(welcome({ lobby }));
      say({ live: { room: "lobby", head: 0, members: [] } });
    } else if (said.hello) {
      ok(welcome({}, { refused: { lobby: refused } }));
    } else if (said.join) {
      joins += 1;
      if (joins === 1) err({ code: "relay_full", text: "the relay is full of rooms", retry_ms: 300 });
      else ok({ room: "lobby", ...lobby, head: log.length, members: [] });
    } else if (said.send) {
      if (said.send.body.text === "into the void") return;
      log.push(said.send.body.text);
      ok({ seq: log.length });
      say({ msg: { room: "lobby", seq: log.length, from: "Ada", ts: Date.now(), ...said.send } });
    }
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  // Full for a moment: it is joined again, and what waited is sent.
  await ada.write("into the void");
  await played.close(1000);
  await ada.isNotLive();
  await ada.isLive();
  assert.equal(await ada.page.locator("#pending .waiting").count(), 1);
  assert.match(await ada.page.textContent("#join-problem"), /no place in #lobby just now/);
  await ada.page.click("#pending .message");
  await ada.write("dear");
  await ada.page.waitForFunction(() => document.getElementById("join-problem").textContent === "", null, { timeout: 15_000 });
  assert.equal(joins, 2);

  // For good: it is not sent, and the page says why.
  refused = "not_allowed";
  await played.close(1000);
  await ada.isNotLive();
  await ada.page.waitForSelector("#pending .failed");
  assert.match(await ada.page.textContent("#pending"), /into the void.*Not sent: the relay has no place/);
  assert.equal(await ada.page.locator("#rooms .room").count(), 1);
  await ada.page.locator("#pending .failed").first().getByText("Discard").click();
  await ada.page.locator("#pending .failed").first().getByText("Try again").click();
  await ada.sees("dear");
  assert.deepEqual(log, ["dear"]);
});

test("a gap is filled page by page, also where the relay has forgotten its beginning", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const message = (seq) => ({ room: "lobby", seq, from: "Bot", cid: `c${seq}`, ts: Date.now(), body: { text: `m${seq}` } });
  const played = await playRelay(ada.page, ({ said, ok, say }) => {
    if (said.hello) {
      ok(welcome({ lobby: { epoch: "e", first: 1, head: 0 } }));
      // The head is beyond what came.
      say({ live: { room: "lobby", head: 20, members: [] } });
    } else if (said.get) {
      const first = said.get.to > 20 ? 51 : 1;
      const from = Math.max(first, said.get.from);
      const msgs = Array.from({ length: Math.min(10, said.get.to - from + 1) }, (_, n) => message(from + n));
      ok({ room: "lobby", first, head: 150, msgs });
    }
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  await ada.sees("m20");
  played.say({ msg: message(150) });
  await ada.sees("m150");
  const expected = [...Array.from({ length: 20 }, (_, n) => `m${n + 1}`), ...Array.from({ length: 100 }, (_, n) => `m${n + 51}`)];
  assert.deepEqual(await ada.log(), expected);
});

test("a room may be called __proto__", async (world) => {
  const relay = await world.relay();
  const line = await world.proxy(relay.port);
  const ada = await world.enter(relay.url, "Ada");
  const ben = await world.enter(line.url, "Ben");
  for (const person of [ada, ben]) await person.join("__proto__");
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

test("a tab from which the name was taken leaves it alone, and nothing can be written there", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  let [blocked, socket] = [false, null];
  await ada.page.routeWebSocket(/\/ws$/, (it) => {
    if (blocked) return it.close({ code: 1012 });
    socket = it;
    it.connectToServer();
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.isLive();
  await ada.page.waitForTimeout(300);
  // It is not connected when the other tab takes the name: no relay tells it.
  blocked = true;
  await socket.close({ code: 1012 });
  await ada.isNotLive();
  const tab = await ada.openTab(relay.url);
  await tab.click("#enter-here");
  await tab.waitForSelector("#state[data-state=live]", { state: "attached" });
  await ada.page.waitForSelector("#state[data-state=stopped]", { state: "attached" });
  blocked = false;
  assert.match(await ada.page.textContent("#banner-text"), /in another tab/);
  assert.equal(await ada.page.isDisabled("#text"), true);
  assert.equal(await ada.page.isDisabled("#send"), true);
  await tab.waitForTimeout(1_000);
  assert.equal(await tab.getAttribute("#state", "data-state"), "live");
});

test("the skip link leads to the message field, and to no room", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  await ada.page.focus(".skip");
  await ada.page.keyboard.press("Enter");
  await ada.page.waitForTimeout(500);
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), "text");
  assert.deepEqual(await ada.page.$$eval("#rooms .room", (rooms) => rooms.map((it) => it.dataset.room)), ["lobby"]);
});

// ---------------------------------------------------------------------------------------------------------------

async function main() {
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
  let [passed, failed] = [0, 0];
  browser = await startBrowser();
  try {
    for (const { name, run } of tests.filter(({ name }) => only.test(name))) {
      const own = world();
      const started = Date.now();
      try {
        await within(ONE_TEST_WITHIN_MS, run(own), name);
        for (const { person, host } of own.people) {
          assert.deepEqual([...person.hosts], [host], "every request goes to the relay");
          assert.deepEqual(person.complaints.filter((it) => !CUT.test(it)), [], "the console is quiet");
        }
        passed += 1;
        console.log(`ok      ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}\n${error.stack}`);
      }
      await within(20_000, own.end(), "the test is cleared up").catch((error) => console.log(error.stack));
    }
  } finally {
    await within(20_000, browser.close(), "the browser ends").catch(() => {});
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

process.exit(await main());
