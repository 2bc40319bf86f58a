# SPDX-License-Identifier: Apache-2.0
"""load_server.py: an echo server that prints "closed PATH MESSAGES" behind each connection; /push sends 50 messages,
and /compressed wants permessage-deflate."""
import asyncio
import json
import time

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def handle(socket):
    count = 0
    if socket.request.path == "/compressed" and not socket.protocol.extensions:
        await socket.close(1008, "not compressed")
    try:
        async for message in socket:
            count += 1
            if socket.request.path == "/push":
                for _ in range(50):
                    await socket.send(json.dumps({"ts": time.time_ns(), "said": message}))
            else:
                await socket.send(message)
    except ConnectionClosed:
        pass
    print("closed", socket.request.path, count, flush=True)


async def main():
    async with serve(handle, "127.0.0.1", 0, max_size=None) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
