// Phones, keyboards, screen readers, and who looks elsewhere.

import assert from "node:assert/strict";
import { test } from "../harness.mjs";
import { playRelay, room, welcome } from "../support.mjs";

test("who looks elsewhere is told of what comes, if that is wished", async (world) => {
  const relay = await world.relay();
  const script = `window.shown = [];
    window.Notification = class { static permission = "default"; static async requestPermission() { this.permission = "granted"; return "granted"; }
      constructor(title, { body }) { window.shown.push(title + ": " + body); } close() {} };`;
  const ada = await world.enter(relay.url, "Ada", { script });
  const ben = await world.enter(relay.url, "Ben");
  for (const person of [ada, ben]) await person.join("tea");
  await ada.look(false);
  await ben.write("not wished");
  await ada.sees("not wished");
  await ada.page.click("#menu-button");
  await ada.page.click("#notify");
  await ada.page.waitForFunction(() => document.getElementById("notify").textContent === "Turn notifications off");
  await ada.page.keyboard.press("Escape");
  await ben.write("wished");
  await ada.sees("wished");
  await ada.look(true);
  await ben.write("seen anyway");
  await ada.sees("seen anyway");
  assert.deepEqual(await ada.page.evaluate(() => window.shown), ["Ben in tea: wished"]);
  await ada.page.waitForFunction(() => document.getElementById("announce").textContent === "Ben: seen anyway");
});

test("the page fits a phone, one pane at a time", async (world) => {
  const relay = await world.relay();
  const phone = { viewport: { width: 375, height: 667 }, isMobile: true, hasTouch: true, colorScheme: "dark" };
  const ada = await world.enter(relay.url, "Ada");
  await ada.join("tea");
  const ben = await world.visit(relay.url, phone);
  const fits = async (what) => {
    const wide = await ben.page.evaluate(() => {
      const shown = [...document.querySelectorAll("body *")].filter((it) => it.checkVisibility?.() && !it.closest(".unseen, .skip, .sprite"));
      const over = shown.filter((it) => it.getBoundingClientRect().right > innerWidth + 0.5 && !it.closest(".name, .preview, .title"));
      return [document.documentElement.scrollWidth, ...over.map((it) => it.outerHTML.slice(0, 80))];
    });
    assert.deepEqual(wide, [375], what);
    for (const box of await ben.page.$$(".icon:visible")) {
      const { width, height } = await box.boundingBox();
      assert.ok(width >= 40 && height >= 40, "a finger hits it");
    }
  };
  await fits("welcome");
  await ben.page.fill("#name", "Ben");
  await ben.page.tap("#enter-button");
  await ben.isLive();
  await ben.join("tea");
  await ada.write("w".repeat(500));
  await ada.write(`https://example.com/${"x".repeat(200)}`);
  await ada.write("A sentence of ordinary length, so that there is something to read as well.");
  await ben.sees("w".repeat(500));
  await ben.page.fill("#text", "from the phone");
  await ben.page.tap("#send");
  await ada.sees("from the phone");
  await fits("talk");
  assert.equal(await ben.page.isVisible("#side"), false);
  await ben.page.tap("#people-button");
  assert.equal(await ben.page.isVisible("#people"), true);
  await fits("people");
  await ben.page.tap("#people-close");
  await ben.page.tap("#back");
  assert.equal(await ben.page.isVisible("#talk"), false);
  await fits("list");
  await ben.page.tap("#new-button");
  await fits("new");
  await ben.page.fill("#room-name", "n".repeat(48));
  await ben.page.press("#room-name", "Enter");
  await ben.isIn("n".repeat(48));
  await fits("a room with a long name");
  await ben.page.tap("#menu-button", { timeout: 1_000 }).catch(() => {});
  // The phone's own way back.
  await ben.page.goBack();
  await ben.page.waitForSelector("#side", { state: "visible" });
  await ben.page.tap("#rooms [data-room=tea]");
  await ben.isIn("tea");
  await ben.page.tap("#back");
  // What is not in sight is not read.
  await ada.write("are you there?");
  await ben.seesUnread("tea", 1);
  await ada.seesTick("are you there?", "received");
});

test("the keyboard is enough", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const { page } = ada;
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.room);
  await page.waitForFunction(() => document.activeElement.id === "name");
  await page.keyboard.type("Ada");
  await page.keyboard.press("Enter");
  await ada.isLive();
  await page.focus("#new-button");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "person");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "room-name");
  await page.keyboard.type("lobby");
  await page.keyboard.press("Enter");
  await ada.isIn("lobby");
  await page.waitForSelector("dialog[open]", { state: "detached" });
  await page.focus("#text");
  await page.keyboard.type("typed");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("on two lines");
  await page.keyboard.press("Enter");
  await ada.sees("typed\non two lines");
  assert.equal(await focused(), "text");
  await ada.join("aviary");
  await page.waitForSelector("#rooms [data-room=aviary][aria-current]");

  // The arrow keys go through the list, and Enter opens.
  await page.focus("#search");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "lobby");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(), "aviary");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  await ada.isIn("lobby");
  assert.equal(await focused(), "text");
  await page.keyboard.press("Alt+ArrowDown");
  await ada.isIn("aviary");

  await page.focus("#people-button");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "people-close");
  const stops = new Set();
  for (let n = 0; n < 30; n += 1) {
    await page.keyboard.press("Tab");
    stops.add(await focused());
  }
  for (const stop of ["aviary", "search", "new-button", "menu-button", "people-button", "log", "text", "send", "add-name", "leave"]) {
    assert.ok(stops.has(stop), `${stop} is reached by Tab: ${[...stops]}`);
  }
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#people"), false);
  assert.equal(await focused(), "people-button");

  // On a narrow window it is a layer above the rest, which cannot be reached meanwhile.
  await page.setViewportSize({ width: 900, height: 700 });
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.getElementById("talk").inert), true);
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.getElementById("talk").inert), false);
  assert.equal(await focused(), "people-button");

  await page.focus("#skip");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "text");
  const outline = await page.evaluate(() => { document.getElementById("menu-button").focus(); return getComputedStyle(document.activeElement).outlineStyle; });
  assert.equal(outline, "solid", "the focus is seen");
});

