# SPDX-License-Identifier: Apache-2.0
"""A client that opens a WebSocket, writes down its session's secrets, and waits to be killed.

usage: killed_client.py PORT AUTHORITY VERSION FILE

Prints `open` behind the 101; FILE gets lines as of SSLKEYLOGFILE.
"""

import socket
import ssl
import sys
import time

port, authority, version, file = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
context.keylog_filename = file
stream = context.wrap_socket(
    socket.create_connection(("127.0.0.1", int(port)), timeout=20), server_hostname="localhost")
stream.sendall(
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
head = b""
while b"\r\n\r\n" not in head:
    piece = stream.recv(1)
    if not piece:
        sys.exit("it was closed")
    head += piece
print("open" if head.startswith(b"HTTP/1.1 101 ") else head, flush=True)
time.sleep(600)
