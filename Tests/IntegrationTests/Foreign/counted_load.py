# SPDX-License-Identifier: Apache-2.0
"""counted_load.py PORT CA: a load whose clients count for themselves what they send and get.

Prints one JSON array: series by name and labels, with the value that each has if nobody has miscounted. Frames
are taken from the library's own record of what it has sent and received, one line for each; statuses, and
whether a session was taken up again, are what the clients were told.
"""

import asyncio
import collections
import json
import logging
import socket
import ssl
import sys
import threading
import time

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close, Frame, Opcode

from peer import client, payload

PORT, AUTHORITY = int(sys.argv[1]), sys.argv[2]
ROUTE = "/Esv/ocp"
# What Sluice says to a client whose upstream has vanished; nobody has sent it through.
VANISHED = 1014
series = collections.Counter()


def count(name, amount=1, **labels):
    series[(name, tuple(sorted(labels.items())))] += amount


class FrameCounter(logging.Handler):
    """Counts the frames of one client, as its library has logged them."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.open = {}
        self.is_over = False

    def emit(self, record):
        if not record.args or not isinstance(record.args[0], Frame):
            return
        frame, direction = record.args[0], {">": "up", "<": "down"}[record.msg[0]]
        if frame.opcode is Opcode.CLOSE and len(frame.data) >= 2 and Close.parse(frame.data).code == VANISHED:
            # Sluice's own, and nobody is there any more for what follows.
            self.is_over = True
        if self.is_over:
            return
        size = len(frame.data)
        count("sluice_frames_total", route=ROUTE, direction=direction)
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self.open[direction] = [frame.opcode.name.lower(), 0]
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            count("sluice_payload_bytes_total", size, route=ROUTE, direction=direction)
            self.open[direction][1] += size
            if not frame.fin:
                return
            kind, total = self.open.pop(direction)
            count("sluice_message_bytes_sum", total, route=ROUTE, direction=direction)
            count("sluice_message_bytes_count", route=ROUTE, direction=direction)
        else:
            kind = frame.opcode.name.lower()
        count("sluice_messages_total", route=ROUTE, direction=direction, type=kind)


def counted(frames=None):
    logger = logging.Logger("client", logging.DEBUG)
    logger.addHandler(frames or FrameCounter())
    return client(f"wss://localhost:{PORT}{ROUTE}", AUTHORITY, logger=logger)


def opened(peer):
    """A client has its 101, in a TLS connection of its own."""
    count("sluice_relays_opened_total", route=ROUTE)
    connected(peer.transport.get_extra_info("ssl_object"))


def connected(tls):
    count("handshakes", resumed="true" if tls.session_reused else "false")


def closed(code, by, reason="close"):
    count("sluice_relays_closed_total", route=ROUTE, code=code, by=by, reason=reason)


async def converse(number):
    """Messages of both types, whole and in pieces, Pings of both sides, and a Close of the client's."""
    code, label = [(1000, "1000"), (1001, "1001"), (3001, "3xxx"), (4711, "4xxx"), (4712, "4xxx")][number % 5]
    async with counted() as peer:
        opened(peer)
        for turn in range(10):
            text = "é" * (turn * turn + number)
            await peer.send(text)
            assert await peer.recv() == text
            data = payload(37 * turn ** 3 + number, number)
            await peer.send(data)
            assert await peer.recv() == data
            await (await peer.ping())
        await peer.send([b"in ", b"three ", b"pieces"])
        assert await peer.recv() == b"in three pieces"
        await peer.send("ping")
        assert await peer.recv() == "pinged"
        large = payload(300_000, number)
        await peer.send(large)
        assert await peer.recv() == large
        await peer.close(code)
    closed(label, "client")


async def told(code):
    """The upstream closes."""
    async with counted() as peer:
        opened(peer)
        await peer.send(f"close {code}")
        try:
            raise AssertionError(await peer.recv())
        except ConnectionClosed as end:
            assert end.rcvd.code == code, end
            closed(str(code) if code < 3000 else f"{code // 1000}xxx", "upstream")


async def upstream_vanishes():
    async with counted() as peer:
        opened(peer)
        await peer.send("vanish")
        try:
            raise AssertionError(await peer.recv())
        except ConnectionClosed as end:
            assert end.rcvd.code == VANISHED, end
            closed(str(end.rcvd.code), "upstream", "vanished")


async def client_vanishes():
    frames = FrameCounter()
    async with counted(frames) as peer:
        opened(peer)
        await peer.send("last words")
        assert await peer.recv() == "last words"
        peer.transport.abort()
        # The library goes on to close what is not there any more.
        frames.is_over = True
        closed("1001", "client", "vanished")


async def refused(path, status, route, error, **options):
    """Somebody wants a WebSocket and gets an answer."""
    try:
        async with client(f"wss://localhost:{PORT}{path}", AUTHORITY, **options):
            raise AssertionError("it has opened")
    except InvalidStatus as fault:
        assert fault.response.status_code == status, fault
        count("sluice_upgrades_refused_total", route=route, status=str(status), error=error)
        # The handshake was complete, or there was no answer.
        count("handshakes", resumed="false")


def requests_with_tickets(total):
    """Requests one behind the other, each on a connection that takes up the session of the one before."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session = None
    for number in range(total):
        with socket.create_connection(("127.0.0.1", PORT), timeout=60) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as stream:
                connected(stream)
                method = ["GET", "HEAD", "OPTIONS"][number % 3]
                path, route = [("/pages", "/pages"), ("/nowhere", "")][number % 2]
                stream.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                answer = b""
                while piece := stream.recv(65536):
                    answer += piece
                count("sluice_requests_total", route=route, method=method, status=answer.split()[1].decode(), protocol="h1")
                session = stream.session
    assert series[("handshakes", (("resumed", "true"),))] > 0


async def main():
    side = threading.Thread(target=requests_with_tickets, args=(12,))
    side.start()
    # Many side by side, and scrapes meanwhile: for so long that there are some.
    until = time.monotonic() + 2
    rounds = 0
    while rounds < 2 or time.monotonic() < until:
        rounds += 1
        await asyncio.gather(
            *(converse(number) for number in range(10)),
            *(told(code) for code in (1000, 1008, 1011, 3999, 4000)),
            upstream_vanishes(), client_vanishes(),
            refused("/nowhere", 404, "", "destination_not_found"),
            refused("/denied", 401, "/denied", ""),
            refused(ROUTE, 403, ROUTE, "http_request_denied", origin="https://elsewhere.example"),
            refused("/broken", 502, "/broken", "connection_refused"),
        )
    await asyncio.to_thread(side.join)
    print(json.dumps([
        {"name": name, "labels": dict(labels), "value": value} for (name, labels), value in series.items()]))


asyncio.run(main())
