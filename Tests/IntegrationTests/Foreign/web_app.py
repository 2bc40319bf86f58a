# SPDX-License-Identifier: Apache-2.0
"""An aiohttp app: plain pages, uploads, server-sent events, long polling and a WebSocket."""

import asyncio
import hashlib

from aiohttp import WSMsgType, web

waiting = []


async def page(request):
    return web.Response(text="page " + request.query_string)


async def upload(request):
    digest = hashlib.sha256()
    count = 0
    async for piece in request.content.iter_any():
        digest.update(piece)
        count += len(piece)
    return web.json_response({"count": count, "digest": digest.hexdigest()})


async def echo(request):
    """The body of the request, once it is whole."""
    return web.Response(body=await request.read())


async def download(request):
    response = web.StreamResponse()
    await response.prepare(request)
    block = bytes(range(256)) * 256
    for _ in range(int(request.query["blocks"])):
        await response.write(block)
    await response.write_eof()
    return response


async def events(request):
    """Each event waits for a request to /poke, so the client must see it before the next one."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(5):
        await response.write(b"data: %d\n\n" % number)
        ready = asyncio.get_running_loop().create_future()
        waiting.append(ready)
        await ready
    return response


async def poll(request):
    ready = asyncio.get_running_loop().create_future()
    waiting.append(ready)
    await ready
    return web.Response(text="poked")


async def poke(request):
    while not waiting:
        await asyncio.sleep(0.005)
    waiting.pop().set_result(None)
    return web.Response(status=204)


async def socket(request):
    peer = web.WebSocketResponse()
    await peer.prepare(request)
    async for message in peer:
        if message.type == WSMsgType.TEXT:
            await peer.send_str(message.data)
    return peer


async def main():
    app = web.Application(client_max_size=1 << 40)
    app.router.add_get("/", page)
    app.router.add_post("/upload", upload)
    app.router.add_post("/echo", echo)
    app.router.add_get("/download", download)
    app.router.add_get("/events", events)
    app.router.add_get("/poll", poll)
    app.router.add_post("/poke", poke)
    app.router.add_get("/Esv/ocp", socket)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("port", site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
