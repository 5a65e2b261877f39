// A client on the WebSocket that browsers have, in a page or in node: sends the messages whole, for it knows no
// fragments, expects them back, and resolves to the extension as the server answered.

import { parse } from "./messages.mjs";

export async function exchange(url, bytes) {
  const messages = parse(bytes);
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let echoed = 0;
  let extensions = "";
  socket.onopen = () => {
    extensions = socket.extensions;
    for (const { isText, data } of messages) socket.send(isText ? new TextDecoder().decode(data) : data);
  };
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      const wrong = difference(messages[echoed], data);
      if (wrong) reject(new Error(`message ${echoed} ${wrong}`));
      echoed += 1;
      if (echoed === messages.length) socket.close(1000);
    };
    socket.onclose = ({ code, reason }) => {
      if (code === 1000 && echoed === messages.length) resolve(extensions);
      else reject(new Error(`closed with ${code} '${reason}' after ${echoed} of ${messages.length} messages`));
    };
  });
}

function difference(sent, data) {
  if (!sent) return "was not sent";
  if ((typeof data === "string") !== sent.isText) return "came back as another kind";
  const bytes = sent.isText ? new TextEncoder().encode(data) : new Uint8Array(data);
  const equal = bytes.length === sent.data.length && bytes.every((byte, n) => byte === sent.data[n]);
  return equal ? undefined : `of ${sent.data.length} bytes came back as ${bytes.length} others`;
}
