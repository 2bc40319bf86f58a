# SPDX-License-Identifier: Apache-2.0
"""Opens a WebSocket with each origin by the websockets package, and prints how that went."""

import ssl
import sys

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

url, authority, *origins = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
for origin in origins:
    try:
        with connect(url, ssl=context, origin=origin, open_timeout=60):
            print(origin, "open")
    except InvalidStatus as refused:
        print(origin, refused.response.status_code)
