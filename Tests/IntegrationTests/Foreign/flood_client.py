# SPDX-License-Identifier: Apache-2.0
"""flood_client.py URL CA COUNT: sends compressed messages without pause until it is told to stop.

Prints the code and reason of the Close, and how many messages came back before it.
"""

import asyncio
import sys

from websockets.exceptions import ConnectionClosed

from peer import client, payload


async def main(url, authority, count):
    echoed = 0
    async with client(url, authority, compression="deflate") as socket:
        granted = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert "permessage-deflate" in granted, f"granted: {granted!r}"
        message = payload(2000, 5)

        async def flood():
            try:
                for _ in range(int(count)):
                    await socket.send(message)
                    # While there is room, sending leaves the reader no turn.
                    await asyncio.sleep(0)
            except ConnectionClosed:
                pass

        sending = asyncio.create_task(flood())
        try:
            while True:
                assert await socket.recv() == message
                echoed += 1
        except ConnectionClosed as closed:
            await sending
            print(closed.rcvd.code, closed.rcvd.reason)
            print(echoed)


asyncio.run(main(*sys.argv[1:]))
