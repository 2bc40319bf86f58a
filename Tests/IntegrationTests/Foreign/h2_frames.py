# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 that sends what a test says, frame by frame, lawful or not (hyperframe and hpack)."""

import socket
import ssl
import struct

import hpack

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 1, 1, 4, 8, 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(entries=()):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *entry) for entry in entries))


def window(stream, count):
    return frame(WINDOW, 0, stream, struct.pack(">I", count))


def reset(stream, code=8):
    return frame(RESET, 0, stream, struct.pack(">I", code))


def connect(port, authority, protocols=("h2", "http/1.1")):
    """A TLS connection to the proxy, verified for localhost."""
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(list(protocols))
    plain = socket.create_connection(("127.0.0.1", port), timeout=60)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost")


class Answer:
    """What has come on one stream."""

    def __init__(self):
        self.heads, self.body, self.ended, self.code = [], b"", False, None

    @property
    def status(self):
        """The status of the final answer; nothing before it came."""
        final = [head for head in self.heads if int(dict(head).get(":status", 200)) >= 200]
        return int(dict(final[0])[":status"]) if final else None

    @property
    def fields(self):
        final = [head for head in self.heads if int(dict(head).get(":status", 200)) >= 200]
        return [pair for pair in final[0] if pair[0] != ":status"]

    @property
    def is_over(self):
        return self.ended or self.code is not None


class Raw:
    """One connection: bytes go out as they are given, and what comes is taken apart."""

    def __init__(self, port, authority, entries=(), opens=True):
        self.port = port
        self.socket = connect(port, authority)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.answers, self.goaway, self.settings, self.windows = {}, None, None, {}
        self.pongs, self.left, self.block, self.has_ended = [], b"", b"", False
        self.sent_pings = 0
        if opens:
            self.send(PREFACE + settings(entries))
            while self.settings is None:
                self.receive()
            self.send(frame(SETTINGS, ACK))

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def receive(self):
        """Takes what comes next; false at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            data = b""
        if not data:
            self.has_ended = True
            return False
        self.left += data
        while len(self.left) >= 9:
            count = int.from_bytes(self.left[:3], "big")
            if len(self.left) < 9 + count:
                break
            kind, flags = self.left[3], self.left[4]
            stream = int.from_bytes(self.left[5:9], "big")
            payload, self.left = self.left[9:9 + count], self.left[9 + count:]
            self.take(kind, flags, stream, payload)
        return True

    def take(self, kind, flags, stream, payload):
        if kind in (HEADERS, CONTINUATION):
            assert flags & (PADDED | WITH_PRIORITY) == 0
            self.block += payload
            if kind == HEADERS:
                self.ends = flags & END_STREAM
            if flags & END_HEADERS:
                pairs = [(name if isinstance(name, str) else name.decode("latin-1"),
                          value if isinstance(value, str) else value.decode("latin-1"))
                         for name, value in self.decoder.decode(self.block, raw=True)]
                self.block = b""
                self.answer(stream).heads.append(pairs)
                self.answer(stream).ended |= bool(self.ends)
        elif kind == DATA:
            assert not self.answer(stream).is_over, "bytes behind the end"
            self.answer(stream).body += payload
            self.answer(stream).ended |= bool(flags & END_STREAM)
        elif kind == RESET:
            assert self.answer(stream).code is None, "reset twice"
            self.answer(stream).code = int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            self.settings = {key: value for key, value in struct.iter_unpack(">HI", payload)}
        elif kind == PING and flags & ACK:
            self.pongs.append(payload)
        elif kind == PING:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway = (int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big"))
        elif kind == WINDOW:
            self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, "big")

    def until(self, condition):
        while not condition():
            assert self.receive(), f"the connection has ended: {self.goaway}"

    def until_end(self):
        while self.receive():
            pass

    def settle(self):
        """Waits until the proxy has taken all that was sent: a PING goes there and back."""
        self.sent_pings += 1
        self.send(frame(PING, 0, 0, struct.pack(">Q", self.sent_pings)))
        self.until(lambda: len(self.pongs) == self.sent_pings)

    def head(self, stream, fields, flags=END_STREAM):
        """The bytes of a HEADERS frame."""
        return frame(HEADERS, flags | END_HEADERS, stream, self.encoder.encode(fields))

    def fields(self, method="GET", path="/", more=()):
        return [(":method", method), (":scheme", "https"), (":authority", f"localhost:{self.port}"),
                (":path", path), *more]

    def socket_fields(self, path="/", more=()):
        return [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                (":authority", f"localhost:{self.port}"), (":path", path),
                ("sec-websocket-version", "13"), ("origin", f"https://localhost:{self.port}"), *more]

    def ask(self, stream, method="GET", path="/", more=()):
        """A request without a body, and its whole answer."""
        self.send(self.head(stream, self.fields(method, path, more)))
        self.until(lambda: self.answer(stream).is_over)
        return self.answer(stream)


def masked(opcode, data, mask=b"\x11\x22\x33\x44", final=True):
    """A frame of a WebSocket client (RFC 6455 §5.2)."""
    count = len(data)
    size = bytes([128 | count]) if count < 126 else b"\xfe" + struct.pack(">H", count)
    return (bytes([(128 if final else 0) | opcode]) + size + mask
            + bytes(byte ^ mask[index % 4] for index, byte in enumerate(data)))
