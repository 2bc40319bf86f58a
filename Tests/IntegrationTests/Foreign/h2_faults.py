# SPDX-License-Identifier: Apache-2.0
"""What other proxies got wrong in HTTP/2, frame by frame: PORT, authority, task and what it needs.

Each task prints what it has met, and fails by an assertion.
"""

import os
import sys
import time

from h2_frames import *

port, authority, task = int(sys.argv[1]), sys.argv[2], sys.argv[3]
CLOSE = masked(8, b"\x03\xe8")


def until_file(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def open_socket(raw, stream, path="/", more=()):
    raw.send(raw.head(stream, raw.socket_fields(path, more), 0))
    answer = raw.answer(stream)
    raw.until(lambda: answer.heads or answer.is_over)
    assert answer.status == 200 and not answer.is_over, answer.__dict__
    return answer


def echo(raw, stream, text=b"hello"):
    """One message there and back."""
    answer = raw.answer(stream)
    want = answer.body + bytes([0x81, len(text)]) + text
    raw.send(frame(DATA, 0, stream, masked(1, text)))
    raw.until(lambda: answer.body == want or answer.is_over)
    assert answer.body == want, answer.__dict__


def close(raw, stream):
    """Both Closes, then both ends, and nothing behind them."""
    answer = raw.answer(stream)
    raw.send(frame(DATA, 0, stream, CLOSE))
    raw.until(lambda: answer.is_over)
    assert answer.body.endswith(b"\x88\x02\x03\xe8") and answer.ended and answer.code is None, answer.__dict__
    raw.send(frame(DATA, END_STREAM, stream))


def handshake(*_):
    """Sockets whose heads have their pseudo fields in several orders, and fields that are not a client's."""
    raw = Raw(port, authority)
    fields = raw.socket_fields("/chat?a=b", [
        ("sec-websocket-protocol", "chat.v2, chat.v1"), ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-key", "bm90IGZvciBIVFRQLzIhIQ=="), ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"),
        ("user-agent", "a client")])
    pseudo, rest = fields[:5], fields[5:]
    for number, order in enumerate([pseudo, pseudo[::-1], pseudo[2:] + pseudo[:2], pseudo[1:] + pseudo[:1]]):
        stream = number * 2 + 1
        raw.send(raw.head(stream, order + rest, 0))
        answer = raw.answer(stream)
        raw.until(lambda: answer.heads)
        assert answer.status == 200, answer.__dict__
        names = dict(answer.fields)
        assert names["sec-websocket-protocol"] == "chat.v2" and names["x-app"] == "yes", names
        wrong = {"sec-websocket-accept", "connection", "upgrade", "sec-websocket-key", "x-hop",
                 "transfer-encoding", "content-length"} & set(names)
        assert not wrong, wrong
        echo(raw, stream)
        close(raw, stream)
    raw.settle()
    print("opened 4")


def early(*_):
    """A message behind the CONNECT; no answer before the upstream's."""
    raw = Raw(port, authority)
    raw.send(raw.head(1, raw.socket_fields(), 0) + frame(DATA, 0, 1, masked(1, b"too early?")))
    raw.settle()
    assert not raw.answer(1).heads and not raw.answer(1).is_over, raw.answer(1).__dict__
    print("sent", flush=True)
    raw.until(lambda: raw.answer(1).body)
    assert raw.answer(1).status == 200
    print("answered", raw.answer(1).body[2:].decode())


def refused(*paths):
    """What an upstream answers instead of a 101 comes on the stream, whole, and the next one opens."""
    raw = Raw(port, authority)
    for number, path in enumerate(paths):
        stream = number * 2 + 1
        raw.send(raw.head(stream, raw.socket_fields(path), 0))
        answer = raw.answer(stream)
        raw.until(lambda: answer.is_over)
        # NO_ERROR behind a whole answer says that the rest of the request is of no use (RFC 9113 §8.1).
        assert answer.ended and answer.code in (None, 0), answer.__dict__
        kept = [f"{name}={value}" for name, value in answer.fields
                if name in ("www-authenticate", "retry-after", "location", "x-app")]
        print(path, answer.status, " ".join(kept + [answer.body.decode().strip()]))
    stream = len(paths) * 2 + 1
    open_socket(raw, stream)
    echo(raw, stream)
    close(raw, stream)
    print("echoed")


