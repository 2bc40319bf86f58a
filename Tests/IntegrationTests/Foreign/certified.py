# SPDX-License-Identifier: Apache-2.0
"""certified.py PORT CA [CERTIFICATE:KEY]...: a WebSocket and two requests as each client, also as one without a certificate.

The second request takes the first one's session up again, and so does not show the certificate anew. Prints a line each.
"""
import asyncio
import socket
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

port, authority, *clients = sys.argv[1:]


def context(client):
    made = ssl.create_default_context(cafile=authority)
    if client != "-":
        made.load_cert_chain(*client.split(":"))
    return made


async def opened(made):
    try:
        async with connect(f"wss://localhost:{port}/Esv/ocp", ssl=made, proxy=None) as peer:
            await peer.send("hello")
            return await peer.recv()
    except InvalidStatus as refused:
        return refused.response.status_code
    except (ssl.SSLError, OSError) as error:
        return getattr(error, "reason", None) or type(error).__name__


def asked(made, session):
    """The status of a request, whether its session was resumed, and the session for the next."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as plain:
        with made.wrap_socket(plain, server_hostname="localhost", session=session) as peer:
            peer.sendall(b"GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := peer.recv(65536):
                answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            status = head.split()[1].decode()
            return status, body.decode() if status == "200" else "-", peer.session_reused, peer.session


for client in clients:
    made = context(client)
    print("socket", asyncio.run(opened(made)))
    session = None
    for _ in range(2):
        try:
            status, body, reused, session = asked(made, session)
            print("request", status, body, "resumed" if reused else "full")
        except (ssl.SSLError, OSError) as error:
            print("request", getattr(error, "reason", None) or type(error).__name__)
