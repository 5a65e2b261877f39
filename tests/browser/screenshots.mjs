// Makes the pictures of the README: two people on a desktop, and a phone in the dark. Run by `tests/browser/run`.

import path from "node:path";
import { Person, Relay, startBrowser } from "./support.mjs";

const folder = process.argv[2];
const relay = await Relay.start();
let browser;
try {
  browser = await startBrowser();
  const phone = { viewport: { width: 375, height: 667 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true, colorScheme: "dark" };
  const ada = await Person.enter(browser, relay.url, "Ada", { viewport: { width: 1180, height: 720 } });
  const ben = await Person.enter(browser, relay.url, "Ben", phone);
  const say = async (person, text) => {
    await person.page.fill("#text", text);
    await person.page.click("#send");
    for (const other of [ada, ben]) await other.sees(text);
  };
  await ada.join("boat");
  await ben.page.evaluate(() => { location.hash = "#boat"; });
  await ben.page.waitForFunction(() => document.title.startsWith("#boat"));
  await say(ben, "Saturday at ten?");
  await say(ada, "Ten is good. I bring the rope.");
  for (const person of [ada, ben]) {
    await person.page.evaluate(() => { location.hash = "#lobby"; });
    await person.page.waitForFunction(() => document.title.startsWith("#lobby"));
  }
  await say(ada, "Morning! Did the boat make it back before the storm?");
  await say(ben, "It did, just. Wet to the bone, but nothing broke.");
  await say(ben, "The new knot held the whole night.");
  await say(ada, "A tautline hitch never lets go under load, and still slides when you want it to.");
  await say(ben, "Then that is what we use for the tents too.");
  await ada.page.evaluate(() => { location.hash = "#boat"; });
  await ada.page.waitForFunction(() => document.title.startsWith("#boat"));
  await say2(ben, "Shall I send you the drawing?");
  await ada.page.waitForSelector("[data-room=lobby] .count");
  await ada.page.click("[data-room=lobby]");
  await say(ada, "Yes please, with the third turn in it.");
  await ben.page.locator("#text").pressSequentially("On its w");
  await ada.page.waitForSelector("#typing:not([hidden])");
  await ada.page.waitForTimeout(300);
  await ada.page.screenshot({ path: path.join(folder, "screenshot-desktop.png") });
  await ben.page.screenshot({ path: path.join(folder, "screenshot-phone.png") });
  console.log(`made screenshot-desktop.png and screenshot-phone.png in ${folder}`);

  async function say2(person, text) {
    await person.page.fill("#text", text);
    await person.page.click("#send");
    await person.sees(text);
  }
} finally {
  await browser?.close();
  await relay.stop("SIGKILL");
}