def refusals(count, way, path):
    """So many are refused in a row, and their streams end in this way; then one opens."""
    raw = Raw(port, authority)
    for number in range(int(count)):
        stream = number * 2 + 1
        raw.send(raw.head(stream, raw.socket_fields(path), 0))
        answer = raw.answer(stream)
        raw.until(lambda: answer.is_over)
        assert 400 <= answer.status < 500, answer.__dict__
        if way == "ends":
            raw.send(frame(DATA, END_STREAM, stream))
        elif way == "resets":
            raw.send(reset(stream))
    stream = int(count) * 2 + 1
    open_socket(raw, stream)
    echo(raw, stream)
    close(raw, stream)
    raw.settle()
    assert raw.goaway is None, raw.goaway
    print("echoed behind", count)


def patience(*_):
    """Behind both Closes the stream is not reset before the client has ended it, and not afterwards."""
    raw = Raw(port, authority)
    for stream in (1, 3, 5):
        open_socket(raw, stream)
        echo(raw, stream)
        answer = raw.answer(stream)
        raw.send(frame(DATA, 0, stream, CLOSE))
        raw.until(lambda: answer.is_over)
        for _ in range(3):
            raw.settle()
        assert answer.ended and answer.code is None, answer.__dict__
        raw.send(frame(DATA, END_STREAM, stream))
        raw.settle()
        assert answer.code is None, answer.__dict__
    print("closed 3")


def vanishes(way):
    """A client's stream ends without a Close."""
    raw = Raw(port, authority)
    answer = open_socket(raw, 1)
    echo(raw, 1)
    raw.send(reset(1) if way == "reset" else frame(DATA, END_STREAM, 1))
    if way == "end":
        raw.until(lambda: answer.is_over)
        assert answer.ended, answer.__dict__
    # The connection and its other streams go on.
    open_socket(raw, 3)
    echo(raw, 3)
    close(raw, 3)
    raw.settle()
    print("gone")


def fills(size):
    """Sends as much as the upstream's windows take, then a Close, and goes; says how many messages went."""
    raw = Raw(port, authority)
    open_socket(raw, 1)
    message = masked(2, bytes(int(size)))
    count = 0
    raw.socket.settimeout(1)
    try:
        while True:
            while raw.settings[4] + raw.windows.get(1, 0) < (count + 1) * len(message) + len(CLOSE):
                raw.receive()
            raw.send(frame(DATA, 0, 1, message))
            count += 1
    except TimeoutError:
        # The upstream takes no more.
        raw.socket.settimeout(60)
    raw.send(frame(DATA, END_STREAM, 1, CLOSE))
    raw.settle()
    raw.socket.close()
    print("filled", count, flush=True)


def left(way):
    """The upstream goes without a Close: the client gets one that says so, and answers it or does not."""
    raw = Raw(port, authority)
    answer = open_socket(raw, 1)
    echo(raw, 1, b"leave")
    raw.until(lambda: len(answer.body) >= 11)
    assert answer.body[7:9] == b"\x88\x02", answer.__dict__
    if way == "answered":
        raw.send(frame(DATA, 0, 1, masked(8, answer.body[9:11])))
    raw.until(lambda: answer.is_over)
    end = "ended" if answer.ended and answer.code is None else f"reset {answer.code}"
    raw.settle()
    print("code", int.from_bytes(answer.body[9:11], "big"), end)


def answers(*asked):
    """What comes of each METHOD/path: interim answers, status, fields that are the app's, body and trailers."""
    raw = Raw(port, authority)
    for number, words in enumerate(asked):
        method, _, path = words.partition("/")
        answer = raw.ask(number * 2 + 1, method, "/" + path)
        assert answer.ended and answer.code is None, (words, answer.__dict__)
        interim = [f"{dict(head)[':status']} " for head in answer.heads if dict(head).get(":status", "2") < "2"]
        heads = [head for head in answer.heads if ":status" in dict(head)]
        trailers = answer.heads[len(heads):]
        kept = [f"{name}={value}" for name, value in answer.fields if name not in ("date", "via")]
        print(words, "".join(interim) + str(answer.status), *kept, "|", answer.body.decode(),
              *["|" + "".join(f" {name}={value}" for name, value in trailer) for trailer in trailers])
    raw.settle()
    assert raw.goaway is None, raw.goaway


