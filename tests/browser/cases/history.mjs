// History and search.

import assert from "node:assert/strict";
import { test } from "../harness.mjs";
import { speak, texts } from "../support.mjs";

test("the history of 300 messages comes while one scrolls up, and keeps its place", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const many = Array.from({ length: 300 }, (_, n) => `message ${n + 1}${n % 7 === 0 ? "\nwith a second line" : ""}`);
  await speak(ada.page, { name: "Bot" }, [{ join: { room: "tea" } }, ...texts("tea", many)]);
  await ada.join("tea");
  await ada.sees(many[299]);
  assert.equal((await ada.log()).length < 150, true);
  // Whatever comes above, the first message in sight stays where it is.
  const top = () => ada.page.evaluate(() => {
    const log = document.getElementById("log");
    const first = [...document.querySelectorAll("#messages .message")].find((it) => it.offsetTop + it.offsetHeight > log.scrollTop + 1);
    return { text: first.querySelector(".body").textContent, at: Math.round(first.offsetTop - log.scrollTop), shown: document.querySelectorAll("#messages .message").length };
  });
  let grew = 0;
  for (let n = 0; n < 60 && (await ada.log()).length < 300; n += 1) {
    const before = await ada.page.evaluate(() => {
      const log = document.getElementById("log");
      log.scrollTop = Math.max(1, Math.min(log.scrollTop - 400, 450));
      const first = [...document.querySelectorAll("#messages .message")].find((it) => it.offsetTop + it.offsetHeight > log.scrollTop + 1);
      return { text: first.querySelector(".body").textContent, at: Math.round(first.offsetTop - log.scrollTop), shown: document.querySelectorAll("#messages .message").length };
    });
    await ada.page.waitForTimeout(250);
    const after = await top();
    if (after.shown > before.shown) {
      grew += 1;
      assert.equal(after.text, before.text);
      assert.ok(Math.abs(after.at - before.at) <= 30, JSON.stringify([before, after]));
    }
  }
  assert.ok(grew >= 2, `it grew ${grew} times`);
  assert.deepEqual(await ada.log(), many);
  assert.match(await ada.page.textContent("#top-note"), /beginning of tea/);
  await ada.page.click("#down");
  await ada.page.waitForSelector("#down", { state: "hidden" });
});

test("a search finds messages, opens one in its place, and leads back to the newest", async (world) => {
  const relay = await world.relay();
  const ada = await world.enter(relay.url, "Ada");
  const many = Array.from({ length: 400 }, (_, n) => (n === 20 ? "the heron is back" : `day ${n + 1}, nothing to see`));
  await speak(ada.page, { name: "Bot" }, [{ join: { room: "birds" } }, ...texts("birds", many)]);
  await ada.join("birds");
  await ada.join("tea");
  await ada.page.fill("#search", "heron");
  await ada.page.waitForSelector("#results .row");
  assert.equal(await ada.page.locator("#results .row").count(), 1);
  assert.match(await ada.page.textContent("#results .row"), /birds.*Bot: the heron is back/s);
  assert.equal(await ada.page.textContent("#results mark"), "heron");
  await ada.page.click("#results .row");
  await ada.isIn("birds");
  await ada.sees("the heron is back");
  await ada.page.waitForFunction(() => document.activeElement.textContent.includes("heron"));
  assert.equal((await ada.log()).includes("day 400, nothing to see"), false);
  // What comes meanwhile does not disturb; the button leads to it.
  await speak(ada.page, { name: "Bot2" }, [{ join: { room: "birds" } }, ...texts("birds", ["while you read"])]);
  await ada.page.waitForTimeout(300);
  assert.equal((await ada.log()).includes("while you read"), false);
  await ada.page.click("#down");
  await ada.sees("while you read");

  // More on scrolling.
  await ada.page.fill("#search", "nothing");
  await ada.page.waitForFunction(() => document.querySelectorAll("#results .row").length >= 50);
  await ada.page.waitForFunction(() => {
    const found = document.getElementById("found");
    found.scrollTop = found.scrollHeight;
    return document.querySelectorAll("#results .row").length === 399;
  }, null, { timeout: 20_000, polling: 200 });
  await ada.page.press("#search", "Escape");
  assert.equal(await ada.page.isVisible("#rooms"), true);
  await ada.page.fill("#search", "zebra");
  await ada.page.waitForFunction(() => document.getElementById("found-note").textContent === "Nothing found.");
});
