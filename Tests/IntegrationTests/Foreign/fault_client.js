// SPDX-License-Identifier: Apache-2.0
// fault_client.js URL AUTHORITY NUMBER: Node's ws asks for an echo so often, and connects again when its connection ends.

const fs = require("fs");
const WebSocket = require("ws");

const [url, authority, number] = process.argv.slice(2);
const ca = fs.readFileSync(authority);
let done = 0;
let cuts = 0;
const codes = new Set();

function connect() {
  const socket = new WebSocket(url, { ca, perMessageDeflate: false });
  socket.on("open", () => socket.send(`message ${done}`));
  socket.on("message", (data) => {
    if (`${data}` !== `message ${done}`) throw new Error(`${data} in place of ${done}`);
    done += 1;
    if (done < Number(number)) return socket.send(`message ${done}`);
    console.log(`${cuts} ${[...codes]}`);
    process.exit(0);
  });
  socket.on("error", () => {});
  socket.on("close", (code) => {
    codes.add(code);
    cuts += 1;
    connect();
  });
}

connect();
