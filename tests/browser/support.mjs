// The relay, a browser, and a connection between them that can be cut: everything that is started here is ended here.

import { spawn } from "node:child_process";
import net from "node:net";
import { chromium } from "playwright-core";

const READY_WITHIN_MS = 10_000;
const STOPPED_WITHIN_MS = 10_000;

// The relay's program.
export class Relay {
  static async start(...flags) {
    const relay = new Relay();
    const listen = flags.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    relay.process = spawn(process.env.RELAY, [...listen, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
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
  "--disable-sync", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];

export async function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS, timeout: 60_000 });
}

// A person with a browser of their own, on the page but not in.
export class Person {
  // What the browser asked for, and what it complained about.
  hosts = new Set();
  complaints = [];

  static async visit(browser, url, options = {}) {
    const person = new Person();
    person.context = await browser.newContext({
      viewport: { width: 1180, height: 760 }, locale: "en-GB", colorScheme: "light", ...options,
    });
    person.context.setDefaultTimeout(10_000);
    person.context.on("request", (request) => person.hosts.add(new URL(request.url()).host));
    person.page = await person.openTab(url);
    return person;
  }

  async openTab(url) {
    const page = await this.context.newPage();
    page.on("websocket", (socket) => this.hosts.add(new URL(socket.url()).host));
    page.on("pageerror", (error) => this.complaints.push(error.message));
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

  async isLive() {
    await this.page.waitForSelector("#state[data-state=live]", { state: "attached", timeout: 20_000 });
    await this.page.waitForSelector("#title:not(:empty)");
  }

  async isNotLive() {
    await this.page.waitForSelector("#state:not([data-state=live])", { state: "attached", timeout: 20_000 });
  }

  async join(room) {
    await this.page.fill("#room-name", room);
    await this.page.press("#room-name", "Enter");
    await this.page.waitForFunction((title) => document.title.includes(`#${title}`),
      room.replace(/\s+/g, " ").toLowerCase());
  }

  async write(text) {
    await this.page.fill("#text", text);
    await this.page.press("#text", "Enter");
  }

  // What is in the open room's log, oldest first.
  async log() {
    return this.page.$$eval("#messages .body", (bodies) => bodies.map((body) => body.textContent));
  }

  async sees(text) {
    await this.page.waitForFunction((text) => {
      return [...document.querySelectorAll("#messages .body")].some((body) => body.textContent === text);
    }, text, { timeout: 30_000 });
  }

  async leave() {
    await this.context.close();
  }
}

// Another client of the protocol, inside a page: says lines, and resolves to what it heard.
export function speak(page, name, room, texts) {
  return page.evaluate(([name, room, texts]) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${location.host}/ws`, "relay.v1");
    const left = new Set(texts.map((_, n) => n + 2));
    socket.onopen = () => {
      socket.send(JSON.stringify({ id: 0, hello: { v: 1, name } }));
      socket.send(JSON.stringify({ id: 1, join: { room } }));
      texts.forEach((text, n) => {
        socket.send(JSON.stringify({ id: n + 2, send: { room, cid: `bot${n}`, body: { text } } }));
      });
    };
    socket.onmessage = ({ data }) => {
      for (const line of data.split("\n").map(JSON.parse)) {
        if (line.err) reject(new Error(JSON.stringify(line)));
        if (line.ok) left.delete(line.id);
        if (left.size === 0) {
          socket.close();
          resolve();
        }
      }
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  }), [name, room, texts]);
}

// A relay that the test plays itself. onLine hears what the page says, and on which of its connections.
export async function playRelay(page, onLine) {
  const relay = { sockets: 0 };
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const nth = relay.sockets += 1;
    relay.say = (line) => socket.send(JSON.stringify(line));
    relay.close = (code) => socket.close({ code });
    const { say, close } = relay;
    socket.onMessage((text) => {
      const { id, ...said } = JSON.parse(text);
      onLine({ said, nth, say, close, ok: (ok) => say({ id, ok }), err: (err) => say({ id, err }) });
    });
  });
  return relay;
}

// The answer to hello of such a relay.
export function welcome(rooms, more = {}) {
  return { user: "Ada", token: "t", ping_s: 25, frame_bytes_max: 65_536, rooms, ...more };
}

// The promise, or an error after a time.
export async function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms / 1000} s: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
