# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 by the library h2: requests, and WebSockets by extended CONNECT (RFC 8441), whose
frames wsproto makes and reads.

    h2_client.py PORT CA TASK [ARGUMENT...]

Each task prints a line for what it has met, and fails by an assertion.
"""
import hashlib
import json
import os
import socket
import ssl
import sys
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

# The library takes a GOAWAY for the end of the connection, while the streams up to the one that it names go
# on (RFC 9113 §6.8).
Machine = h2.connection.H2ConnectionStateMachine
open_state = h2.connection.ConnectionState.CLIENT_OPEN
for place in [(open_state, h2.connection.ConnectionInputs.RECV_GOAWAY)]:
    Machine._transitions[place] = (None, open_state)


class Client:
    def __init__(self, port, authority):
        self.port = port
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(["h2", "http/1.1"])
        if "CLIENT_CERTIFICATE" in os.environ:
            context.load_cert_chain(*os.environ["CLIENT_CERTIFICATE"].split(":"))
        self.socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=30), server_hostname="localhost")
        assert self.socket.selected_alpn_protocol() == "h2", self.socket.selected_alpn_protocol()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.events = {}
        self.goaway = None
        self.h2.initiate_connection()
        self.flush()
        while not self.seen_settings():
            self.receive()

    def seen_settings(self):
        return h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS in self.h2.remote_settings

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def receive(self, acknowledging=True):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the connection has ended")
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event
            if isinstance(event, h2.events.PingAckReceived):
                self.pong = True
            stream = getattr(event, "stream_id", None)
            if stream:
                self.events.setdefault(stream, []).append(event)
            if isinstance(event, h2.events.DataReceived) and acknowledging:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        self.flush()

    def next(self, stream):
        while not self.events.get(stream):
            self.receive()
        return self.events[stream].pop(0)

    def request(self, method, path, fields=(), body=None, end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", f"localhost:{self.port}"),
                (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=end and body is None)
        self.flush()
        if body is not None:
            self.send(stream, body, end)
        return stream

    def send(self, stream, body, end=False):
        """Sends all of it, as the windows allow."""
        while True:
            window = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            piece, body = body[:window], body[window:]
            if piece or not body:
                self.h2.send_data(stream, piece, end_stream=end and not body)
                self.flush()
            if not body:
                return
            if self.h2.local_flow_control_window(stream) == 0:
                self.receive()

    def answer(self, stream):
        """Status, fields, body and trailers of an answer."""
        status, fields, body, trailers = None, {}, b"", {}
        while True:
            event = self.next(stream)
            if isinstance(event, h2.events.ResponseReceived):
                fields = {name.decode(): value.decode() for name, value in
                          [(n if isinstance(n, bytes) else n.encode(), v if isinstance(v, bytes) else v.encode())
                           for n, v in event.headers]}
                status = int(fields.pop(":status"))
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
            elif isinstance(event, h2.events.TrailersReceived):
                trailers = {(n.decode() if isinstance(n, bytes) else n): (v.decode() if isinstance(v, bytes) else v)
                            for n, v in event.headers}
            elif isinstance(event, h2.events.StreamEnded):
                return status, fields, body, trailers
            elif isinstance(event, h2.events.StreamReset):
                return status, fields, body, f"reset {event.error_code}"


class WebSocket:
    """One on a stream of a connection."""

    def __init__(self, client, path, fields=()):
        self.client = client
        self.stream = client.request("CONNECT", path, [
            (":protocol", "websocket"), ("sec-websocket-version", "13"),
            ("origin", f"https://localhost:{client.port}"), *fields], end=False)
        self.frames = Connection(ConnectionType.CLIENT)
        self.status = None

    def open(self):
        event = self.client.next(self.stream)
        while isinstance(event, h2.events.WindowUpdated):
            event = self.client.next(self.stream)
        assert isinstance(event, h2.events.ResponseReceived), event
        fields = dict((n.decode() if isinstance(n, bytes) else n, v.decode() if isinstance(v, bytes) else v)
                      for n, v in event.headers)
        self.status = int(fields[":status"])
        return fields

    def send(self, event):
        self.client.send(self.stream, self.frames.send(event))

    def receive(self):
        """The next message or control frame; nothing where the stream ends."""
        while True:
            for event in self.frames.events():
                if isinstance(event, (BytesMessage, TextMessage)) and not event.message_finished:
                    self.parts = getattr(self, "parts", b"" if isinstance(event, BytesMessage) else "") + event.data
                    continue
                if isinstance(event, (BytesMessage, TextMessage)):
                    whole = getattr(self, "parts", b"" if isinstance(event, BytesMessage) else "") + event.data
                    self.__dict__.pop("parts", None)
                    return type(event)(data=whole)
                return event
            event = self.client.next(self.stream)
            if isinstance(event, h2.events.DataReceived):
                if event.data:
                    self.frames.receive_data(event.data)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                return event

    def echo(self, data):
        message = BytesMessage(data=data) if isinstance(data, bytes) else TextMessage(data=data)
        self.send(message)
        event = self.receive()
        assert event.data == data, (len(event.data), len(data))

    def close(self, code=1000):
        self.send(CloseConnection(code=code))
        event = self.receive()
        assert isinstance(event, CloseConnection) and event.code == code, event
        end = self.receive()
        assert isinstance(end, h2.events.StreamEnded), end
        self.client.h2.end_stream(self.stream)
        self.client.flush()


def echo(client, *_):
    socket = WebSocket(client, "/")
    fields = socket.open()
    assert socket.status == 200, fields
    assert "sec-websocket-accept" not in fields and "upgrade" not in fields, fields
    for data in ["hello", b"", b"x" * 125, b"y" * 126, b"z" * 70_000, "ü" * 30_000, b"w" * 1_000_000]:
        socket.echo(data)
    socket.send(Ping(payload=b"are you there"))
    assert isinstance(socket.receive(), Pong)
    socket.close()
    print("echoed")


def struck(client, path, other):
    """Messages until the stream is reset, and then a WebSocket of another path on the same connection."""
    socket = WebSocket(client, path)
    socket.open()
    assert socket.status == 200, socket.status
    sent = 0
    while True:
        socket.send(BytesMessage(data=bytes([sent % 251]) * 1_000))
        sent += 1
        event = socket.receive()
        if isinstance(event, h2.events.StreamReset):
            break
        assert event.data == bytes([(sent - 1) % 251]) * 1_000, event
    print("reset", event.error_code.name if hasattr(event.error_code, "name") else event.error_code, "message", sent)
    socket = WebSocket(client, other)
    socket.open()
    socket.echo("this one goes on")
    socket.close()
    print("another goes on")


def flood(client, path, count):
    """So many small messages at once, which all come back in order."""
    socket = WebSocket(client, path)
    socket.open()
    for index in range(int(count)):
        socket.send(TextMessage(data=str(index)))
    print("sent", flush=True)
    for index in range(int(count)):
        event = socket.receive()
        assert event.data == str(index), (event, index)
    print("in order")


def many(client, count="50", *_):
    """Sockets opened at once, and requests between them; all are used, and closed."""
    sockets, requests = [], []
    for index in range(int(count)):
        sockets.append(WebSocket(client, "/"))
        if index % 3 == 0:
            requests.append(client.request("GET", "/pages"))
    for socket in sockets:
        socket.open()
        assert socket.status == 200, socket.status
    for round in range(3):
        for index, socket in enumerate(sockets):
            socket.send(BytesMessage(data=bytes([index % 251]) * (100 + index * 10)))
        for index, socket in enumerate(sockets):
            event = socket.receive()
            assert event.data == bytes([index % 251]) * (100 + index * 10), index
    for request in requests:
        status, _, body, _ = client.answer(request)
        assert status == 200 and body, status
    for socket in sockets:
        socket.close()
    print("echoed", len(sockets), "answered", len(requests))


def again(client, count="200", *_):
    """Opened, used and closed one behind the other on one connection."""
    for index in range(int(count)):
        socket = WebSocket(client, "/")
        socket.open()
        assert socket.status == 200
        socket.echo(f"round {index}")
        socket.close()
    print("echoed", count)


def statuses(client, *_):
    """What is refused, by its status."""
    def status(fields, path="/"):
        stream = client.request("CONNECT", path, fields, end=False)
        answer = client.answer(stream)
        return answer[0], answer[2].decode().strip()
    version = ("sec-websocket-version", "13")
    websocket = (":protocol", "websocket")
    origin = ("origin", f"https://localhost:{client.port}")
    print("protocol", *status([(":protocol", "connect-udp"), version, origin]))
    print("origin", *status([websocket, version, ("origin", "https://elsewhere.test")]))
    print("version", *status([websocket, ("sec-websocket-version", "12"), origin]))
    print("path", *status([websocket, version, origin], path="/nowhere"))
    socket = WebSocket(client, "/")
    socket.open()
    socket.echo("still here")
    socket.close()
    print("echoed")


def gate(client, path, *fields):
    """A WebSocket and a request with these fields: what each is answered, and what it is asked for."""
    pairs = [tuple(field.split(":", 1)) for field in fields]
    socket = WebSocket(client, path, pairs)
    answer = socket.open()
    print("socket", socket.status, answer.get("www-authenticate", "-"))
    if socket.status == 200:
        socket.echo("let in")
        socket.close()
    status, answer, _, _ = client.answer(client.request("GET", path, pairs))
    print("request", status, answer.get("www-authenticate", "-"))


def token(client, path, count, field):
    """So many WebSockets with this field: what they are answered, and the codes with which they end."""
    sockets = [WebSocket(client, path, [tuple(field.split(":", 1))]) for _ in range(int(count))]
    for socket in sockets:
        socket.open()
    print("open", *sorted({socket.status for socket in sockets}), flush=True)
    codes = []
    for socket in sockets:
        event = socket.receive()
        codes.append(event.code if isinstance(event, CloseConnection) else event)
        socket.send(event.response())
    print("closed", *sorted(set(codes)))


def cookies(client, path, cookie):
    """The cookies that the answers to a WebSocket and a request with this cookie set, but for the app's own."""
    fields = [("cookie", cookie)]
    socket = WebSocket(client, path, fields)
    print("socket", socket.open().get("set-cookie", "none"))
    _, answer, _, _ = client.answer(client.request("GET", path, fields))
    mine = answer.get("set-cookie", "own=1")
    print("request", "none" if mine == "own=1" else mine)


