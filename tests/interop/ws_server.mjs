// node's `ws` as a server that sends each message back, every second one in fragments, every fourth one uncompressed.
//
//   node ws_server.mjs PARAMETER..., such as server_max_window_bits=9

import { WebSocketServer } from "ws";
import { options } from "./messages.mjs";

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  // A threshold of 0 lets it compress what is short as well.
  perMessageDeflate: { ...options(process.argv.slice(2)), threshold: 0 },
});
server.on("listening", () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
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
