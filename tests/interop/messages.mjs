// Reads the file that messages.py describes. For node and for a page.

export function parse(bytes) {
  const messages = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at);
    const [kind, compress, ...lengths] = new TextDecoder().decode(bytes.subarray(at, end)).split(" ");
    const start = at = end + 1;
    const parts = lengths.map((length) => bytes.subarray(at, at += Number(length)));
    messages.push({ isText: kind === "text", compress, parts, data: bytes.subarray(start, at) });
  }
  return messages;
}

// The parameters of a command line, such as client_max_window_bits=9, as options of `ws`: { clientMaxWindowBits: 9 }.
export function options(parameters) {
  return Object.fromEntries(parameters.map((parameter) => {
    const [name, value] = parameter.split("=");
    return [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value ? Number(value) : true];
  }));
}
