// SPDX-License-Identifier: Apache-2.0
// bulk_client.js URL AUTHORITY COUNT BYTES: Node's ws sends so many messages of random bytes and compares what comes back.

const crypto = require("crypto");
const fs = require("fs");
const WebSocket = require("ws");

const [url, authority, count, bytes] = process.argv.slice(2);
const socket = new WebSocket(url, {
  ca: fs.readFileSync(authority),
  perMessageDeflate: false,
});
let sent = [];
let left = Number(count);

function send() {
  if (left-- > 0) {
    sent.push(crypto.randomBytes(Number(bytes)));
    socket.send(sent[sent.length - 1]);
  }
}

socket.on("open", () => {
  // Two on their way at a time, so that both directions are busy at once.
  send();
  send();
});
socket.on("message", (data) => {
  if (!sent.shift().equals(data)) {
    console.log("another message came back");
    process.exit(1);
  }
  send();
  if (sent.length === 0) socket.close(1000);
});
socket.on("close", (code) => console.log(`closed with ${code}`));
socket.on("error", (error) => {
  console.log(`error: ${error.message}`);
  process.exit(1);
});
