# SPDX-License-Identifier: Apache-2.0
"""login.py URL CA [USER:PASSWORD]...: opens a WebSocket as each of them, and says what came of it.

The names stand in the URL, as people write them there.
"""
import asyncio
import sys

from websockets.exceptions import InvalidStatus

from peer import client


async def main(url, authority, *logins):
    for login in logins:
        named = url.replace("://", f"://{login}@") if login else url
        try:
            async with client(named, authority) as socket:
                await socket.send("hello")
                print("let in", await socket.recv())
        except InvalidStatus as refused:
            answer = refused.response
            print(answer.status_code, answer.headers.get("WWW-Authenticate", "-"))


asyncio.run(main(*sys.argv[1:]))
