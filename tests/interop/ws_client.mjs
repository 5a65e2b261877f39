// node's `ws` as a client: sends the messages, expects them back, and prints the extension as the server answered.
//
//   node ws_client.mjs URL MESSAGES PARAMETER..., such as client_max_window_bits=9

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import WebSocket from "ws";
import { options, parse } from "./messages.mjs";

const [url, path, ...parameters] = process.argv.slice(2);
const messages = parse(readFileSync(path));

// A threshold of 0 lets it compress what is short as well.
const socket = new WebSocket(url, { perMessageDeflate: { ...options(parameters), threshold: 0 } });
let answer;
socket.on("upgrade", (response) => { answer = response.headers["sec-websocket-extensions"]; });

let echoed = 0;
socket.on("message", (data, isBinary) => {
  const sent = messages[echoed];
  assert(sent, "more messages came back than were sent");
  assert.equal(isBinary, !sent.isText, `message ${echoed} came back as another kind`);
  assert(data.equals(sent.data), `message ${echoed} of ${sent.data.length} bytes came back as ${data.length} others`);
  echoed += 1;
  if (echoed === messages.length) socket.close(1000);
});

await once(socket, "open");
assert.equal(socket.extensions, "permessage-deflate");
const closed = once(socket, "close");
for (const { isText, compress, parts } of messages) {
  parts.forEach((part, n) => {
    socket.send(part, { binary: !isText, compress: compress !== "never", fin: n + 1 === parts.length });
  });
}
const [code] = await closed;
assert.deepEqual({ code, echoed }, { code: 1000, echoed: messages.length });
console.log(answer);