def bounds(client, *_):
    """Requests that are refused for their head, and one that is not, on one connection."""
    stream = client.h2.get_next_available_stream_id()
    client.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", "elsewhere.test:22")])
    client.flush()
    print("connect", client.answer(stream)[0])
    for kind, fields in [("fields", [(f"x-{n}", "1") for n in range(5_000)]),
                         ("bytes", [(f"x-{n}", "v" * 4_000) for n in range(20)])]:
        print(kind, client.answer(client.request("GET", "/pages", fields))[0])
    print("page", client.answer(client.request("GET", "/pages"))[0])


def crowd(client, *_):
    """Sockets opened one behind the other until one is refused; the others stay until the server goes."""
    sockets = []
    while True:
        socket = WebSocket(client, "/")
        fields = socket.open()
        if socket.status != 200:
            break
        sockets.append(socket)
    print("refused behind", len(sockets), socket.status, fields.get("retry-after"), flush=True)
    try:
        while True:
            client.receive()
    except EOFError:
        pass


def drained(client, count, ends):
    """Sockets and the connection end when the server goes; with `ends` their streams end at both sides."""
    sockets = [WebSocket(client, "/") for _ in range(int(count))]
    for socket in sockets:
        socket.open()
        socket.echo("here")
    print("open", flush=True)
    codes = set()
    for socket in sockets:
        event = socket.receive()
        assert isinstance(event, CloseConnection), event
        codes.add(event.code)
        socket.send(event.response())
        end = socket.receive()
        assert isinstance(end, h2.events.StreamEnded), end
        if ends == "ends":
            client.h2.end_stream(socket.stream)
            client.flush()
    for socket in sockets if ends != "ends" else []:
        reset = client.next(socket.stream)
        assert isinstance(reset, h2.events.StreamReset) and reset.error_code == 0, reset
    try:
        while True:
            client.receive()
    except EOFError:
        pass
    assert client.goaway is not None and client.goaway.error_code == 0, client.goaway
    print("codes", *sorted(codes))


