# SPDX-License-Identifier: Apache-2.0
"""fault_client.py WHAT URL CA [NUMBER]: a client that faults are done to, and what it has met.

latency NUMBER    echoes so many messages, one after the other; prints the shortest time there and back in ms
burst NUMBER      sends so many at once; says that all came back in order
reconnect NUMBER  echoes so many messages, and connects again when its connection ends; prints how often that was
open NUMBER       opens so many connections; prints how many got 503
"""

import asyncio
import sys
import time

from websockets.exceptions import ConnectionClosed, InvalidStatus

from peer import client


async def latency(url, authority, number):
    times = []
    async with client(url, authority) as socket:
        for index in range(number):
            began = time.monotonic()
            await socket.send(f"message {index}")
            assert await socket.recv() == f"message {index}"
            times.append(time.monotonic() - began)
    print(int(min(times) * 1000))


async def burst(url, authority, number):
    async with client(url, authority) as socket:
        messages = [f"{index} " + "x" * (index * 37 % 1500) for index in range(number)]
        for message in messages:
            await socket.send(message)
        for message in messages:
            assert await socket.recv() == message
        # Its Close comes behind them.
        await socket.send("last")
        await socket.close(1000)
    print("in order")


async def reconnect(url, authority, number):
    cuts = done = refused = 0
    codes = set()
    while done < number:
        try:
            async with client(url, authority) as socket:
                while done < number:
                    await socket.send(f"message {done}")
                    assert await socket.recv() == f"message {done}"
                    done += 1
        except ConnectionClosed as closed:
            codes.add(closed.rcvd.code if closed.rcvd else 1006)
            cuts += 1
            continue
        except InvalidStatus as fault:
            assert fault.response.status_code == 503, fault.response
            assert b"on purpose" in fault.response.body, fault.response.body
            refused += 1
            continue
        # The frames of the closing handshake may be cut too.
        if socket.close_code == 1006:
            cuts += 1
    print(cuts, refused, sorted(codes))


async def opened(url, authority, number):
    refused = 0
    for _ in range(number):
        try:
            async with client(url, authority) as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"
        except InvalidStatus as fault:
            assert fault.response.status_code == 503, fault.response
            refused += 1
    print(refused)


async def main(what, url, authority, number="1"):
    tasks = {"latency": latency, "burst": burst, "reconnect": reconnect, "open": opened}
    await tasks[what](url, authority, int(number))


asyncio.run(main(*sys.argv[1:]))
