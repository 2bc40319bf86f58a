# SPDX-License-Identifier: Apache-2.0
"""A client that reads half a megabyte in a second for some seconds, and then all that is left: PORT,
authority, protocol (h1, h2 or plain), what it asks for (page, half or socket), seconds.

Prints how many bytes of the answer's body came, and how that ended.
"""

import socket
import sys
import time

from h2_frames import *

port, authority, protocol, kind, seconds = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5])
BYTES_PER_SECOND = 500_000
began = time.monotonic()
count = 0


def wait():
    """Until so many bytes may have been read."""
    due = began + count / BYTES_PER_SECOND
    if time.monotonic() - began < seconds:
        time.sleep(max(0, min(due - time.monotonic(), 1)))


def by_stream():
    global count
    raw = Raw(port, authority, [(4, 2**31 - 1)])
    raw.send(window(0, 2**30))
    fields = raw.socket_fields("/socket") if kind == "socket" else raw.fields(path="/page")
    raw.send(raw.head(1, fields, 0 if kind == "socket" else END_STREAM))
    answer = raw.answer(1)
    last = b""
    while not answer.is_over:
        if not raw.receive():
            return "the connection ended", last
        count += len(answer.body)
        last = (last + answer.body)[-4:]
        answer.body = b""
        if kind == "socket" and last[:2] == b"\x88\x02":
            # It answers the Close, and all is said.
            raw.send(frame(DATA, END_STREAM, 1, masked(8, last[2:])))
            break
        wait()
    return "ended" if answer.code is None else f"reset {answer.code}", last


def by_connection():
    global count
    if protocol == "plain":
        plain = socket.create_connection(("127.0.0.1", port))
    else:
        plain = connect(port, authority, ["http/1.1"])
    upgrade = ("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n" if kind == "socket" else "")
    plain.sendall(f"GET /{'socket' if upgrade else 'page'} HTTP/1.1\r\nHost: localhost:{port}\r\n{upgrade}\r\n"
                  .encode())
    if kind == "half":
        plain.shutdown(socket.SHUT_WR)
    data = b""
    while b"\r\n\r\n" not in data:
        data += plain.recv(65536)
    head, data = data.split(b"\r\n\r\n", 1)
    length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    last = b""
    while True:
        count += len(data)
        last = (last + data)[-4:]
        if length and count >= length[0] or not length and last[:2] == b"\x88\x02":
            return "ended", last
        wait()
        try:
            data = plain.recv(16384)
        except OSError as error:
            return str(error), last
        if not data:
            return "the connection ended", last


end, last = by_stream() if protocol == "h2" else by_connection()
if kind == "socket":
    # The Close that the upstream did not send is Sluice's own.
    end += f" {int.from_bytes(last[2:], 'big')}" if last[:2] == b"\x88\x02" else " without a Close"
print(count, end)
