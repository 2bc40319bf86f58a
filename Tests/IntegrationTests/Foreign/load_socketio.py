# SPDX-License-Identifier: Apache-2.0
"""load_socketio.py: python-socketio on aiohttp, which answers the event `say` with `heard` and acknowledges it."""
import asyncio

import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")


@server.on("say")
async def say(sid, data):
    await server.emit("heard", data, to=sid)
    return "ok"


async def main():
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("port", runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
