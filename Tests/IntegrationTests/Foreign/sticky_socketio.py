# SPDX-License-Identifier: Apache-2.0
"""sticky_socketio.py URL CA COUNT: so many Socket.IO clients begin with polls and go on with a WebSocket, as those in
browsers do; each has its events echoed by both.

Cookies are kept as a browser keeps them. What each client ends with is printed.
"""
import asyncio
import ssl
import sys

import aiohttp
import socketio


async def talk(url, authority, number):
    context = ssl.create_default_context(cafile=authority)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        await client.connect(url)
        for turn in range(3):
            text = f"client {number} turn {turn}"
            assert await client.call("say", text, timeout=20) == text
        transport = client.transport()
        await client.disconnect()
        return transport


async def main(url, authority, count):
    for number in range(int(count)):
        print(await talk(url, authority, number))


asyncio.run(main(*sys.argv[1:]))