test("everything has a name and a role, and no colour stands alone", async (world) => {
  const relay = await world.relay();
  const [ada, ben] = await world.two(relay.url, "tea");
  await ben.write("hello");
  await ada.write("hello to you");
  await ada.seesTick("hello to you", "read");
  await ada.page.click("#people-button");
  const wrong = await ada.page.evaluate(() => {
    const found = [];
    const visible = (it) => it.getAttribute("aria-hidden") !== "true";
    const words = (it) => [...it.childNodes].map((child) => (child.nodeType === 3 ? child.textContent : child.nodeType === 1 && visible(child) ? words(child) : "")).join("");
    const name = (it) => it.getAttribute("aria-label") || document.getElementById(it.getAttribute("aria-labelledby"))?.textContent.trim()
      || it.labels?.[0]?.textContent.trim() || words(it).trim();
    for (const it of document.querySelectorAll("button, input, textarea, select, dialog, nav, aside, [role=log], ul, ol")) {
      const empty = ["banner-button", "enter-other", "notify", "sure-yes", "sure", "results"].includes(it.id);
      if (!empty && it.tagName !== "OL" && !name(it)) found.push(`no name: ${it.outerHTML.slice(0, 100)}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((it) => it.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: ${id}`);
    for (const attribute of ["aria-labelledby", "aria-controls", "aria-describedby", "for"]) {
      for (const it of document.querySelectorAll(`[${attribute}]`)) if (!document.getElementById(it.getAttribute(attribute))) found.push(`${attribute}: ${it.id}`);
    }
    for (const it of document.querySelectorAll("svg, .avatar")) if (it.getAttribute("aria-hidden") !== "true") found.push(`a picture that is read out: ${it.outerHTML.slice(0, 80)}`);
    for (const it of document.querySelectorAll(".tick, .count")) if (!it.querySelector(".unseen")?.textContent) found.push(`no words: ${it.outerHTML}`);
    if (document.documentElement.lang !== "en") found.push("no language");
    return found;
  });
  assert.deepEqual(wrong, []);
  assert.equal(await ada.page.getAttribute("#announce", "aria-live"), "polite");
  assert.equal(await ada.page.getAttribute("#log", "role"), "log");
  assert.equal(await ada.page.getAttribute(".row[aria-current]", "data-room"), "tea");
  assert.equal(await ada.page.locator("#rooms .row[tabindex='0']").count(), 1);

  // Text can be told from its ground, by day and by night.
  for (const colorScheme of ["light", "dark"]) {
    await ada.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const faint = await ada.page.evaluate(() => {
      const parse = (text) => {
        const [, kind, inner] = /^(\w+)\((.*)\)$/.exec(text) ?? [];
        const n = inner.split(/[ ,/]+/).filter((it) => it !== "srgb").map(Number);
        return kind === "color" ? [...n.slice(0, 3).map((it) => it * 255), n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1];
      };
      const light = ([r, g, b]) => [r, g, b].map((it) => it / 255).map((it) => (it <= 0.03928 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4))
        .reduce((sum, it, n) => sum + it * [0.2126, 0.7152, 0.0722][n], 0);
      const ground = (it) => {
        if (!it) return [255, 255, 255, 1];
        const own = parse(getComputedStyle(it).backgroundColor);
        if (own[3] >= 1) return own;
        const below = ground(it.parentElement);
        return [0, 1, 2].map((n) => own[n] * own[3] + below[n] * (1 - own[3]));
      };
      return [...document.querySelectorAll(".app *")]
        .filter((it) => it.checkVisibility() && !it.closest(".unseen, .skip") && [...it.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
        .map((it) => {
          const [a, b] = [light(parse(getComputedStyle(it).color)), light(ground(it))].sort((x, y) => y - x);
          return [(a + 0.05) / (b + 0.05), it.outerHTML.slice(0, 90)];
        }).filter(([contrast]) => contrast < 4.5);
    });
    assert.deepEqual(faint, [], colorScheme);
  }
});

test("a hello that is to be said again is said on a connection of its own", async (world) => {
  const relay = await world.relay();
  const ada = await world.visit(relay.url);
  const hellos = [];
  await playRelay(ada.page, ({ said, nth, ok, err }) => {
    if (!said.hello) return;
    hellos.push(nth);
    if (nth === 1) err({ code: "relay_full", text: "the relay is full of people", retry_ms: 1_000 });
    else ok(welcome({ tea: room() }));
  });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.page.waitForFunction(() => /full of people/.test(document.getElementById("enter-problem").textContent));
  await ada.isLive();
  await ada.page.waitForTimeout(1_500);
  assert.deepEqual(hellos, [1, 2]);
});
