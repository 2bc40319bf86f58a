# SPDX-License-Identifier: Apache-2.0
"""An app on a unix socket that says its name and then echoes: socket, name, file.

The file has two words: the status that /healthz gets, or `hang`; and the status that upgrades get.
"""

import asyncio
import http
import sys

from websockets.asyncio.server import unix_serve

path, name, orders = sys.argv[1:4]


async def serve(peer):
    await peer.send(name)
    async for message in peer:
        await peer.send(message)


async def judge(connection, request):
    with open(orders) as file:
        health, upgrade = file.read().split()
    if request.path == "/healthz":
        if health == "hang":
            await asyncio.sleep(3600)
        return connection.respond(http.HTTPStatus(int(health)), "as told\n")
    if "Upgrade" in request.headers and upgrade != "101":
        return connection.respond(http.HTTPStatus(int(upgrade)), "as told\n")
    return None


async def main():
    async with unix_serve(serve, path, process_request=judge):
        print("listening", flush=True)
        await asyncio.Future()


asyncio.run(main())
