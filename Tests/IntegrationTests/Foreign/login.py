# SPDX-License-Identifier: Apache-2.0
"""login.py URL CA [USER:PASSWORD]...: opens a WebSocket as each of them, and says what came of it.

The names stand in the URL, as people write them there. Where some of it would have to be escaped, they stand in a
field: versions of the library differ in whether they undo that.
"""
import asyncio
import base64
import re
import sys

from websockets.exceptions import InvalidStatus

from peer import client


def named(url, login):
    """The URL and the fields that tell who asks."""
    if not login:
        return url, {}
    if re.fullmatch(r"\w+:\w+", login):
        return url.replace("://", f"://{login}@"), {}
    return url, {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


async def main(url, authority, *logins):
    for login in logins:
        place, fields = named(url, login)
        try:
            async with client(place, authority, additional_headers=fields) as socket:
                await socket.send("hello")
                print("let in", await socket.recv())
        except InvalidStatus as refused:
            answer = refused.response
            print(answer.status_code, answer.headers.get("WWW-Authenticate", "-"))


asyncio.run(main(*sys.argv[1:]))
