# SPDX-License-Identifier: Apache-2.0
"""certified_socket.py PORT CA CERTIFICATE:KEY: opens a WebSocket and says with which code it was closed."""
import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

port, authority, client = sys.argv[1:]


async def main():
    made = ssl.create_default_context(cafile=authority)
    made.load_cert_chain(*client.split(":"))
    async with connect(f"wss://localhost:{port}/Esv/ocp", ssl=made, proxy=None, ping_interval=None) as peer:
        await peer.send("hello")
        await peer.recv()
        print("open")
        try:
            await peer.recv()
        except ConnectionClosed as closed:
            print("closed", closed.rcvd.code)


asyncio.run(main())
