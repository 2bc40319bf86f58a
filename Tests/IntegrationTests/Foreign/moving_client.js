// SPDX-License-Identifier: Apache-2.0
// moving_client.js URL AUTHORITY FILE: Node's ws echoes messages of its own, until FILE is there.

const fs = require("fs");
const WebSocket = require("ws");

const [url, authority, file] = process.argv.slice(2);
const socket = new WebSocket(url, { ca: fs.readFileSync(authority) });
let turn = 0;
let isOver = false;
let expected = "";

function next() {
  expected = `message ${turn} ` + "x".repeat((turn * 997) % 70000);
  socket.send(expected);
}
socket.on("open", next);
socket.on("message", (data) => {
  if (data.toString() !== expected) {
    console.log(`altered: message ${turn}`);
    process.exit(1);
  }
  turn += 1;
  if (turn === 1) console.log("ready");
  if (isOver) {
    console.log(`ok ${turn}`);
    socket.close(1000);
  } else {
    next();
  }
});
socket.on("close", (code) => process.exit(isOver && code === 1000 ? 0 : 2));
socket.on("error", (error) => {
  console.log(`error: ${error.message}`);
  process.exit(3);
});
setInterval(() => {
  isOver = fs.existsSync(file);
}, 50).unref();