def silent(client, *_):
    """A socket that says nothing more until it is closed; nothing but Pings comes before that."""
    socket = WebSocket(client, "/")
    socket.open()
    socket.echo("here")
    while isinstance(event := socket.receive(), Ping):
        socket.send(event.response())
    assert isinstance(event, CloseConnection), event
    socket.send(event.response())
    print("closed", event.code)


def certified(client, go):
    """Requests to two routes, and one behind a reload: what it is answered, and how the connection ends."""
    print(client.answer(client.request("GET", "/who"))[0], "open",
          client.answer(client.request("GET", "/"))[0], flush=True)
    while not os.path.exists(go):
        time.sleep(0.01)
    print(client.answer(client.request("GET", "/who"))[0], flush=True)
    while client.goaway is None:
        client.receive()
    print("goaway", int(client.goaway.error_code))


def reloaded(client, *_):
    """A socket lives on while the answer to another request changes."""
    socket = WebSocket(client, "/")
    socket.open()
    socket.echo("before")
    print("open", flush=True)
    body = b""
    while b"another" not in body:
        status, _, body, _ = client.answer(client.request("GET", "/pages"))
        assert status == 200, status
        time.sleep(0.05)
    socket.echo("after")
    socket.close()
    print("echoed", body.decode().strip())


