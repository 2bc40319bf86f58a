# SPDX-License-Identifier: Apache-2.0
"""python-socketio on aiohttp, with a page that has the JavaScript client of socket.io.

The client is the file that the package nicegui brings along. Events are echoed, and `leave` has the server
disconnect; each connection's transport is printed when it ends.
"""

import asyncio
import importlib.util
import pathlib

import socketio
from aiohttp import web

package = pathlib.Path(importlib.util.find_spec("nicegui").origin).parent
server = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")


@server.on("say")
async def say(sid, data):
    return data


@server.on("shout")
async def shout(sid, count):
    for number in range(count):
        await server.emit("heard", number, to=sid)


@server.on("leave")
async def leave(sid):
    print("transport", server.transport(sid), flush=True)
    await server.disconnect(sid)


async def page(request):
    return web.Response(text="<title>page</title><script src=/client.js></script>", content_type="text/html")


async def client(request):
    return web.FileResponse(package / "static" / "socket.io.min.js")


async def main():
    app = web.Application()
    server.attach(app)
    app.router.add_get("/", page)
    app.router.add_get("/client.js", client)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("port", site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
