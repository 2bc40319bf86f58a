# SPDX-License-Identifier: Apache-2.0
"""ocpp_station.py URL CA NAME PASSWORD CERTIFICATE:KEY: a charge point of the package ocpp boots once (`-` for none).

It prints what the central system has said to that and the subprotocol, or the status with which it was refused.
"""
import asyncio
import base64
import ssl
import sys

from ocpp.v16 import ChargePoint, call
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus


async def main(url, authority, name, password, certificate):
    context = None
    if url.startswith("wss:"):
        context = ssl.create_default_context(cafile=authority)
        if certificate != "-":
            context.load_cert_chain(*certificate.split(":"))
    fields = {}
    if password != "-":
        login = base64.b64encode(f"{name}:{password}".encode()).decode()
        fields["Authorization"] = f"Basic {login}"
    try:
        async with connect(f"{url}/{name}", ssl=context, subprotocols=["ocpp1.6"], additional_headers=fields,
                           proxy=None) as socket:
            station = ChargePoint(name, socket)
            reading = asyncio.create_task(station.start())
            boot = call.BootNotification(charge_point_model="model", charge_point_vendor="vendor")
            answer = await station.call(boot)
            print(answer.status, socket.subprotocol)
            reading.cancel()
    except InvalidStatus as refused:
        print(refused.response.status_code)


asyncio.run(main(*sys.argv[1:]))
