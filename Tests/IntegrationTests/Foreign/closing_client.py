# SPDX-License-Identifier: Apache-2.0
"""Closes with 1000 as soon as it is open, and prints what comes until the end."""

import sys

import sans_io
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

url, authority = sys.argv[1:]
stream = sans_io.connect(url, authority)
protocol = ClientProtocol(parse_uri(url))
protocol.send_request(protocol.connect())
while protocol.state.name == "CONNECTING":
    sans_io.turn(stream, protocol)
assert protocol.handshake_exc is None, protocol.handshake_exc
protocol.send_close(1000)
sans_io.send(stream, protocol)
print("closing")
sans_io.tell_until_end(stream, protocol)
