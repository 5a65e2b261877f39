// The first screen: who one is, in the ways that the relay asks for it.

import { $, tidy } from "./dom.js";

// What each way asks for, and where the quiet button leads.
const WAYS = {
  name: {
    fields: ["name"], enter: "Enter", lead: "Choose a name, and join the conversation.", other: ["token", "I have a key from another device"],
  },
  token: {
    fields: ["token"], enter: "Enter", label: "Key", lead: "Paste the key that your other device shows in its menu.", other: ["name", "Choose a name instead"],
  },
  password: {
    fields: ["name", "password"], enter: "Sign in", lead: "Sign in with your account.", other: ["register", "Create an account"],
  },
  register: {
    fields: ["name", "password"], enter: "Create the account", lead: "Create an account: a name and a password.", other: ["password", "I have an account"],
  },
  invited: {
    fields: ["name", "password", "invitation"], enter: "Create the account", lead: "Accounts are made with an invitation here.", other: ["password", "I have an account"],
  },
  // The relay takes tokens only.
  vouched: {
    fields: ["token"], enter: "Enter", label: "Token",
    lead: "This relay does not give out names: it takes a token from the program that people sign in with here. Paste it.",
  },
};

export class SignIn {
  #way = "name";
  #busy = false;

  constructor(chat) {
    this.chat = chat;
    $("enter").addEventListener("submit", (event) => { event.preventDefault(); this.#submit(); });
    $("enter-other").addEventListener("click", () => { this.#show(WAYS[this.#way].other[0]); this.#problem(""); });
  }

  // refusal: why one is here, if the relay has said so; name: who one was.
  open(refusal, name) {
    this.#setBusy(false);
    if (name) $("name").value = name;
    const [way, text] = this.#afterRefusal(refusal, Boolean(name));
    this.#show(way);
    this.#problem(text);
  }

  // While the connection is made.
  state({ name, detail }) {
    if (!this.#busy) return;
    if (name === "waiting") this.#problem(`${detail ? `Not let in yet: ${detail.text}.` : "The relay cannot be reached."} This page keeps trying.`);
    if (name === "stopped") this.#setBusy(false);
  }

  #afterRefusal(refusal, wasIn) {
    const way = this.#way;
    const text = refusal?.text ?? "";
    switch (refusal?.code) {
      case undefined: return [way, ""];
      // The relay has accounts; that is nothing wrong.
      case "password": return way === "name" ? ["password", ""] : [way, text];
      case "registration": return ["invited", way === "register" && !/no accounts/.test(text) ? "" : text];
      case "token":
        if (wasIn) return [this.#wayOfOld(), "The relay does not know you any more. Come in again."];
        return way === "name" ? ["vouched", ""] : [way, text];
      case "signed_out": return [this.#wayOfOld(), "You were signed out."];
      case "expired": return ["vouched", "Your token has expired: a new one is needed."];
      default: return [way, text || refusal.code];
    }
  }

  #wayOfOld() {
    return { password: "password", token: "token" }[this.chat.by] ?? "name";
  }

  #show(name) {
    this.#way = name;
    const way = WAYS[name];
    $("lead").textContent = way.lead;
    $("enter-button").textContent = way.enter;
    for (const field of document.querySelectorAll("#enter .field")) field.hidden = !way.fields.includes(field.dataset.for);
    document.querySelector("label[for=token]").textContent = way.label ?? "Token";
    $("password").autocomplete = name === "password" ? "current-password" : "new-password";
    $("enter-other").hidden = !way.other;
    $("enter-other").textContent = way.other?.[1] ?? "";
    const empty = way.fields.find((it) => $(it).value === "");
    $(empty ?? way.fields[0]).focus();
  }

  #submit() {
    if (this.#busy) return;
    const way = WAYS[this.#way];
    const missing = way.fields.find((field) => $(field).value.trim() === "");
    if (missing) {
      this.#problem({ name: "Choose a name.", password: "A password is needed.", invitation: "An invitation is needed.", token: "Paste it here first." }[missing]);
      $(missing).focus();
      return;
    }
    this.#problem("");
    this.#setBusy(true);
    const fields = {};
    for (const field of way.fields) fields[field] = field === "password" ? $(field).value : tidy($(field).value);
    if (this.#way === "register" || this.#way === "invited") fields.register = true;
    this.chat.enter(fields);
  }

  #problem(text) {
    $("enter-problem").textContent = text;
    for (const input of document.querySelectorAll("#enter input")) {
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  }

  #setBusy(busy) {
    this.#busy = busy;
    $("enter-button").disabled = busy;
  }

  // One is in: nothing secret stays in the fields.
  done() {
    this.#setBusy(false);
    for (const secret of ["password", "token", "invitation"]) $(secret).value = "";
    this.#problem("");
  }
}
