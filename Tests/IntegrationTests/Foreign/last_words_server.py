# SPDX-License-Identifier: Apache-2.0
"""Answers a Close after 250 ms: with a message and a Close of its own."""

import asyncio

from websockets.frames import Close, Frame, Opcode
from websockets.server import ServerProtocol


async def serve(reader, writer):
    protocol = ServerProtocol()
    while data := await reader.read(65536):
        protocol.receive_data(data)
        for event in protocol.events_received():
            if not isinstance(event, Frame):
                protocol.send_response(protocol.accept(event))
                writer.writelines(protocol.data_to_send())
            elif event.opcode is Opcode.CLOSE:
                # Its own answer would come at once, before the message.
                protocol.data_to_send()
                await asyncio.sleep(0.25)
                for frame in [
                    Frame(Opcode.TEXT, b"last message"),
                    Frame(Opcode.CLOSE, Close(4001, "").serialize()),
                ]:
                    writer.write(frame.serialize(mask=False))
                await writer.drain()
                writer.write_eof()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print("port", server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
