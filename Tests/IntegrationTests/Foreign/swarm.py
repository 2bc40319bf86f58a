# SPDX-License-Identifier: Apache-2.0
"""swarm.py URL CA COUNT: many connections open at once, each with content of its own."""

import asyncio
import sys

from peer import client, payload


async def converse(url, authority, number, everybody):
    async with client(url, authority) as socket:
        await everybody.wait()
        for turn in range(10):
            message = payload(37 * turn * turn + number, number)
            await socket.send(message)
            assert await socket.recv() == message, f"connection {number}, turn {turn}"


async def main(url, authority, count):
    everybody = asyncio.Barrier(int(count))
    tasks = [converse(url, authority, number, everybody) for number in range(int(count))]
    await asyncio.gather(*tasks)
    print("ok")


asyncio.run(main(*sys.argv[1:]))
