# SPDX-License-Identifier: Apache-2.0
"""load_mqtt.py: the broker of aMQTT, which speaks MQTT 3.1.1 over WebSocket."""
import asyncio
import logging

from amqtt.broker import Broker

logging.disable(logging.CRITICAL)


async def main():
    broker = Broker({
        "listeners": {"default": {"type": "ws", "bind": "127.0.0.1:0", "max_connections": 1000}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    server = next(iter(broker._servers.values())).instance
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
