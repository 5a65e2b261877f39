// Bun as its documentation has it; uWebSockets is inside, and sends what one turn wrote at once.

const argument = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const [hostname, port] = (argument("--listen") ?? "127.0.0.1:0").split(":");
const deflate = process.argv.includes("--deflate");
const takeover = process.argv.includes("--takeover");

// "dedicated" is the full window of 32 KiB. Bun's "32KB" is what a compressor takes with a window of 4 KiB.
const perMessageDeflate =
  deflate && takeover ? { compress: "dedicated", decompress: "dedicated" } : deflate;

const server = Bun.serve({
  hostname,
  port: Number(port),
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("a WebSocket is expected", { status: 426 });
  },
  websocket: {
    perMessageDeflate,
    message(socket, message) {
      socket.send(message, deflate);
    },
  },
});
console.log(`listening on ws://${server.hostname}:${server.port}`);
