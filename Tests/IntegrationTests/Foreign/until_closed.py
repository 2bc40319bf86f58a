# SPDX-License-Identifier: Apache-2.0
"""Echoes one message, then waits until it is closed and prints the code and the reason."""

import asyncio
import sys

import websockets

import peer


async def main():
    async with peer.client(sys.argv[1], sys.argv[2]) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        try:
            message = await socket.recv()
            raise SystemExit(f"an unexpected message: {message!r}")
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code, closed.rcvd.reason)


asyncio.run(main())
