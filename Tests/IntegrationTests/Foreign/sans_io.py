# SPDX-License-Identifier: Apache-2.0
"""A blocking socket under the protocol of websockets, so that a script says when what is sent."""

import socket
import ssl
from urllib.parse import urlsplit

from websockets.frames import Close, Opcode


def connect(url, authority):
    """A connection to the host of `url`, by TLS where it asks for that."""
    parts = urlsplit(url)
    stream = socket.create_connection((parts.hostname, parts.port), timeout=60)
    if parts.scheme == "wss":
        trusted = ssl.create_default_context(cafile=authority)
        stream = trusted.wrap_socket(stream, server_hostname=parts.hostname)
    return stream


def send(stream, protocol):
    """Sends what the protocol has to say; an empty piece is the end of the stream."""
    for data in protocol.data_to_send():
        if data:
            stream.sendall(data)
        else:
            stream.shutdown(socket.SHUT_WR)


def turn(stream, protocol):
    """Sends, receives once, answers, and returns what has come."""
    send(stream, protocol)
    data = stream.recv(65536)
    if data:
        protocol.receive_data(data)
    else:
        protocol.receive_eof()
    events = protocol.events_received()
    try:
        send(stream, protocol)
    except OSError:
        # What came was the end.
        pass
    return events


def tell_until_end(stream, protocol):
    """Prints each frame that comes, once it is answered, until the connection has ended."""
    while protocol.state.name != "CLOSED":
        for frame in turn(stream, protocol):
            if frame.opcode is Opcode.CLOSE:
                close = Close.parse(frame.data)
                print("close", close.code, close.reason)
            elif frame.opcode is Opcode.TEXT:
                print("text", bytes(frame.data).decode())
            else:
                print(frame.opcode.name.lower())
