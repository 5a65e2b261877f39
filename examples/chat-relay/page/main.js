// The page of the chat relay: a client of relay.v1, without anything that is not in these files.
//
//   main ── view ─┬─ signin, list, talk, people, sheets      what is seen, made with dom
//                 └─ chat ─┬─ room                           what is known of a conversation
//                          ├─ outbox, marks ── store         what goes out, and what outlives the page
//                          └─ link ── transport              the connection, in three ways
//
// `chat` knows no element, and `room` neither elements nor the connection.

import { View } from "./view.js";

new View().start();
