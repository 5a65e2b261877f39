// The relay, a browser, and a connection between them that can be cut: everything that is started here is ended here.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import net from "node:net";
import path from "node:path";
import { chromium } from "playwright-core";

const READY_WITHIN_MS = 10_000;
const STOPPED_WITHIN_MS = 10_000;

// The relay's program.
export class Relay {
  static async start(...flags) {
    const relay = new Relay();
    const listen = flags.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const kept = flags.includes("--data") ? [] : ["--memory"];
    relay.process = spawn(process.env.RELAY, [...listen, ...kept, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    relay.ended = new Promise((resolve) => relay.process.once("exit", (code, signal) => resolve({ code, signal })));
    relay.process.stderr.on("data", (data) => process.stderr.write(data));
    let said = "";
    const ready = new Promise((resolve) => relay.process.stdout.on("data", (data) => {
      said += data;
      const url = /http:\/\/(127\.0\.0\.1:(\d+))\//.exec(said);
      if (url) resolve(url);
    }));
    const ended = relay.ended.then(() => { throw new Error(`the relay ended: ${said}`); });
    try {
      const [url, host, port] = await within(READY_WITHIN_MS, Promise.race([ready, ended]), "the relay is ready");
      return Object.assign(relay, { url, host, port: Number(port) });
    } catch (error) {
      relay.process.kill("SIGKILL");
      throw error;
    }
  }

  // Whether it has events and long polling.
  async hasFallbacks() {
    const answer = await fetch(`${this.url}sse`, { signal: AbortSignal.timeout(5_000) });
    await answer.body?.cancel();
    return answer.status !== 404;
  }

  // Asks it to stop, and says how it did.
  async stop(signal = "SIGTERM") {
    this.process.kill(signal);
    try {
      return await within(STOPPED_WITHIN_MS, this.ended, "the relay stops");
    } finally {
      this.process.kill("SIGKILL");
    }
  }
}

// A line to the relay that can be cut, and on which answers can be lost.
export class Proxy {
  #pairs = new Set();
  #way = "open";
  // What the relay said, all of it.
  said = [];

  static async start(port) {
    const proxy = new Proxy();
    proxy.port = port;
    proxy.server = net.createServer((client) => proxy.#accept(client));
    await new Promise((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}/`;
    proxy.host = new URL(proxy.url).host;
    return proxy;
  }

  #accept(client) {
    if (this.#way === "cut") {
      client.resetAndDestroy();
      return;
    }
    const relay = net.connect(this.port, "127.0.0.1");
    const pair = [client, relay];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      relay.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    client.on("data", (data) => { if (this.#way !== "silent") relay.write(data); });
    relay.on("data", (data) => {
      this.said.push(data);
      if (this.#way === "open") client.write(data);
    });
  }

  // All connections break, and new ones are refused.
  cut() {
    this.#way = "cut";
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  // What the relay says is lost from here on.
  loseAnswers() {
    this.#way = "no answers";
  }

  // Nothing passes any more, and nobody is told.
  fallSilent() {
    this.#way = "silent";
  }

  restore() {
    this.#way = "open";
  }

  stop() {
    this.cut();
    this.server.close();
  }
}

// Background requests of the browser itself are off: what is asked for, the page asks for.
const FLAGS = [
  "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", ...(process.env.PAGE ? ["--disable-features=LocalNetworkAccessChecks"] : []), ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];

export async function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS, timeout: 60_000 });
}

// With PAGE=examples/chat-relay/page the page's files come from there, so that a change needs no new relay.
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
async function servePage(context) {
  await context.route(/^http:[^?#]*\/(\w+\.(js|css|svg))?$/, async (route) => {
    const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
    const headers = { "content-type": `${TYPES[name.split(".")[1]]}; charset=utf-8` };
    if (name === "index.html") headers["content-security-policy"] = (await route.fetch()).headers()["content-security-policy"];
    await route.fulfill({ body: await readFile(path.join(process.env.PAGE, name)), headers });
  });
}

// A person with a browser of their own, on the page but not in.
export class Person {
  // What the browser asked for, and what it complained about.
  hosts = new Set();
  complaints = [];

  static async visit(browser, url, options = {}) {
    const { script, ...rest } = options;
    const person = new Person();
    person.context = await browser.newContext({
      viewport: { width: 1180, height: 760 }, locale: "en-GB", colorScheme: "light", ...rest,
    });
    person.context.setDefaultTimeout(15_000);
    person.context.on("request", (request) => person.hosts.add(new URL(request.url()).host));
    if (process.env.PAGE) await servePage(person.context);
    if (script) await person.context.addInitScript(script);
    person.page = await person.openTab(url);
    return person;
  }

  async openTab(url) {
    const page = await this.context.newPage();
    page.on("websocket", (socket) => this.hosts.add(new URL(socket.url()).host));
    page.on("pageerror", (error) => this.complaints.push(error.stack));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  static async enter(browser, url, name, options) {
    const person = await Person.visit(browser, url, options);
    await person.page.fill("#name", name);
    await person.page.press("#name", "Enter");
    await person.isLive();
    return person;
  }

  // With the key that another device shows.
  static async enterWithKey(browser, url, key, options) {
    const person = await Person.visit(browser, url, options);
    await person.page.click("#enter-other");
    await person.page.fill("#token", key);
    await person.page.press("#token", "Enter");
    await person.isLive();
    return person;
  }

  key() {
    return this.page.evaluate(() => JSON.parse(localStorage.getItem("relay:session")).token);
  }

  async isLive() {
    await this.page.waitForSelector("#state[data-state=live]", { state: "attached", timeout: 40_000 });
    await this.page.waitForSelector("body[data-screen=app]");
  }

  async isNotLive() {
    await this.page.waitForSelector("#state:not([data-state=live])", { state: "attached", timeout: 20_000 });
  }

  async join(room, isInvite = false) {
    await this.page.click("#new-button");
    await this.page.fill("#room-name", room);
    if (isInvite) await this.page.check("#invite-only");
    await this.page.press("#room-name", "Enter");
    await this.isIn(room);
  }

  async direct(user) {
    await this.page.click("#new-button");
    await this.page.fill("#person", user);
    await this.page.press("#person", "Enter");
    await this.isIn(user);
  }

  // Whether the conversation with this title is the open one.
  async isIn(title) {
    await this.page.waitForFunction((title) => {
      return document.getElementById("title").textContent === title && document.body.dataset.pane === "talk";
    }, title);
  }

  async open(room) {
    await this.page.click(`#rooms [data-room="${room}"]`);
  }

  async write(text) {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  // What is in the open conversation's log, oldest first.
  async log() {
    return this.page.$$eval("#messages .body", (bodies) => bodies.map((body) => body.textContent));
  }

  async sees(text, withinMs = 30_000) {
    await this.page.waitForFunction((text) => {
      return [...document.querySelectorAll("#messages .body")].some((body) => body.textContent === text);
    }, text, { timeout: withinMs });
  }

  // What became of one's own message.
  async seesTick(text, state) {
    await this.page.waitForFunction(([text, state]) => {
      const message = [...document.querySelectorAll(".message.mine")].find((it) => it.querySelector(".body").textContent === text);
      return message?.querySelector(".tick")?.classList.contains(state);
    }, [text, state]);
  }

  // What the list says of a conversation, as "count unread" or nothing.
  async seesUnread(room, count) {
    await this.page.waitForFunction(([room, count]) => {
      const row = document.querySelector(`#rooms [data-room="${room}"]`);
      return row && (row.querySelector(".count")?.textContent ?? "") === (count > 0 ? `${count} unread` : "");
    }, [room, count]);
  }

  // Headless pages all have the focus: this takes it, or gives it back.
  async look(looks) {
    await this.page.evaluate((looks) => {
      document.hasFocus = () => looks;
      window.dispatchEvent(new Event(looks ? "focus" : "blur"));
    }, looks);
  }

  async leave() {
    await this.context.close();
  }
}

// Another client of the protocol, inside a page: says lines one after another, and resolves to their answers.
export function speak(page, hello, lines) {
  return page.evaluate(([hello, lines]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/ws`, "relay.v1");
    const oks = [];
    const say = () => {
      if (oks.length > lines.length) {
        socket.close();
        resolve(oks);
      } else {
        socket.send(JSON.stringify({ id: oks.length, ...(oks.length === 0 ? { hello: { v: 1, ...hello } } : lines[oks.length - 1]) }));
      }
    };
    socket.onopen = say;
    socket.onmessage = ({ data }) => {
      for (const line of data.split("\n").map(JSON.parse)) {
        if (line.err?.retry_ms) setTimeout(say, line.err.retry_ms);
        else if (line.err) reject(new Error(JSON.stringify(line)));
        else if (line.ok && line.id === oks.length) {
          oks.push(line.ok);
          say();
        }
      }
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  }), [hello, lines]);
}

export const texts = (room, texts) => texts.map((text, n) => ({ send: { room, cid: `bot${n}`, body: { text } } }));

// A relay that the test plays itself. onLine hears what the page says, and on which of its connections.
export async function playRelay(page, onLine) {
  const relay = { sockets: 0 };
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const nth = relay.sockets += 1;
    relay.say = (line) => socket.send(JSON.stringify(line));
    relay.close = (code) => socket.close({ code });
    const { say, close } = relay;
    socket.onMessage((text) => {
      for (const line of text.split("\n")) {
        const { id, ...said } = JSON.parse(line);
        onLine({ said, nth, say, close, ok: (ok) => say({ id, ok }), err: (err) => say({ id, err }) });
      }
    });
  });
  return relay;
}

// The answer to hello of such a relay.
export function welcome(rooms, more = {}) {
  return { user: "Ada", token: "t", ping_s: 25, frame_bytes_max: 65_536, rooms, ...more };
}

export const room = (more = {}) => ({ kind: "open", role: "owner", epoch: "e", first: 1, head: 0, recv: 0, read: 0, ...more });
export const member = (user, more = {}) => ({ user, role: "member", online: true, recv: 0, read: 0, ...more });

// The promise, or an error after a time.
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms / 1000} s: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
