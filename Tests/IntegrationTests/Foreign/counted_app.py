# SPDX-License-Identifier: Apache-2.0
"""counted_app.py: an app that sends everything back, and otherwise does as it is told.

`close CODE` has it close with that code, `vanish` has it drop the connection without a word, and `ping`
has it send a Ping and say `pinged` once the Pong has come. Behind /denied it answers 401.
"""

import asyncio
from http import HTTPStatus

from websockets.asyncio.server import serve


def judge(peer, request):
    if request.path.startswith("/denied"):
        return peer.respond(HTTPStatus.UNAUTHORIZED, "Log in first.\n")
    return None


async def handle(peer):
    async for message in peer:
        if message == "vanish":
            peer.transport.abort()
        elif message == "ping":
            await (await peer.ping())
            await peer.send("pinged")
        elif isinstance(message, str) and message.startswith("close "):
            await peer.close(int(message.split()[1]), "as told")
        else:
            await peer.send(message)


async def main():
    async with serve(
            handle, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None, process_request=judge) as app:
        print("listening", app.sockets[0].getsockname()[1], flush=True)
        await app.serve_forever()


asyncio.run(main())
