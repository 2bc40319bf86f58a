# SPDX-License-Identifier: Apache-2.0
"""Random conversations in HTTP/2 ask the app for what the same requests in HTTP/1.1 ask for:
PORT, authority, port of recording_app.py, seed, count.

A conversation is a number of requests, uploads and WebSockets. Its frames are mixed, padded, split into
CONTINUATION frames and interspersed with others that mean nothing here; then all its bytes are cut anywhere.
What the app has seen must be the same as when each was sent on a connection of HTTP/1.1 of its own.
"""

import http.client
import json
import random
import struct
import sys

from h2_frames import *

port, authority, app_port, seed, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:])


def token(chance, most=12):
    return "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789-") for _ in range(chance.randint(1, most)))


class Request:
    """One of a conversation."""

    def __init__(self, chance, number):
        self.number = number
        self.kind = chance.choices(["plain", "upload", "socket", "cancelled"], [5, 5, 3, 1])[0]
        self.method = chance.choice({"plain": ["GET", "HEAD", "DELETE", "OPTIONS"], "socket": ["GET"]}.get(
            self.kind, ["POST", "PUT", "PATCH", "QUERY"]))
        self.path = "/" + "/".join(token(chance) for _ in range(chance.randint(0, 4)))
        if chance.random() < 0.5:
            self.path += "?" + "&".join(f"{token(chance)}={token(chance, 200)}" for _ in range(chance.randint(1, 5)))
        if self.kind in ("plain", "upload"):
            self.answer = chance.choice([0, 1, 100, 5000])
            self.path += ("&" if "?" in self.path else "?") + f"answer={self.answer}"
        self.fields = [self.field(chance) for _ in range(chance.randint(0, 15))]
        self.cookies = [f"{token(chance)}={token(chance, 40)}" for _ in range(chance.choice([0, 0, 1, 2, 5]))]
        self.cookie_at = chance.randint(0, len(self.fields))
        self.body = b""
        if self.kind in ("upload", "cancelled"):
            self.body = chance.randbytes(chance.choice([0, 1, 9, 1000, 16_000, 50_000]))
        self.has_length = self.kind == "upload" and chance.random() < 0.5
        # Where the length was announced there is no place for them in HTTP/1.1.
        self.trailers = []
        if self.kind == "upload" and self.body and not self.has_length and chance.random() < 0.3:
            self.trailers = [("x-behind", token(chance)), ("x-sum", token(chance))][:chance.randint(1, 2)]
        if self.kind == "socket":
            self.fields.append(("sec-websocket-version", "13"))
            self.frames = [self.frame(chance) for _ in range(chance.randint(0, 6))] + [masked(8, b"\x03\xe8")]
            self.body = b"".join(self.frames)
        if self.kind == "cancelled":
            self.body = self.body or b"more would follow"

    @staticmethod
    def field(chance):
        name = chance.choice(["accept", "user-agent", "x-a", "x-a", "x-b", "accept-language", "authorization",
                              "if-none-match", "range", "x-" + token(chance, 30)])
        value = chance.choice(["", token(chance), token(chance, 600), "a, b;q=0.5", "\t".join("xyz"), "'\"%&/()=?"])
        return name, value

    @staticmethod
    def frame(chance):
        mask = chance.randbytes(4)
        return masked(chance.choice([1, 2, 9]), b"a" * chance.choice([0, 1, 100]), mask) if chance.random() < 0.6 \
            else masked(2, chance.randbytes(chance.randint(126, 900)), mask)

    def list(self, name, splits):
        """The fields in order; a cookie is one field, or split into its parts (RFC 9113 §8.2.3)."""
        cookies = [("cookie", part) for part in self.cookies] if splits else \
            [("cookie", "; ".join(self.cookies))] if self.cookies else []
        fields = self.fields[:self.cookie_at] + cookies + self.fields[self.cookie_at:]
        return [("x-id", f"{name}-{self.number}")] + fields

    def old(self, name):
        """The same in HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: localhost:{port}"]
        lines += [f"{key}: {value}" for key, value in self.list(name, False)]
        body = self.body
        if self.kind == "socket":
            lines += ["upgrade: websocket", "connection: upgrade", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="]
        elif self.has_length:
            lines.append(f"content-length: {len(body)}")
        elif self.kind == "upload":
            lines.append("transfer-encoding: chunked")
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n"
            body += "".join(f"{key}: {value}\r\n" for key, value in self.trailers).encode() + b"\r\n"
        return "\r\n".join(lines + ["", ""]).encode() + body


class Conversation:
    def __init__(self, chance, requests):
        self.chance, self.requests = chance, requests
        self.raw = Raw(port, authority, opens=False)
        self.pings = 0
        # Its window for the whole connection is opened before anything is sent.
        self.raw.send(PREFACE + settings([(2, 0)] if chance.random() < 0.5 else []))
        self.raw.until(lambda: self.raw.settings is not None and self.raw.windows.get(0, 0) > 900_000)
        self.raw.send(frame(SETTINGS, ACK))

    def padded(self, flags, payload, before=b""):
        """Payload with random padding."""
        if self.chance.random() < 0.3:
            padding = self.chance.choice([0, 1, 7, 255])
            return flags | PADDED, bytes([padding]) + before + payload + bytes(padding)
        return flags, before + payload

    def head(self, stream, fields, flags):
        """HEADERS and CONTINUATION frames, which nothing may come between."""
        if self.chance.random() < 0.1:
            self.raw.encoder.header_table_size = self.chance.choice([0, 100, 4096])
        block = self.raw.encoder.encode(fields, huffman=self.chance.random() < 0.7)
        cuts = sorted(self.chance.randint(0, len(block)) for _ in range(self.chance.choice([0, 0, 0, 1, 4])))
        pieces = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)])]
        before = b""
        if self.chance.random() < 0.2:
            flags |= WITH_PRIORITY
            before = struct.pack(">IB", self.chance.choice([0, stream + 2]), self.chance.randint(0, 255))
        flags, first = self.padded(flags, pieces[0], before)
        made = frame(HEADERS, flags | (END_HEADERS if len(pieces) == 1 else 0), stream, first)
        for index, piece in enumerate(pieces[1:], 2):
            made += frame(CONTINUATION, END_HEADERS if index == len(pieces) else 0, stream, piece)
        return made

    def aside(self, opened):
        """A frame that changes nothing."""
        kind = self.chance.randint(0, 5)
        if kind == 0:
            self.pings += 1
            return frame(PING, 0, 0, struct.pack(">Q", self.pings))
        if kind == 1 and self.chance.random() < 0.3:
            return settings([(3, 100)])
        if kind == 2:
            return frame(PRIORITY, 0, self.chance.choice(opened or [1]) , struct.pack(">IB", 0, 16))
        if kind == 3:
            return window(0, self.chance.choice([1, 5_000]))
        if kind == 4:
            return frame(16, 0, 0, struct.pack(">I", 1) + b"u=2")
        return frame(0xEE, 0xFF, 0, self.chance.randbytes(self.chance.randint(0, 40)))

    def parts(self, request, stream):
        """Functions that make the frames of a request one after the other."""
        chance = self.chance
        fields = self.raw.fields(request.method, request.path)
        if request.kind == "socket":
            fields = [(":method", "CONNECT"), (":protocol", "websocket"), *fields[1:]]
        chance.shuffle(fields)
        # `host` is where it is in HTTP/1.1: in front.
        fields += request.list("h2", chance.random() < 0.5)
        if request.has_length:
            fields.append(("content-length", str(len(request.body))))
        if request.kind == "plain":
            yield lambda: self.head(stream, fields, END_STREAM)
            return
        yield lambda: self.head(stream, fields, 0)
        rest, pieces = request.body, []
        while rest:
            size = chance.choice([1, 2, 100, 3_000, 16_000])
            pieces.append(rest[:size])
            rest = rest[size:]
            if len(pieces) > 40:
                pieces.append(rest[:16_000])
                rest = rest[16_000:]
        if request.kind == "cancelled":
            for piece in pieces[:chance.randint(0, len(pieces))]:
                yield lambda piece=piece: frame(DATA, *self.data(stream, 0, piece))
            yield lambda: reset(stream)
            return
        ending = chance.choice(["data", "empty"]) if pieces and request.kind != "socket" else "empty"
        if request.trailers:
            ending = "trailers"
        for index, piece in enumerate(pieces):
            flags = END_STREAM if ending == "data" and index == len(pieces) - 1 else 0
            yield lambda piece=piece, flags=flags: frame(DATA, *self.data(stream, flags, piece))
        if ending == "trailers":
            yield lambda: self.head(stream, request.trailers, END_STREAM)
        elif ending == "empty":
            yield lambda: frame(DATA, END_STREAM, stream, b"")

    def data(self, stream, flags, piece):
        flags, payload = self.padded(flags, piece)
        return flags, stream, payload

    def bytes(self):
        """All frames, mixed; streams begin in their order."""
        made, opened, waiting, running = [], [], list(enumerate(self.requests)), []
        while waiting or running:
            if self.chance.random() < 0.15:
                made.append(self.aside(opened))
            if waiting and (not running or self.chance.random() < 0.3):
                index, request = waiting.pop(0)
                stream = index * 2 + 1
                opened.append(stream)
                running.append((list(self.parts(request, stream)), request))
                made.append(running[-1][0].pop(0)())
            else:
                choice = self.chance.choice(running)
                if choice[0]:
                    made.append(choice[0].pop(0)())
            running = [entry for entry in running if entry[0]]
        return b"".join(made)

    def cut(self, data):
        """Pieces of random sizes; each becomes a TLS record of its own."""
        way = self.chance.choice(["single", "small", "any", "whole"])
        most = {"single": 1, "small": 40, "any": 16_000, "whole": len(data)}[way]
        if len(data) > 20_000:
            most = max(most, 500)
        while data:
            size = self.chance.randint(1, most) if way != "whole" else most
            yield data[:size]
            data = data[size:]

    def hold(self):
        for piece in self.cut(self.bytes()):
            self.raw.send(piece)
        for index, request in enumerate(self.requests):
            answer = self.raw.answer(index * 2 + 1)
            if request.kind == "cancelled":
                continue
            self.raw.until(lambda: answer.is_over)
            assert answer.status == 200 and answer.code in (None, 0), (index, request.kind, answer.__dict__)
            if request.kind in ("plain", "upload"):
                want = 0 if request.method == "HEAD" else request.answer
                assert len(answer.body) == want, (index, len(answer.body), want)
        self.raw.until(lambda: len(self.raw.pongs) >= self.pings)
        assert self.raw.goaway is None, self.raw.goaway
        self.raw.socket.close()


def ask_old(request):
    """Sends it on a connection of HTTP/1.1 and waits for its end."""
    peer = connect(port, authority, ["http/1.1"])
    peer.sendall(request.old("h1"))
    got = b""
    while b"\r\n\r\n" not in got:
        got += peer.recv(65536)
    status = int(got.split(b" ")[1])
    if request.kind == "socket":
        assert status == 101, got
        while peer.recv(65536):
            pass
    else:
        assert status == 200, got
    peer.close()


def seen():
    peer = http.client.HTTPConnection("127.0.0.1", app_port)
    peer.request("GET", "/seen")
    return json.loads(peer.getresponse().read())


def plain(record):
    """What must be the same: without the id and the key, and with what says the protocol."""
    fields = []
    for name, value in record["fields"]:
        name = name.lower()
        if name == "x-id":
            value = value.partition("-")[2]
        if name == "sec-websocket-key":
            value = "a key"
        if name == "via":
            value = value.replace("2.0 ", "1.1 ").replace("2 ", "1.1 ")
        fields.append([name, value])
    return {**record, "fields": fields}


def main():
    total = 0
    for round in range(count):
        chance = random.Random(seed * 1_000 + round)
        base = (seed * 1_000 + round) * 1_000
        requests = [Request(chance, base + number) for number in range(chance.randint(1, 16))]
        Conversation(chance, requests).hold()
        for request in requests:
            if request.kind != "cancelled":
                ask_old(request)
        found = seen()
        faults = {name: found[name] for name in found if "fault" in name or "again" in name or name == "nameless"}
        assert not faults, faults
        for request in requests:
            new = found.get(f"h2-{request.number}")
            if request.kind == "cancelled":
                assert not new or not new["complete"], new
                continue
            assert new and new["complete"], (round, request.number, new)
            old = found[f"h1-{request.number}"]
            new, old = plain(new), plain(old)
            assert new == old, f"seed {seed} round {round} request {request.number} {request.kind}:\n{new}\n{old}"
            assert new.get("trailers", []) == [list(pair) for pair in request.trailers], new
            total += 1
    print("same", total)


main()