def web(client, *_):
    """The app of web_app.py over one connection: pages, uploads, downloads, events and long polls."""
    status, fields, body, _ = client.answer(client.request("GET", "/?of=h2"))
    assert (status, body) == (200, b"page of=h2"), (status, body)
    status, fields, body, _ = client.answer(client.request("HEAD", "/?of=h2"))
    assert status == 200 and body == b"" and fields["content-length"] == "10", (status, fields)
    data = bytes(range(256)) * 4_000
    for length in ([], [("content-length", str(len(data)))]):
        answer = client.answer(client.request("POST", "/upload", length, body=data))
        said = json.loads(answer[2])
        assert said == {"count": len(data), "digest": hashlib.sha256(data).hexdigest()}, said
    answer = client.answer(client.request("GET", "/download?blocks=60"))
    assert answer[2] == bytes(range(256)) * 256 * 60, len(answer[2])
    events = client.request("GET", "/events")
    seen = b""
    for number in range(5):
        expected = b"".join(b"data: %d\n\n" % before for before in range(number + 1))
        while seen != expected:
            event = client.next(events)
            if isinstance(event, h2.events.DataReceived):
                seen += event.data
        assert client.answer(client.request("POST", "/poke", body=b""))[0] == 204
    while not isinstance(client.next(events), h2.events.StreamEnded):
        pass
    poll = client.request("GET", "/poll")
    assert client.answer(client.request("POST", "/poke", body=b""))[0] == 204
    assert client.answer(poll)[2] == b"poked"
    print("served")


def stalled(client, go, count="20", *_):
    """Streams whose answers nobody takes stop nobody else on the connection; ends when there is a file `go`."""
    streams = [client.request("GET", "/download?blocks=2000") for _ in range(int(count))]
    # Nothing of these is acknowledged; the connection's own window is kept open.
    receive, client.receive = client.receive, lambda: receive(acknowledging=False)
    client.h2.increment_flow_control_window(2**30)
    client.flush()
    for round in range(50):
        status, _, body, _ = client.answer(client.request("GET", "/?round"))
        assert (status, body) == (200, b"page round"), (status, body)
    print("answered", flush=True)
    while not os.path.exists(go):
        time.sleep(0.05)
    for stream in streams:
        client.h2.reset_stream(stream, 8)
    client.flush()
    client.receive = receive
    assert client.answer(client.request("GET", "/?after"))[0] == 200
    print("answered after")


def deaf(client, go, count="3", *_):
    """Uploads and a socket to an app that does not read: only their own streams stop. With a file `go` it reads."""
    total = 9_000_000
    socket = WebSocket(client, "/deaf")
    streams = [client.request("POST", "/deaf", [("content-length", str(total))], end=False)
               for _ in range(int(count))]
    socket.open()
    rest = {stream: b"u" * total for stream in streams}
    frames = Connection(ConnectionType.CLIENT)
    rest[socket.stream] = b"".join(frames.send(BytesMessage(data=b"s" * 30_000)) for _ in range(total // 30_000))

    def push():
        """Sends what the windows allow; whether it was anything."""
        moved = False
        for stream, data in rest.items():
            while data:
                size = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size, len(data))
                if size == 0:
                    break
                client.h2.send_data(stream, data[:size], end_stream=size == len(data) and stream != socket.stream)
                data, moved = data[size:], True
                client.flush()
            rest[stream] = data
        return moved

    def settle():
        """Waits until the server has taken all that was sent."""
        client.pong = False
        client.h2.ping(b"deafdeaf")
        client.flush()
        while not client.pong:
            client.receive()

    idle = 0
    while idle < 20:
        idle = 0 if push() else idle + 1
        settle()
        assert any(rest.values()), "it has taken everything"
    # Each is held up by its own window; the connection's is open.
    held = [total - len(data) for data in rest.values()]
    assert all(rest.values()) and client.h2.outbound_flow_control_window > 500_000, held
    print("stalled", *held, flush=True)
    for round in range(20):
        assert client.answer(client.request("POST", "/live", [("content-length", "200000")], body=b"l" * 200_000))[0] == 200
        assert client.answer(client.request("GET", "/pages"))[2] == b"a page"
        other = WebSocket(client, "/")
        other.open()
        other.echo(b"m" * 100_000)
        other.close()
    print("served meanwhile", flush=True)
    while not os.path.exists(go):
        time.sleep(0.05)
    while any(rest.values()):
        push()
        client.receive()
    for stream in streams:
        assert client.answer(stream)[0] == 200
    event = socket.receive()
    assert isinstance(event, CloseConnection) and event.code == 1000, event
    socket.send(event.response())
    assert isinstance(socket.receive(), h2.events.StreamEnded)
    print("taken", len(streams) + 1)


def main():
    client = Client(int(sys.argv[1]), sys.argv[2])
    globals()[sys.argv[3]](client, *sys.argv[4:])


if __name__ == "__main__":
    main()
