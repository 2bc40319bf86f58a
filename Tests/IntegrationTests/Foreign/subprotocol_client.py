# SPDX-License-Identifier: Apache-2.0
"""subprotocol_client.py URL AUTHORITY [SUBPROTOCOL...]: says what was agreed on, and echoes once."""

import asyncio
import sys

import peer

url, authority, *subprotocols = sys.argv[1:]


async def main():
    async with peer.client(url, authority, subprotocols=subprotocols or None) as socket:
        await socket.send("hello")
        print("open", socket.subprotocol, await socket.recv())


asyncio.run(main())
