// What is served, and to whom.

import assert from "node:assert/strict";
import http from "node:http";
import { browser, test } from "../harness.mjs";

test("the files come with a strict policy, and nothing else comes", async (world) => {
  const relay = await world.relay();
  const types = { "": "text/html", "main.js": "text/javascript", "link.js": "text/javascript", "style.css": "text/css", "favicon.svg": "image/svg+xml" };
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
  assert.notEqual((await fetch(relay.url, { method: "POST" })).status, 200);
  assert.equal((await fetch(`${relay.url}../Cargo.toml`)).status, 404);
  assert.equal((await fetch(`${relay.url}ws`)).status, 426);
});

test("messages are compressed between relay and browser, and the page shows nothing of it", async (world) => {
  const relay = await world.relay();
  const proxy = await world.proxy(relay.port);
  const ada = await world.enter(proxy.url, "Ada");
  const text = "as the waves come and go, ".repeat(40).trim();
  await ada.join("tea");
  await ada.write(text);
  await ada.sees(text);
  const said = Buffer.concat(proxy.said).toString("latin1");
  assert.match(said, /^Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r$/m);
  assert.ok(!said.includes("waves come and go, as the waves"), "a text that was said was not compressed");
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

  const page = await browser().newPage();
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
