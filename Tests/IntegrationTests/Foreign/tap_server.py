# SPDX-License-Identifier: Apache-2.0
"""tap_server.py EXTENSION: an echo server that speaks the subprotocol chat, and compresses if EXTENSION is deflate."""
import asyncio
import sys

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def select(_, offered):
    return "chat" if "chat" in offered else None


async def main(extension):
    async with serve(echo, "127.0.0.1", 0, max_size=None, compression="deflate" if extension == "deflate" else None,
                     select_subprotocol=select) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
