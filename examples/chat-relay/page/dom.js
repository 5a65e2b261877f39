// Small things for making what is seen. Text from others becomes text nodes, and nothing else.

export const $ = (id) => document.getElementById(id);

// An element with attributes and children. Strings become text nodes; false, null and undefined are left out.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined || value === "") continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((it) => it !== false && it !== null && it !== undefined && it !== ""));
  return element;
}

export function button(text, onClick, attributes = {}) {
  const element = el("button", { type: "button", class: "quiet", ...attributes }, text);
  element.addEventListener("click", onClick);
  return element;
}

export function icon(name, className = "glyph") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", className);
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

// A state of a message, with words for who does not see the picture.
export function tick(state) {
  const words = {
    waiting: "Waiting to be sent", stored: "Sent", received: "Received by all", read: "Read by all", failed: "Not sent",
  };
  const picture = icon(state === "read" ? "received" : state);
  return el("span", { class: `tick ${state}`, title: words[state] }, picture, el("span", { class: "unseen" }, words[state]));
}

// Makes a list's elements fit the items: each item is {key, shape, make()}, and what has kept its shape is left alone.
export function fit(list, items, shown) {
  const kept = new Map();
  let place = list.firstElementChild;
  for (const { key, shape, make } of items) {
    const before = shown.get(key);
    const node = before?.shape === shape ? before.node : make();
    // What is moved or made anew would lose the focus.
    const focused = before?.node.contains(document.activeElement) ? document.activeElement : null;
    if (before && before.node !== node) {
      if (place === before.node) place = place.nextElementSibling;
      before.node.remove();
    }
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
    if (focused && focused !== document.activeElement) {
      (node.contains(focused) ? focused : node.querySelector("button, select"))?.focus({ preventScroll: true });
    }
    kept.set(key, { shape, node });
    shown.delete(key);
  }
  for (const { node } of shown.values()) node.remove();
  return kept;
}

export function avatar(element, name, kind = "direct") {
  const letter = [...name].find((character) => /[\p{L}\p{N}]/u.test(character)) ?? "?";
  element.className = `avatar hue-${hue(name)}${kind === "direct" ? "" : " group"}`;
  element.replaceChildren(letter.toUpperCase());
  return element;
}

// One of eight colours, the same on every device.
export function hue(name) {
  let hash = 7;
  for (const character of name.toLowerCase()) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash % 8;
}

// The text, with what begins as a web address made a link.
export function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    let { length } = found;
    while (".,:;!?'\")]}".includes(found[length - 1])) length -= 1;
    const address = found.slice(0, length);
    if (!isAddress(address)) continue;
    parts.push(text.slice(end, index));
    parts.push(el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, address));
    end = index + length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

function isAddress(text) {
  try {
    return Boolean(new URL(text).hostname);
  } catch {
    return false;
  }
}

export const tidy = (name) => name.trim().replace(/\s+/g, " ");
export const byName = (a, b) => a.localeCompare(b);
export const count = (number) => (number > 999 ? "999+" : String(number));

const formats = {
  clock: new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" }),
  full: new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" }),
  day: new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" }),
  year: new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric" }),
  short: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
  weekday: new Intl.DateTimeFormat("en", { weekday: "short" }),
  ago: new Intl.RelativeTimeFormat("en", { style: "long", numeric: "auto" }),
};
const DAY_MS = 86_400_000;

export const clock = (ts) => formats.clock.format(ts);
export const fullTime = (ts) => formats.full.format(ts);
export const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();

export function day(ts) {
  if (sameDay(ts, Date.now())) return "Today";
  if (sameDay(ts, Date.now() - DAY_MS)) return "Yesterday";
  return (Date.now() - ts < 300 * DAY_MS ? formats.day : formats.year).format(ts);
}

// As short as a list has room for.
export function shortTime(ts) {
  if (!ts) return "";
  if (sameDay(ts, Date.now())) return clock(ts);
  return Date.now() - ts < 6 * DAY_MS ? formats.weekday.format(ts) : formats.short.format(ts);
}

export function ago(ts) {
  const minutes = Math.round((Date.now() - ts) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return formats.ago.format(-minutes, "minute");
  if (minutes < 24 * 60) return formats.ago.format(-Math.round(minutes / 60), "hour");
  return formats.ago.format(-Math.round(minutes / 1440), "day");
}

export function presence(member) {
  if (member?.online) return "online";
  return member?.last_seen ? `last seen ${ago(member.last_seen)}` : "offline";
}
