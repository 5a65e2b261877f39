// The WebSocket of a page in headless Chromium, which the environment names in CHROMIUM.
//
//   node chromium_client.mjs URL MESSAGES
//
// Where the environment names files in TLS_CERT and TLS_KEY, the page comes over https. TLS_TRUSTED is the key that the
// browser trusts then: its SHA-256, in base64.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { chromium } from "playwright-core";

const [url, path] = process.argv.slice(2);

// A page is served from somewhere, and so are the modules and the messages that it fetches.
const script = (name) => ["text/javascript", readFileSync(new URL(name, import.meta.url))];
const files = {
  "/": ["text/html", "<!doctype html><title>interoperation</title>"],
  "/exchange.mjs": script("exchange.mjs"),
  "/messages.mjs": script("messages.mjs"),
  "/messages": ["application/octet-stream", readFileSync(path)],
};
const { TLS_CERT, TLS_KEY, TLS_TRUSTED } = process.env;
const answer = (request, response) => {
  const [type, body] = files[request.url] ?? ["text/plain", ""];
  response.writeHead(body ? 200 : 404, { "Content-Type": type }).end(body);
};
const server = TLS_CERT
  ? https.createServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) }, answer)
  : http.createServer(answer);
server.listen(0, "127.0.0.1");
await once(server, "listening");

// Background requests of the browser itself are off: what is asked for, the page asks for.
const flags = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  ...(TLS_TRUSTED ? [`--ignore-certificate-errors-spki-list=${TLS_TRUSTED}`] : []),
];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: flags, timeout: 60_000 });
try {
  const page = await browser.newPage();
  await page.goto(`${TLS_CERT ? "https" : "http"}://127.0.0.1:${server.address().port}/`);
  console.log(await page.evaluate(async (url) => {
    const { exchange } = await import("/exchange.mjs");
    const messages = await (await fetch("/messages")).arrayBuffer();
    return exchange(url, new Uint8Array(messages));
  }, url));
} finally {
  await browser.close();
  server.close();
  server.closeAllConnections();
}
