# SPDX-License-Identifier: Apache-2.0
"""tap_client.py PORT CA WAY EXTENSION FILE: has the messages of a JSON file echoed, and closes with 1000.

WAY is h1 (websockets) or h2 (h2 and wsproto); EXTENSION is none or deflate. A message is {"text": T} or
{"base64": B}, each sent whole, and behind these one in three frames.
"""
import asyncio
import base64
import json
import sys

from h2_client import Client, WebSocket
from peer import client
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.extensions import PerMessageDeflate

PARTS = ["in ", "three ", "frames"]


def messages(path):
    with open(path) as file:
        return [m["text"] if "text" in m else base64.b64decode(m["base64"]) for m in json.load(file)]


async def over_h1(port, authority, extension, path):
    compression = "deflate" if extension == "deflate" else None
    async with client(f"wss://localhost:{port}/Esv/ocp?token=secret", authority, compression=compression,
                      additional_headers={"Cookie": "session=secret"}, subprotocols=["chat"]) as socket:
        granted = socket.response.headers.get("Sec-WebSocket-Extensions", "")
        assert ("permessage-deflate" in granted) == (extension == "deflate"), granted
        for message in messages(path):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(PARTS)
        assert await socket.recv() == "".join(PARTS)
        await socket.close(1000, "bye")


def over_h2(port, authority, extension, path):
    offered = PerMessageDeflate()
    fields = [("sec-websocket-extensions", f"permessage-deflate; {offered.offer()}".rstrip("; "))]
    socket = WebSocket(Client(int(port), authority), "/Esv/ocp?token=secret",
                       fields if extension == "deflate" else [])
    granted = socket.open().get("sec-websocket-extensions", "")
    assert socket.status == 200 and ("permessage-deflate" in granted) == (extension == "deflate"), granted
    if extension == "deflate":
        offered.finalize(granted)
        socket.frames = Connection(ConnectionType.CLIENT, extensions=[offered])
    for message in messages(path):
        socket.echo(message)
    for index, part in enumerate(PARTS):
        socket.send(TextMessage(data=part, message_finished=index == 2))
    event = socket.receive()
    assert event.data == "".join(PARTS), event
    socket.send(CloseConnection(code=1000, reason="bye"))
    event = socket.receive()
    assert isinstance(event, CloseConnection) and event.code == 1000, event


port, authority, way, extension, path = sys.argv[1:]
if way == "h1":
    asyncio.run(over_h1(port, authority, extension, path))
else:
    over_h2(port, authority, extension, path)
print("ok")
