# SPDX-License-Identifier: Apache-2.0
"""A server in a state that the doctor has to tell: STATE, and for TLS a certificate and its key.

`https`, `tell` (which prints each request) and `wrong-accept` need the standard library alone, so that
they can run with another clock.
"""

import asyncio
import http.server
import ssl
import sys
import time

state, *rest = sys.argv[1:]


class Page(http.server.BaseHTTPRequestHandler):
    """An ordinary page, or a 101 with an accept that belongs to no key."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if state == "wrong-accept":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", "c29tZXRoaW5nIGVsc2UgYWx0b2c=")
            self.end_headers()
            self.rfile.read(1)
            return
        if state == "tell":
            print(self.requestline, str(self.headers), sep="\n")
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *words):
        pass


def serve_pages():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    if rest:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*rest)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("listening", server.server_address[1])
    server.serve_forever()


async def serve_sockets():
    from websockets.asyncio.server import serve

    async def handler(peer):
        if state == "policy":
            await peer.close(1008, "log in first")
        elif state == "own-code":
            await peer.close(4401, "token expired")
        elif state == "crash":
            peer.transport.abort()
        elif state == "stuck":
            # What blocks the event loop blocks the pongs.
            time.sleep(600)
        else:
            async for message in peer:
                await peer.send(message)

    def asleep(peer, request):
        time.sleep(600)

    def unrequested(peer, request, response):
        response.headers["Sec-WebSocket-Protocol"] = "chat"
        return response

    def unrequested_extension(peer, request, response):
        response.headers["Sec-WebSocket-Extensions"] = "permessage-deflate"
        return response

    context = None
    if rest:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*rest)
        # It agrees on a protocol that it does not speak.
        context.set_alpn_protocols(["h2", "http/1.1"] if state == "claims-h2" else ["http/1.1"])
    change = {"protocol": unrequested, "extension": unrequested_extension}.get(state)
    async with serve(
        handler, "127.0.0.1", 0, ssl=context, subprotocols=["chat.v2"] if state == "chat" else None,
        compression="deflate" if state == "deflate" else None, process_response=change,
        process_request=asleep if state == "asleep" else None,
    ) as server:
        print("listening", server.sockets[0].getsockname()[1])
        await server.serve_forever()


if state in ("https", "tell", "wrong-accept"):
    serve_pages()
else:
    asyncio.run(serve_sockets())
