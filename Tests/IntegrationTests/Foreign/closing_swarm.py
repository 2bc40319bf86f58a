# SPDX-License-Identifier: Apache-2.0
"""Many clients behind a line of 200 ms that close about a second after they were opened.

Prints how many closed, how many got the last message and the Close behind it, and how many were sent
a Ping behind their own Close.
"""

import asyncio
import random
import sys

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri

DELAY = 0.1


class Line:
    """A stream whose bytes take their time each way, and keep their order."""

    def __init__(self, reader, writer):
        self.writer = writer
        self.loop = asyncio.get_running_loop()
        self.arrived = asyncio.Queue()
        self.task = asyncio.create_task(self.receive(reader))

    async def receive(self, reader):
        data = b"-"
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            self.loop.call_later(DELAY, self.arrived.put_nowait, data)

    def send(self, pieces):
        for data in pieces:
            self.loop.call_later(DELAY, self.deliver, data)

    def deliver(self, data):
        if not self.writer.is_closing():
            self.writer.write(data) if data else self.writer.write_eof()


async def client(port, gate):
    async with gate:
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
        protocol = ClientProtocol(parse_uri(f"ws://localhost:{port}/Esv/ocp"))
        protocol.send_request(protocol.connect())
        line.send(protocol.data_to_send())
        while protocol.state.name == "CONNECTING":
            protocol.receive_data(await line.arrived.get())
    assert protocol.handshake_exc is None, protocol.handshake_exc
    # The tunnel was opened a tenth of a second ago.
    close_at = line.loop.time() + 0.9 + random.uniform(-0.15, 0.15)
    has_closed = was_asked = False
    message = code = None
    while protocol.state.name != "CLOSED":
        try:
            wait = None if has_closed else max(0, close_at - line.loop.time())
            data = await asyncio.wait_for(line.arrived.get(), wait)
        except asyncio.TimeoutError:
            protocol.send_close(1000)
            has_closed = True
            line.send(protocol.data_to_send())
            continue
        protocol.receive_data(data) if data else protocol.receive_eof()
        for event in protocol.events_received():
            if not isinstance(event, Frame):
                continue
            was_asked = was_asked or has_closed and event.opcode is Opcode.PING
            if event.opcode is Opcode.TEXT:
                message = bytes(event.data)
            elif event.opcode is Opcode.CLOSE:
                code = Close.parse(event.data).code
        line.send(protocol.data_to_send())
    line.writer.close()
    return has_closed, (message, code) == (b"last message", 4001), was_asked


async def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    gate = asyncio.Semaphore(100)
    found = await asyncio.gather(*(client(port, gate) for _ in range(count)))
    print(*(sum(each) for each in zip(*found)))


asyncio.run(main())
