# SPDX-License-Identifier: Apache-2.0
"""echo_client.py URL CA: each kind of message comes back as it was sent."""

import asyncio
import sys

from peer import client, payload

COUNTS = [0, 1, 125, 126, 65535, 65536, 16 * 1024 * 1024]


async def main(url, authority):
    async with client(url, authority) as socket:
        for count in COUNTS:
            binary = payload(count, count % 5)
            await socket.send(binary)
            assert await socket.recv() == binary, f"binary message of {count} bytes"
            text = "".join(chr(0x20 + byte % 0x5F) for byte in binary[:65536])
            text = (text * (count // 65536 + 1))[:count]
            await socket.send(text)
            assert await socket.recv() == text, f"text message of {count} bytes"
        await socket.send("Grüße, 世界 🌊")
        assert await socket.recv() == "Grüße, 世界 🌊", "text beyond ASCII"

        pieces = [payload(count, 1) for count in (1, 125, 0, 126, 70000, 3)]
        await socket.send(pieces)
        assert await socket.recv() == b"".join(pieces), "a fragmented message"

        await asyncio.wait_for(await socket.ping(b"are you there"), 20)
        await socket.close(4321, "that was all")
    assert socket.close_code == 4321, socket.close_code
    assert socket.close_reason == "that was all", socket.close_reason
    print("ok")


asyncio.run(main(*sys.argv[1:]))
