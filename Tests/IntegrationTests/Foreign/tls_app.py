# SPDX-License-Identifier: Apache-2.0
"""An app that speaks TLS itself, over Python's ssl: `tls_app.py CHAIN KEY [--client-ca FILE] [--tls12] [--port N]`.

It answers GET with what it knows of the connection, as JSON, and POST with its body; /big?N with N bytes in
chunks, /open with a body that ends with close_notify and /cut with one that ends without; and echoes WebSockets.
"""

import argparse
import asyncio
import json
import ssl

from websockets.frames import Opcode
from websockets.server import ServerProtocol

parser = argparse.ArgumentParser()
parser.add_argument("chain")
parser.add_argument("key")
parser.add_argument("--client-ca")
parser.add_argument("--tls12", action="store_true")
parser.add_argument("--port", type=int, default=0)
arguments = parser.parse_args()
counts = {"connections": 0, "resumed": 0, "requests": 0, "names": []}


async def echo(head, reader, writer):
    protocol = ServerProtocol(max_size=None)
    protocol.receive_data(head)
    message, opcode = b"", Opcode.BINARY
    while True:
        for event in protocol.events_received():
            if not hasattr(event, "opcode"):
                protocol.send_response(protocol.accept(event))
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                message += event.data
                if event.opcode is not Opcode.CONT:
                    opcode = event.opcode
                if event.fin:
                    send = protocol.send_text if opcode is Opcode.TEXT else protocol.send_binary
                    send(message)
                    message = b""
        for data in protocol.data_to_send():
            if data:
                writer.write(data)
        await writer.drain()
        if protocol.close_expected():
            return
        data = await reader.read(65536)
        if not data:
            return
        protocol.receive_data(data)


def answer(writer, body, status="200 OK"):
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


async def requests(reader, writer):
    session = writer.get_extra_info("ssl_object")
    counts["connections"] += 1
    counts["resumed"] += session.session_reused
    number = counts["connections"]
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        counts["requests"] += 1
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines[1:] if ":" in line}
        if fields.get("upgrade") == "websocket":
            return await echo(head, reader, writer)
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if method == "POST":
            answer(writer, body)
        elif target.startswith("/big?"):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            left = int(target[5:])
            while left > 0:
                piece = bytes(index % 251 for index in range(min(left, 50_000)))
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
                left -= len(piece)
            writer.write(b"0\r\n\r\n")
        elif target == "/open" or target == "/cut":
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nas far as it goes")
            await writer.drain()
            if target == "/cut":
                writer.transport.abort()
            return
        else:
            peer = session.getpeercert() or {}
            subject = [value for part in peer.get("subject", ()) for _, value in part]
            answer(writer, json.dumps(counts | {
                "connection": number, "version": session.version(), "subject": subject,
                "alpn": session.selected_alpn_protocol()}).encode())
        await writer.drain()


async def serve(reader, writer):
    try:
        await requests(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def named(session, name, context):
    counts["names"].append(name)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.chain, arguments.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.sni_callback = named
    if arguments.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(arguments.client_ca)
    if arguments.tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(
        serve, "127.0.0.1", arguments.port, ssl=context, backlog=1024, limit=1 << 24)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
