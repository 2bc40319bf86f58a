# SPDX-License-Identifier: Apache-2.0
"""load_ocpp.py: a central system of OCPP 1.6 by the package ocpp, which validates every message by its schema."""
import asyncio
from datetime import datetime, timezone

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action, RegistrationStatus
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


def now():
    return datetime.now(timezone.utc).isoformat()


class Station(ChargePoint):
    @on(Action.boot_notification)
    def boot(self, **_):
        return call_result.BootNotification(current_time=now(), interval=10, status=RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def heartbeat(self):
        return call_result.Heartbeat(current_time=now())


async def handle(socket):
    station = Station(socket.request.path.strip("/").split("/")[-1], socket)
    try:
        await station.start()
    except ConnectionClosed:
        pass


async def main():
    async with serve(handle, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