def early_answer(count):
    """An answer that comes amid an upload; the rest of it is of no use, and the connection goes on."""
    raw = Raw(port, authority)
    for number in range(int(count)):
        stream = number * 2 + 1
        raw.send(raw.head(stream, raw.fields("POST", "/large", [("content-length", "1000000")]), 0)
                 + frame(DATA, 0, stream, b"u" * 10_000))
        answer = raw.answer(stream)
        raw.until(lambda: answer.code is not None)
        # NO_ERROR says that what was answered is whole (RFC 9113 §8.1).
        assert (answer.status, answer.body, answer.ended, answer.code) == (413, b"too large", True, 0), answer.__dict__
        # What was under way meanwhile is no fault.
        raw.send(frame(DATA, 0, stream, b"u" * 10_000))
    raw.settle()
    assert raw.ask(int(count) * 2 + 1, path="/pages").body == b"a page"
    print("refused", count)


def gives_up(*_):
    """A request whose client does not wait for its answer."""
    raw = Raw(port, authority)
    raw.send(raw.head(1, raw.fields(path="/silent")))
    print("asked", flush=True)
    until_file(sys.argv[4])
    raw.send(reset(1))
    assert raw.ask(3, path="/pages").body == b"a page"
    print("gone on")


def cut(*paths):
    """Answers that end too early are reset, and not made to look whole."""
    raw = Raw(port, authority)
    for number, path in enumerate(paths):
        answer = raw.ask(number * 2 + 1, path=path)
        print(path, answer.status, answer.body.decode(), "ended" if answer.ended else f"reset {answer.code}")
    print("then", raw.ask(len(paths) * 2 + 1, path="/pages").body.decode())


MALFORMED = {
    "length without a body": lambda raw: (raw.fields("POST", more=[("content-length", "5")]), END_STREAM),
    "protocol with GET": lambda raw: ([(":protocol", "websocket"), *raw.fields()], END_STREAM),
    "connection": lambda raw: (raw.fields(more=[("connection", "x-secret"), ("x-secret", "1")]), END_STREAM),
    "upgrade": lambda raw: (raw.fields(more=[("upgrade", "websocket")]), END_STREAM),
    "transfer-encoding": lambda raw: (raw.fields("POST", more=[("transfer-encoding", "chunked")]), 0),
    "te": lambda raw: (raw.fields(more=[("te", "gzip")]), END_STREAM),
    "two hosts": lambda raw: (raw.fields(more=[("host", "elsewhere.test")]), END_STREAM),
    "line in a value": lambda raw: (raw.fields(more=[("x", "a\r\nx-secret: 1")]), END_STREAM),
    "line in a path": lambda raw: (raw.fields(path="/ HTTP/1.1\r\nx-secret: 1"), END_STREAM),
    "capital letter": lambda raw: (raw.fields(more=[("X-Secret", "1")]), END_STREAM),
    "pseudo field behind": lambda raw: (raw.fields()[:3] + [("x", "y")] + raw.fields()[3:], END_STREAM),
    "unknown pseudo field": lambda raw: (raw.fields(more=[]) + [(":x", "y")], END_STREAM),
    "socket without path": lambda raw: ([pair for pair in raw.socket_fields() if pair[0] != ":path"], 0),
    "length of a socket": lambda raw: (raw.socket_fields(more=[("content-length", "3")]), END_STREAM),
}


def malformed(*_):
    """Each is an error of its stream, and a lawful one behind each is served."""
    raw = Raw(port, authority)
    stream = 1
    for name, make in MALFORMED.items():
        pairs, flags = make(raw)
        raw.send(raw.head(stream, pairs, flags))
        answer = raw.answer(stream)
        raw.until(lambda: answer.is_over)
        assert answer.code == 1 and not answer.heads, (name, answer.__dict__)
        assert raw.ask(stream + 2, path="/pages").status == 200, name
        stream += 4
    assert raw.goaway is None
    print("reset", len(MALFORMED))


