// node's `ws` as a server that sends each message back, every second one in fragments, every fourth one uncompressed.
//
//   node ws_server.mjs PARAMETER..., such as server_max_window_bits=9
//
// With TLS where the environment names files in TLS_CERT and TLS_KEY.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { WebSocketServer } from "ws";
import { options } from "./messages.mjs";

const { TLS_CERT, TLS_KEY } = process.env;
const below = TLS_CERT
  ? https.createServer({ cert: readFileSync(TLS_CERT), key: readFileSync(TLS_KEY) })
  : http.createServer();
const server = new WebSocketServer({
  server: below,
  // A threshold of 0 lets it compress what is short as well.
  perMessageDeflate: { ...options(process.argv.slice(2)), threshold: 0 },
});
server.on("connection", (socket) => {
  if (socket.extensions !== "permessage-deflate") socket.close(1010, "not compressed");
  let number = 0;
  socket.on("message", (data, binary) => {
    // Whole, or two to five of one length, wherever that cuts a character.
    const pieces = number % 2 === 0 ? 1 : 2 + (number >> 1) % 4;
    const size = Math.ceil(data.length / pieces);
    for (let n = 0; n < pieces; n += 1) {
      socket.send(data.subarray(n * size, (n + 1) * size), {
        binary, compress: number % 4 !== 3, fin: n + 1 === pieces,
      });
    }
    number += 1;
  });
});

below.listen(0, "127.0.0.1");
await once(below, "listening");
console.log(`listening on ${TLS_CERT ? "wss" : "ws"}://127.0.0.1:${below.address().port}`);
