# SPDX-License-Identifier: Apache-2.0
"""Asks for paths by http.client and by websockets, and prints what the app says it was asked for."""

import http.client
import ssl
import sys

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

port, authority, *paths = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
for path in paths:
    client = http.client.HTTPSConnection("localhost", int(port), context=context)
    client.request("GET", path)
    print("http.client", client.getresponse().read().decode())
    client.close()
    try:
        connect(f"wss://localhost:{port}{path}", ssl=context, open_timeout=60)
    except InvalidStatus as refused:
        print("websockets", refused.response.body.decode())
