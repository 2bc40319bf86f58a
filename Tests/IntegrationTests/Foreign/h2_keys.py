# SPDX-License-Identifier: Apache-2.0
"""What the keys of HTTP/2 change for a client, by the library h2.

    h2_keys.py PORT CA TASK [ARGUMENT...]

Each task prints a line for what it has met, and fails by an assertion.
"""
import signal
import sys
import time

import h2.events
import h2.exceptions
import h2.settings

from h2_client import Client, WebSocket

Codes = h2.settings.SettingCodes


def settings(client, *_):
    """What the server's SETTINGS say."""
    said = client.h2.remote_settings
    print("streams", said[Codes.MAX_CONCURRENT_STREAMS], "window", said[Codes.INITIAL_WINDOW_SIZE],
          "websockets", said.get(Codes.ENABLE_CONNECT_PROTOCOL, 0))


def refused(client, *_):
    """A WebSocket that was not offered ends its stream, and nothing else."""
    stream = WebSocket(client, "/").stream
    event = client.next(stream)
    assert isinstance(event, h2.events.StreamReset), event
    print("reset", event.error_code)
    print("page", client.answer(client.request("GET", "/pages"))[0])


def cancelled(client, count, *_):
    """Cancels streams one behind the other, and says how the connection is afterwards."""
    for _ in range(int(count)):
        stream = client.request("GET", "/pages", end=False)
        client.h2.reset_stream(stream, 8)
        client.flush()
    try:
        stream = client.request("GET", "/pages")
        while not any(isinstance(event, h2.events.StreamEnded) for event in client.events.get(stream, [])):
            client.receive()
        print("page 200")
    except (EOFError, ConnectionError, h2.exceptions.ProtocolError):
        pass
    if client.goaway:
        print("goaway", client.goaway.error_code)


def answering(client, *_):
    """A socket at rest, on a connection whose PINGs are answered."""
    web = WebSocket(client, "/")
    web.open()
    web.echo("before")
    pings = 0
    feed = client.h2.receive_data

    def counting(data):
        nonlocal pings
        events = feed(data)
        pings += sum(isinstance(event, h2.events.PingReceived) for event in events)
        return events
    client.h2.receive_data = counting
    # They come long before the time for an answer is over.
    client.socket.settimeout(60)
    while pings < 4:
        client.receive()
    web.echo("after")
    web.close()
    print("pinged and echoed")


def deaf(client, *_):
    """A socket and a request at rest, on a connection that is not read any more."""
    web = WebSocket(client, "/")
    web.open()
    web.echo("before")
    client.request("GET", "/hanging")
    print("deaf", flush=True)
    signal.pause()


def slow(client, size, *_):
    """Takes so much of a large answer at a time, and answers PINGs alone; then takes nothing more."""
    stream = client.request("GET", "/download?blocks=2000")
    client.h2.increment_flow_control_window(2**30)
    client.h2.increment_flow_control_window(2**30, stream)
    client.flush()
    plain = client.socket
    end = time.monotonic() + 6
    while time.monotonic() < end:
        left = int(size)
        while left > 0:
            data = plain.recv(left)
            assert data, "the connection was ended"
            left -= len(data)
            # A PING is answered when it has come, behind all that was sent before.
            client.h2.receive_data(data)
            client.flush()
        time.sleep(0.02)
    print("taken", flush=True)
    signal.pause()


def spent(client, count, *_):
    """Asks until the connection has carried all requests that it may; what is open goes on."""
    web = WebSocket(client, "/")
    web.open()
    web.echo("before")
    for _ in range(int(count) - 2):
        assert client.answer(client.request("GET", "/pages"))[0] == 200
    last = client.request("GET", "/pages")
    # It is under way when the client is told.
    under_way = client.request("GET", "/pages")
    assert client.answer(last)[0] == 200
    while not (client.goaway and client.goaway.last_stream_id < 2**31 - 1):
        client.receive()
    assert client.answer(under_way)[0] == 200
    assert client.goaway.last_stream_id == under_way and client.goaway.error_code == 0, client.goaway
    web.echo("after")
    web.close()
    try:
        while True:
            client.receive()
    except EOFError:
        print("ended behind the socket")


def trailers(client, *_):
    """Bodies with trailers behind them, forged ones among these."""
    behind = [("x-sum", "1"), ("authorization", "forged"), ("x-forwarded-for", "forged"), ("server-timing", "a")]
    for body, head in [(b"hello", []), (b"", []), (b"hello", [("content-length", "5")])]:
        stream = client.request("POST", "/upload", head, body=body or None, end=False)
        client.h2.send_headers(stream, behind, end_stream=True)
        client.flush()
        assert client.answer(stream)[0] == 204
    print("sent")


def main():
    client = Client(int(sys.argv[1]), sys.argv[2])
    globals()[sys.argv[3]](client, *sys.argv[4:])


if __name__ == "__main__":
    main()
