# SPDX-License-Identifier: Apache-2.0
"""cut_client.py PORT FOLDER ROUNDS: sockets whose bytes stop half way, until a file of the round is there.

Each socket is a TLS 1.3 session of tlslite-ng, whose bytes on the wire this script sends in pieces as it likes.
In round N the first piece of each is sent, and `held N` printed; when FOLDER/N is there the rest follows, and each
echo is compared. Meanwhile one socket asks for new keys and echoes, again and again.
"""

import os
import socket
import sys
import threading
import time

from tlslite.api import HandshakeSettings, TLSConnection

PORT, FOLDER, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
SENDS_NEW_KEYS, WANTS_NEW_KEYS = 0, 1


class Wire:
    """A socket that keeps what it is to send, where it has been told to."""

    def __init__(self):
        self.plain = socket.create_connection(("127.0.0.1", PORT), timeout=120)
        self.plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = None

    def sendall(self, data):
        if self.held is None:
            self.plain.sendall(data)
        else:
            self.held += data

    def send(self, data):
        self.sendall(data)
        return len(data)

    def recv(self, size):
        return self.plain.recv(size)

    def close(self):
        self.plain.close()

    def take(self):
        held, self.held = self.held, None
        return bytes(held)


class Client:
    def __init__(self):
        self.wire = Wire()
        self.tls = TLSConnection(self.wire)
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = (3, 4)
        self.tls.handshakeClientCert(settings=settings, serverName="localhost")
        self.tls.write(
            b"GET /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += bytes(self.tls.read(min=1, max=1))
        assert b" 101 " in head, head

    def echo(self, text):
        self.tls.write(frame(text))
        self.expect(text)

    def expect(self, text):
        head = bytes(self.tls.read(min=2, max=2))
        assert head[0] == 0x82 and head[1] <= 126, head
        size = head[1] if head[1] < 126 else int.from_bytes(self.tls.read(min=2, max=2), "big")
        got = bytes(self.tls.read(min=size, max=size))
        assert got == text, (len(got), len(text))

    def new_keys(self, kind):
        for _ in self.tls.send_keyupdate_request(kind):
            pass

    def wire_bytes(self, act):
        """What `act` would send."""
        self.wire.held = bytearray()
        act()
        return self.wire.take()


def frame(payload):
    size = len(payload)
    head = bytes([0x82, 0x80 | size]) if size < 126 else bytes([0x82, 0xFE]) + size.to_bytes(2, "big")
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def message(client, text):
    return client.wire_bytes(lambda: client.tls.write(frame(text)))


def keys_in_pieces(client, kind):
    """A KeyUpdate in two records, of three bytes and of two."""
    client.tls.recordSize = 3
    wire = client.wire_bytes(lambda: client.new_keys(kind))
    client.tls.recordSize = 2 ** 14
    return wire, 5 + 3 + 1 + 16


# Of each: what is sent in a round, and how much of it before the upgrade.
def half_header(client, text):
    return message(client, text), 3


def no_payload(client, text):
    return message(client, text), 5


def half_record(client, text):
    wire = message(client, text)
    return wire, len(wire) // 2


def all_but_one(client, text):
    wire = message(client, text)
    return wire, len(wire) - 1


def half_frame_header(client, text):
    whole = frame(text)
    first = client.wire_bytes(lambda: client.tls.write(whole[:1]))
    return first + client.wire_bytes(lambda: client.tls.write(whole[1:])), len(first)


def half_frame(client, text):
    whole = frame(text)
    first = client.wire_bytes(lambda: client.tls.write(whole[:1000]))
    return first + client.wire_bytes(lambda: client.tls.write(whole[1000:])), len(first) + 7


def half_key_update(client, text):
    wire = client.wire_bytes(lambda: client.new_keys(SENDS_NEW_KEYS))
    return wire + message(client, text), len(wire) // 2


def key_update_in_pieces(client, text):
    wire, first = keys_in_pieces(client, SENDS_NEW_KEYS)
    return wire + message(client, text), first


def asked_in_pieces(client, text):
    wire, first = keys_in_pieces(client, WANTS_NEW_KEYS)
    return wire + message(client, text), first


def asked_before(client, text):
    wire = client.wire_bytes(lambda: client.new_keys(WANTS_NEW_KEYS))
    return wire + message(client, text), len(wire)


KINDS = [
    half_header, no_payload, half_record, all_but_one, half_frame_header, half_frame, half_key_update,
    key_update_in_pieces, asked_in_pieces, asked_before,
]


def busy(client, is_over, counts):
    while not is_over.is_set():
        client.new_keys(WANTS_NEW_KEYS)
        client.echo(b"with new keys %d" % counts[0])
        counts[0] += 1


clients = [(kind, Client()) for kind in KINDS]
other, is_over, counts = Client(), threading.Event(), [0]
# A session of a second's age with nothing half done leaves OpenSSL's object, without which none can move.
until = time.monotonic() + 2
while time.monotonic() < until:
    for _, client in clients + [(None, other)]:
        client.echo(b"before")
side = threading.Thread(target=busy, args=(other, is_over, counts))
side.start()
for number in range(ROUNDS):
    rests = []
    for kind, client in clients:
        text = os.urandom(3000)
        wire, first = kind(client, text)
        assert 0 < first < len(wire)
        client.wire.plain.sendall(wire[:first])
        rests.append((kind, client, wire[first:], text))
    print("held", number)
    while not os.path.exists(f"{FOLDER}/{number}"):
        time.sleep(0.02)
    for kind, client, rest, text in rests:
        client.wire.plain.sendall(rest)
        try:
            client.expect(text)
            client.echo(b"behind it")
        except BaseException as fault:
            raise AssertionError(kind.__name__) from fault
is_over.set()
side.join()
assert counts[0] > ROUNDS, counts
print("ok", len(clients))
