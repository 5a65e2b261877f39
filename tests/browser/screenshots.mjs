// Makes the pictures of the README: a desktop with three conversations by day and by night, a phone's list and conversation. Run by
// `tests/browser/run`.

import path from "node:path";
import { Person, Relay, startBrowser } from "./support.mjs";

const folder = process.argv[2];
const DESKTOP = { viewport: { width: 1240, height: 760 } };
const PHONE = { viewport: { width: 390, height: 760 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true, colorScheme: "dark" };

const relay = await Relay.start();
let browser;
try {
  browser = await startBrowser();
  const ada = await Person.enter(browser, relay.url, "Ada", DESKTOP);
  const ben = await Person.enter(browser, relay.url, "Ben", DESKTOP);
  const cleo = await Person.enter(browser, relay.url, "Cleo", PHONE);
  const say = async (person, text) => {
    await person.write(text);
    await person.sees(text);
  };

  for (const person of [cleo, ada, ben]) await person.join("harbour");
  await cleo.page.tap("#back");
  await say(ben, "The crane is free from nine.");
  await say(ada, "Then I am there at half past eight, with coffee.");
  await ada.direct("Cleo");
  await say(ada, "Are you coming on Saturday?");

  await ada.join("boat", true);
  await ada.page.click("#people-button");
  for (const name of ["Ben", "Cleo"]) {
    await ada.page.fill("#add-name", name);
    await ada.page.press("#add-name", "Enter");
    await ada.page.waitForSelector(`#members [data-user=${name}]`);
  }
  await ada.page.click("#people-close");
  await ben.open("boat");
  await cleo.page.tap("#rooms [data-room=boat]");
  await say(ada, "Morning! Did the boat make it back before the storm?");
  await say(ben, "It did, just. Wet to the bone, but nothing broke.");
  await say(ben, "The new knot held the whole night.");
  await say(cleo, "Which one was it?");
  await say(ada, "A tautline hitch. It never lets go under load, and still slides when you want it to.");
  await say(ada, "Drawings are at https://example.org/knots");
  await say(cleo, "Then that is what we use for the tents, too.");
  await say(ben, "Yes please. I bring the rope, forty metres of it.");

  // What is unread, and who writes.
  await cleo.page.tap("#back");
  await cleo.page.tap("#rooms [data-room^='@']");
  await say(cleo, "Yes! With the small tent.");
  await say(cleo, "And somebody has to bring a stove…");
  await say(ada, "Good. Ten at the jetty.");
  await ben.open("harbour");
  await say(ben, "Bring two cups.");
  await ada.page.waitForSelector("#rooms [data-room=harbour] .count");
  await cleo.page.tap("#back");
  await cleo.page.tap("#rooms [data-room=boat]");
  await ben.open("boat");
  await say(ada, "Perfect. See you both on Saturday.");
  await ada.seesTick("Perfect. See you both on Saturday.", "read");
  await ben.page.locator("#text").pressSequentially("On my w");
  await ada.page.waitForSelector("#typing:not([hidden])");
  await cleo.page.waitForSelector("#typing:not([hidden])");
  const shoot = (person, name) => person.page.screenshot({ path: path.join(folder, `screenshot-${name}.png`) });
  await ada.page.mouse.move(620, 700);
  await ada.page.waitForTimeout(300);
  await shoot(ada, "desktop");
  await shoot(cleo, "phone");
  await ada.page.emulateMedia({ colorScheme: "dark" });
  await ada.page.click("#people-button");
  await ada.page.mouse.move(620, 700);
  await shoot(ada, "desktop-dark");
  await cleo.page.tap("#back");
  await shoot(cleo, "phone-list");
  console.log(`made screenshot-desktop, -desktop-dark, -phone and -phone-list in ${folder}`);
} finally {
  await browser?.close();
  await relay.stop("SIGKILL");
}
process.exit(0);
