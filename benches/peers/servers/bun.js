// Bun as its documentation has it; uWebSockets is inside, and sends what one turn wrote at once.

const argument = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const [hostname, port] = (argument("--listen") ?? "127.0.0.1:0").split(":");
const deflate = process.argv.includes("--deflate");
const broadcast = process.argv.includes("--broadcast");
const maxMessage = argument("--max-message");
const takeover = process.argv.includes("--takeover");
const cert = argument("--tls-cert");
const key = argument("--tls-key");

// "dedicated" is the full window of 32 KiB. Bun's "32KB" is what a compressor takes with a window of 4 KiB.
const perMessageDeflate =
  deflate && takeover ? { compress: "dedicated", decompress: "dedicated" } : deflate;

const server = Bun.serve({
  hostname,
  port: Number(port),
  ...(cert && { tls: { cert: Bun.file(cert), key: Bun.file(key) } }),
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("a WebSocket is expected", { status: 426 });
  },
  websocket: {
    perMessageDeflate,
    // Its default is 16 MiB of each. What is beyond the second is dropped, and an answer must not be.
    ...(maxMessage && { maxPayloadLength: Number(maxMessage), backpressureLimit: 1 << 30 }),
    // All get a message, the one that it came from among them.
    publishToSelf: true,
    open(socket) {
      if (broadcast) socket.subscribe("all");
    },
    message(socket, message) {
      if (broadcast) socket.publish("all", message);
      else socket.send(message, deflate);
    },
  },
});
console.log(`listening on ws://${server.hostname}:${server.port}`);
