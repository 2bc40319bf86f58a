# SPDX-License-Identifier: Apache-2.0
"""load_stalls.py: an echo server that does nothing for 200 ms in each second; on SIGTERM it prints how long
its stalls were in the mean and at most, and how far apart, in milliseconds."""
import asyncio
import signal
import time

from websockets.asyncio.server import serve

stalls = []


async def stall():
    while True:
        await asyncio.sleep(0.8)
        began = time.monotonic()
        time.sleep(0.2)
        stalls.append((began, time.monotonic() - began))


async def handle(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    async with serve(handle, "127.0.0.1", 0) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        task = asyncio.create_task(stall())
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        task.cancel()
    lengths = [length for _, length in stalls]
    period = (stalls[-1][0] - stalls[0][0]) / (len(stalls) - 1)
    print("stalls", *(round(1000 * value, 3) for value in (sum(lengths) / len(lengths), max(lengths), period)), flush=True)


asyncio.run(main())
