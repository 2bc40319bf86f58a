# SPDX-License-Identifier: Apache-2.0
"""An app that echoes and says nothing of its own accord; the library answers Pings."""

import asyncio

from websockets.asyncio.server import serve


async def echo(peer):
    async for message in peer:
        await peer.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, ping_interval=None, compression=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
