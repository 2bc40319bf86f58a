# SPDX-License-Identifier: Apache-2.0
"""load_stomp.py: CoilMQ, a STOMP broker for TCP, behind a bridge that makes each WebSocket a connection of it."""
import asyncio
import threading

from coilmq.queue import QueueManager
from coilmq.scheduler import FavorReliableSubscriberScheduler, RandomQueueScheduler
from coilmq.server.socket_server import ThreadedStompServer
from coilmq.store.memory import MemoryQueue
from coilmq.topic import TopicManager
from websockets.asyncio.server import serve


def broker():
    server = ThreadedStompServer(
        ("127.0.0.1", 0),
        queue_manager=QueueManager(
            store=MemoryQueue(), subscriber_scheduler=FavorReliableSubscriberScheduler(),
            queue_scheduler=RandomQueueScheduler()),
        topic_manager=TopicManager(), authenticator=None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


async def bridge(socket, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def up():
        async for message in socket:
            writer.write(message.encode() if isinstance(message, str) else message)
            await writer.drain()
        writer.close()

    async def down():
        # A frame of STOMP ends with a NUL, and may have line ends behind it.
        pending = b""
        while chunk := await reader.read(65536):
            pending += chunk
            *frames, pending = pending.split(b"\0")
            for frame in frames:
                await socket.send(frame.lstrip(b"\n").decode() + "\0")

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    writer.close()


async def main():
    port = broker()
    handler = lambda socket: bridge(socket, port)
    async with serve(handler, "127.0.0.1", 0, subprotocols=["v12.stomp", "v11.stomp", "v10.stomp"]) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
