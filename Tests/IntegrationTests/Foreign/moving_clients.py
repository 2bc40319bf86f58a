# SPDX-License-Identifier: Apache-2.0
"""moving_clients.py URL CA COUNT FILE: sockets that echo all the time, until FILE is there.

Each message has content of its own and is compared; sizes go from 1 byte to 300 kB. Prints `ready` when each has
echoed once, and at the end how many messages there were.
"""

import asyncio
import os
import sys

from peer import client, payload

SIZES = [1, 125, 126, 3000, 16384, 65535, 65536, 300000]


async def converse(url, authority, number, is_over, echoed):
    async with client(url, authority) as socket:
        turn = 0
        while not is_over.is_set():
            message = payload(SIZES[(turn + number) % len(SIZES)] + number, number + turn)
            await socket.send(message)
            answer = await asyncio.wait_for(socket.recv(), 60)
            assert answer == message, f"socket {number}, turn {turn}"
            turn += 1
            echoed[number] = turn
        return turn


async def main(url, authority, count, file):
    is_over = asyncio.Event()
    echoed = {}
    tasks = [
        asyncio.create_task(converse(url, authority, number, is_over, echoed))
        for number in range(int(count))
    ]
    while len(echoed) < len(tasks):
        await asyncio.sleep(0.01)
        for task in tasks:
            if task.done():
                task.result()
    print("ready")
    while not os.path.exists(file):
        await asyncio.sleep(0.05)
    is_over.set()
    print("ok", sum(await asyncio.gather(*tasks)))


asyncio.run(main(*sys.argv[1:]))