def uploads(*_):
    """Bodies that are padded, cut short, too long, or given up."""
    raw = Raw(port, authority)
    sizes = [(1, 255), (0, 10), (1000, 0), (5, 200), (0, 0)]
    raw.send(raw.head(1, raw.fields("POST", "/padded", [("content-length", "1006")]), 0))
    for size, padding in sizes:
        raw.send(frame(DATA, PADDED, 1, bytes([padding]) + b"p" * size + bytes(padding)))
    raw.send(frame(DATA, END_STREAM, 1))
    raw.until(lambda: raw.answer(1).is_over)
    assert raw.answer(1).status == 200, raw.answer(1).__dict__
    for stream, path, bodies in [(3, "/short", [(b"123", 1)]), (5, "/long", [(b"123", 0), (b"45678", 1)]),
                                 (7, "/trailers", [(b"1", 0)])]:
        raw.send(raw.head(stream, raw.fields("POST", path, [("content-length", "5")]), 0))
        for body, flags in bodies:
            raw.send(frame(DATA, flags, stream, body))
        if path == "/trailers":
            raw.send(raw.head(stream, [("x-behind", "it")], END_STREAM))
        raw.until(lambda: raw.answer(stream).is_over)
        assert raw.answer(stream).code == 1, raw.answer(stream).__dict__
    raw.send(raw.head(9, raw.fields("POST", "/chunked"), 0) + frame(DATA, 0, 9, b"123"))
    raw.settle()
    print("half", flush=True)
    until_file(sys.argv[4])
    raw.send(reset(9))
    assert raw.ask(11, path="/pages").status == 200
    print("uploaded")


def closed_window(*_):
    """A client that opens no window gets heads and no bytes, and each stream goes on as its own opens."""
    raw = Raw(port, authority, [(4, 0)])
    raw.send(raw.head(1, raw.fields(path="/pages")))
    raw.until(lambda: raw.answer(1).heads)
    open_socket(raw, 3)
    # The Close that follows the message is held, too.
    raw.send(frame(DATA, 0, 3, masked(1, b"hello") + CLOSE))
    for _ in range(5):
        raw.settle()
    assert raw.answer(1).body == b"" and raw.answer(3).body == b""
    assert not raw.answer(1).is_over and not raw.answer(3).is_over
    raw.send(window(3, 3))
    raw.until(lambda: len(raw.answer(3).body) == 3)
    raw.settle()
    assert raw.answer(3).body == b"\x81\x05h" and raw.answer(1).body == b""
    raw.send(window(1, 100))
    raw.until(lambda: raw.answer(1).is_over)
    assert raw.answer(1).body == b"a page"
    # One byte more than there is: nghttp2 keeps an end back that comes behind a window used up exactly.
    raw.send(window(3, 9))
    raw.until(lambda: raw.answer(3).is_over)
    assert raw.answer(3).body == b"\x81\x05hello\x88\x02\x03\xe8" and raw.answer(3).ended
    print("held back")


def never(*_):
    """A client that never opens a window does not keep its stream for ever."""
    raw = Raw(port, authority, [(4, 0)])
    raw.send(raw.head(1, raw.fields(path="/body")))
    raw.until(lambda: raw.answer(1).is_over)
    assert raw.answer(1).status == 200 and raw.answer(1).body == b"" and raw.answer(1).code not in (None, 0)
    # Its connection lives.
    raw.send(settings([(4, 65535)]))
    assert raw.ask(3, path="/pages").body == b"a page"
    print("reset", raw.answer(1).code)


def lingers(way, go):
    """A relay is over whose last bytes the client's window holds back: all of them come as it opens, or a reset."""
    raw = Raw(port, authority, [(4, 1000)])
    answer = open_socket(raw, 1, "/large")
    raw.send(frame(DATA, END_STREAM if way == "ended" else 0, 1, CLOSE))
    raw.until(lambda: len(answer.body) == 1000)
    print("held back", flush=True)
    until_file(go)
    raw.settle()
    whole = b"\x82\x7e" + struct.pack(">H", 12000) + b"D" * 12000 + b"\x88\x02\x03\xe8"
    if way == "never":
        raw.until(lambda: answer.is_over)
        assert not answer.ended and answer.code not in (None, 0), answer.__dict__
        assert answer.body == whole[:1000]
    else:
        while not answer.is_over:
            want = min(len(answer.body) + 500, len(whole))
            raw.send(window(1, 500))
            raw.until(lambda: answer.is_over or len(whole) > len(answer.body) >= want)
        assert answer.body == whole, (len(answer.body), answer.ended, answer.code, answer.status)
        # NO_ERROR says that nothing more is wanted of the client.
        assert answer.ended and answer.code in (None, 0), answer.__dict__
    # The connection and its other streams go on.
    raw.send(settings([(4, 65535)]))
    assert raw.ask(3, path="/pages").body == b"a page"
    print("reset" if way == "never" else "whole")


