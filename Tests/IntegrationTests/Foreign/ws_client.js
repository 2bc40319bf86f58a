// SPDX-License-Identifier: Apache-2.0
// ws_client.js URL AUTHORITY [SUBPROTOCOL…]: Node's ws, which is strict about the 101, says how it went.

const fs = require("fs");
const WebSocket = require("ws");

const [url, authority, ...subprotocols] = process.argv.slice(2);
const socket = new WebSocket(url, subprotocols, {
  ca: fs.readFileSync(authority),
  perMessageDeflate: false,
});
socket.on("open", () => socket.send("hello"));
socket.on("message", (data) => {
  console.log(`open '${socket.protocol}' ${data}`);
  socket.close(1000);
});
socket.on("error", (error) => {
  console.log(`error: ${error.message}`);
  process.exit(0);
});
