# SPDX-License-Identifier: Apache-2.0
"""Closes one connection with 4000 as soon as it is open, and prints what comes until the end."""

import socket

import sans_io
from websockets.server import ServerProtocol

listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1])
stream, _ = listener.accept()
protocol = ServerProtocol()
while protocol.state.name == "CONNECTING":
    for event in sans_io.turn(stream, protocol):
        protocol.send_response(protocol.accept(event))
        sans_io.send(stream, protocol)
assert protocol.handshake_exc is None, protocol.handshake_exc
protocol.send_close(4000)
sans_io.send(stream, protocol)
sans_io.tell_until_end(stream, protocol)
