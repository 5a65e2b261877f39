// The page in real Chromium, with the real relay. Run by `tests/browser/run`.
//
// ONLY=PATTERN runs the tests whose name fits, AT_ONCE=1 one after another, PAGE=FOLDER takes the page's files from there.

import assert from "node:assert/strict";
import { tests, useBrowser, world } from "./harness.mjs";
import { startBrowser, within } from "./support.mjs";
import "./cases/files.mjs";
import "./cases/people.mjs";
import "./cases/connection.mjs";
import "./cases/history.mjs";
import "./cases/identity.mjs";
import "./cases/fallback.mjs";
import "./cases/access.mjs";

const ONE_TEST_WITHIN_MS = 90_000;
const AT_ONCE = Number(process.env.AT_ONCE ?? 3);
// What a browser says by itself when a connection is cut, whatever the page does about it.
const CUT = /WebSocket connection to .* failed|Failed to load resource: net::|Failed to load resource: .* (401|404|405) /;

// Says how a test has ended: "passed", "failed" or "skipped".
async function runOne({ name, run }) {
  const own = world();
  const started = Date.now();
  let how = "passed";
  try {
    await within(ONE_TEST_WITHIN_MS, run(own), name);
    for (const { person, host } of own.people) {
      assert.deepEqual([...person.hosts], [host], "every request goes to the relay");
      assert.deepEqual(person.complaints.filter((it) => !CUT.test(it)), [], "the console is quiet");
    }
    if (own.skipped) how = "skipped";
    console.log(own.skipped ? `skipped ${name}: ${own.skipped}` : `ok      ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  } catch (error) {
    how = "failed";
    const complaints = own.people.flatMap(({ person }) => person.complaints.filter((it) => !CUT.test(it)));
    console.log([`FAILED  ${name}`, error.stack, ...complaints].join("\n"));
  }
  await within(20_000, own.end(), "the test is cleared up").catch((error) => console.log(error.stack));
  return how;
}

async function main() {
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
  const left = tests.filter(({ name }) => only.test(name));
  const count = { passed: 0, failed: 0, skipped: 0 };
  const browser = await startBrowser();
  useBrowser(browser);
  try {
    // Most of a test is waiting.
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (left.length > 0) count[await runOne(left.shift())] += 1;
    }));
  } finally {
    await within(20_000, browser.close(), "the browser ends").catch(() => {});
  }
  console.log(`${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ""}`);
  return count.failed === 0 && count.passed > 0 ? 0 : 1;
}

process.exit(await main());