def reopens(rounds, count):
    """As many sockets as there may be, opened and ended in order, and opened again at once."""
    raw = Raw(port, authority)
    stream = 1
    for _ in range(int(rounds)):
        ids = range(stream, stream + 2 * int(count), 2)
        raw.send(b"".join(raw.head(id, raw.socket_fields(), 0) for id in ids))
        for id in ids:
            raw.until(lambda: raw.answer(id).heads)
            assert raw.answer(id).status == 200, raw.answer(id).__dict__
        raw.send(b"".join(frame(DATA, END_STREAM, id, CLOSE) for id in ids))
        for id in ids:
            raw.until(lambda: raw.answer(id).is_over)
            assert raw.answer(id).ended and raw.answer(id).body == b"\x88\x02\x03\xe8", raw.answer(id).__dict__
        stream += 2 * int(count)
    print("opened", int(rounds) * int(count))


FLOODS = {
    "resets": lambda raw, stream: raw.head(stream, raw.fields(path="/silent")) + reset(stream),
    "provoked": lambda raw, stream: raw.head(stream, raw.fields(path="/silent"), 0) + window(stream, 0x7FFF_FFFF),
    "pings": lambda raw, stream: frame(PING, 0, 0, b"12345678"),
    "settings": lambda raw, stream: settings(),
    "priorities": lambda raw, stream: frame(PRIORITY, 0, stream, bytes(5)),
    "empty": lambda raw, stream: (raw.head(1, raw.fields("POST", "/silent"), 0) if stream == 1 else b"")
    + frame(DATA, 0, 1),
    "windows": lambda raw, stream: window(0, 1),
    "unknown": lambda raw, stream: frame(0xEE),
    "continuations": lambda raw, stream: frame(HEADERS, 0, 1) if stream == 1 else frame(CONTINUATION, 0, 1),
}


def flood(kind):
    """One thing too often ends the connection with ENHANCE_YOUR_CALM."""
    raw = Raw(port, authority)
    stream = 1
    try:
        while not raw.has_ended and stream < 40_001:
            raw.send(b"".join(FLOODS[kind](raw, stream + number * 2) for number in range(50)))
            stream += 100
    except (ConnectionError, ssl.SSLError):
        pass
    raw.until_end()
    assert raw.goaway is not None, "no GOAWAY"
    # Another connection is served.
    assert Raw(port, authority).ask(1, path="/pages").status == 200
    print("goaway", raw.goaway[1])


def preface(*_):
    """HTTP/2 where HTTP/1.1 was agreed on by ALPN, and the other way round."""
    old = connect(port, authority, ["http/1.1"])
    old.sendall(PREFACE + settings())
    got = b""
    while data := old.recv(65536):
        got += data
    assert got.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in got, got
    print("preface", got.split(b" ")[1].decode())
    new = connect(port, authority)
    assert new.selected_alpn_protocol() == "h2"
    new.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        while new.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    print("ended")


def churn(rounds, count, folder):
    """Streams opened and closed on one connection: sockets, pages and uploads, some of them given up."""
    raw = Raw(port, authority)
    stream = 1
    for round in range(1, int(rounds) + 1):
        for _ in range(int(count) // 4):
            open_socket(raw, stream)
            echo(raw, stream)
            close(raw, stream)
            answer = raw.ask(stream + 2, path="/page", more=[("x-number", str(stream))])
            assert answer.body == b"ok", answer.__dict__
            raw.send(raw.head(stream + 4, raw.fields("POST", "/up", [("content-length", "300")]), 0)
                     + frame(DATA, END_STREAM, stream + 4, b"u" * 300))
            if stream % 40 == 1:
                # As many as an honest client may give up.
                raw.send(raw.head(stream + 6, raw.fields("POST", "/up", [("content-length", "300")]), 0)
                         + frame(DATA, 0, stream + 6, b"u" * 100) + reset(stream + 6))
            else:
                assert raw.ask(stream + 6, "DELETE", "/page").body == b"ok"
            raw.until(lambda: raw.answer(stream + 4).is_over)
            assert raw.answer(stream + 4).body == b"ok"
            # What was used of the connection's window is given back.
            raw.send(window(0, 17))
            stream += 8
            raw.answers.clear()
        raw.settle()
        print("round", round, flush=True)
        until_file(f"{folder}/{round}")
    raw.socket.close()


globals()[task](*sys.argv[4:])
