// Names, keys, accounts, tokens.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import crypto from "node:crypto";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { test } from "../harness.mjs";

test("a name in use is refused, and what is wrong with a name is said", async (world) => {
  const relay = await world.relay();
  await world.enter(relay.url, "Ada");
  const other = await world.visit(relay.url);
  for (const [name, problem] of [["ada", /has this name/], ["  ", /Choose a name/], ["...", /letter or a digit/]]) {
    await other.page.fill("#name", name);
    await other.page.press("#name", "Enter");
    await other.page.waitForFunction((pattern) => {
      return new RegExp(pattern).test(document.getElementById("enter-problem").textContent);
    }, problem.source);
    assert.equal(await other.page.getAttribute("#name", "aria-invalid"), "true");
  }
  await other.page.fill("#name", "Ben");
  await other.page.click("#enter-button");
  await other.isLive();
  assert.equal(await other.page.textContent("#my-name"), "Ben");
});

test("signing out gives the token back and forgets everything here", async (world) => {
  const relay = await world.relay();
  const [ada] = await world.two(relay.url, "tea");
  const key = await ada.key();
  await ada.write("before");
  await ada.sees("before");
  await ada.page.fill("#text", "a draft");
  await ada.page.click("#menu-button");
  await ada.page.click("#sign-out");
  assert.match(await ada.page.textContent("#sure-text"), /Nobody can come back as Ada/);
  await ada.page.click("#sure-yes");
  await ada.page.waitForSelector("body[data-screen=welcome]");
  const kept = await ada.page.evaluate(() => [Object.keys(localStorage), Object.keys(sessionStorage).filter((it) => it !== "relay:device")]);
  // Which tab has the focus is noted again by the fresh page.
  assert.deepEqual([kept[0].filter((it) => it !== "relay:focused"), kept[1]], [[], []]);
  await ada.page.reload();
  assert.equal(await ada.page.isVisible("#enter"), true);
  await ada.page.click("#enter-other");
  await ada.page.fill("#token", key);
  await ada.page.press("#token", "Enter");
  await ada.page.waitForFunction(() => /not good/.test(document.getElementById("enter-problem").textContent));
});

test("where there are accounts, one makes one and comes back with the password", async (world) => {
  const relay = await world.relay("--auth", "accounts");
  const ada = await world.visit(relay.url);
  const says = (pattern) => ada.page.waitForFunction((pattern) => {
    return new RegExp(pattern).test(document.getElementById("enter-problem").textContent);
  }, pattern, { timeout: 40_000 });
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.page.waitForSelector("#password:visible");
  assert.equal(await ada.page.textContent("#enter-problem"), "");
  await ada.page.fill("#password", "correct horse battery");
  await ada.page.press("#password", "Enter");
  await says("do not go together");
  await ada.page.click("#enter-other");
  await ada.page.click("#enter-button");
  await ada.isLive();
  assert.equal(await ada.page.evaluate(() => JSON.stringify({ ...localStorage }).includes("horse")), false);
  await ada.join("tea");

  const other = await world.visit(relay.url);
  await other.page.fill("#name", "ada");
  await other.page.press("#name", "Enter");
  await other.page.fill("#password", "correct horse battery");
  await other.page.press("#password", "Enter");
  await other.isLive();
  assert.equal(await other.page.textContent("#my-name"), "Ada");
  await other.open("tea");
  await other.isIn("tea");
});

test("an account is made with an invitation, or not at all, where the relay says so", async (world) => {
  const folder = await world.folder();
  const relay = await world.relay("--auth", "accounts", "--registration", "invitation", "--data", folder);
  const invited = await world.visit(relay.url);
  const closed = await world.visit((await world.relay("--auth", "accounts", "--registration", "off", "--data", await world.folder())).url);
  for (const { page } of [invited, closed]) {
    await page.fill("#name", "Ada");
    await page.press("#name", "Enter");
    await page.waitForSelector("#password:visible");
    await page.fill("#password", "correct horse battery");
    await page.click("#enter-other");
    await page.click("#enter-button");
  }
  await closed.page.waitForFunction(() => /no accounts are made here/.test(document.getElementById("enter-problem").textContent));
  await invited.page.waitForSelector("#invitation:visible");
  await invited.page.fill("#invitation", "no such thing");
  await invited.page.click("#enter-button");
  await invited.page.waitForSelector("#enter-problem:not(:empty)");
  const { stdout } = await promisify(execFile)(process.env.RELAY, ["admin", "--data", folder, "invite"]);
  await invited.page.fill("#invitation", stdout.trim().split(/\s+/)[0]);
  await invited.page.click("#enter-button");
  await invited.isLive();
});

test("where tokens come from elsewhere, the page asks for one, and for another when it has expired", async (world) => {
  const relay = await relayOfTokens(world);
  const ada = await world.visit(relay.url);
  await ada.page.fill("#name", "Ada");
  await ada.page.press("#name", "Enter");
  await ada.page.waitForSelector("#token:visible");
  assert.match(await ada.page.textContent("#lead"), /takes a token/);
  await ada.page.fill("#token", "not one");
  await ada.page.press("#token", "Enter");
  await ada.page.waitForSelector("#enter-problem:not(:empty)");
  await ada.page.fill("#token", token("Ada", 4));
  await ada.page.press("#token", "Enter");
  await ada.isLive();
  assert.equal(await ada.page.textContent("#my-name"), "Ada");
  await ada.page.waitForSelector("body[data-screen=welcome]", { timeout: 30_000 });
  assert.match(await ada.page.textContent("#enter-problem"), /expired/);
  await ada.page.fill("#token", token("Ada", 3600));
  await ada.page.press("#token", "Enter");
  await ada.isLive();
});

test("who comes in after another in the same tab finds nothing of theirs", async (world) => {
  const person = await world.visit((await relayOfTokens(world)).url);
  const { page } = person;
  const enter = async (name, seconds) => {
    await page.fill("#token", token(name, seconds));
    await page.press("#token", "Enter");
    await page.waitForFunction((name) => document.getElementById("my-name").textContent === name, name);
    await person.isLive();
    await person.join("tea");
  };
  await page.fill("#name", "Ada");
  await page.press("#name", "Enter");
  await page.waitForSelector("#token:visible");
  await enter("Ada", 6);
  await person.write("said by Ada");
  await page.fill("#text", "half written");
  await page.fill("#search", "said");
  await page.waitForSelector("body[data-screen=welcome]", { timeout: 30_000 });
  await enter("Ben", 3600);
  assert.deepEqual([await page.inputValue("#text"), await page.inputValue("#search")], ["", ""]);
});

const SECRET = "a secret of at least thirty-two bytes";

async function relayOfTokens(world) {
  const secret = path.join(await world.folder(), "secret");
  await writeFile(secret, SECRET);
  return world.relay("--auth", "jwt", "--jwt-secret-file", secret);
}

function token(name, seconds) {
  const part = (it) => Buffer.from(JSON.stringify(it)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: name, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${signed}.${crypto.createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
