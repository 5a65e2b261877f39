// The WebSocket that node has built in.
//
//   node node_client.mjs URL MESSAGES

import { readFileSync } from "node:fs";
import { exchange } from "./exchange.mjs";

const [url, path] = process.argv.slice(2);
console.log(await exchange(url, readFileSync(path)));
