# SPDX-License-Identifier: Apache-2.0
"""deflate_client.py URL CA: permessage-deflate is agreed on and messages survive it."""

import asyncio
import sys

from peer import client, payload


async def main(url, authority):
    async with client(url, authority, compression="deflate") as socket:
        granted = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert "permessage-deflate" in granted, f"granted: {granted!r}"
        for count in (0, 1, 125, 126, 65535, 65536, 3 * 1024 * 1024):
            message = payload(count, 3)
            await socket.send(message)
            assert await socket.recv() == message, f"message of {count} bytes"
            await socket.send([message[: count // 2], message[count // 2 :]])
            assert await socket.recv() == message, f"fragmented message of {count} bytes"
    print("ok")


asyncio.run(main(*sys.argv[1:]))
