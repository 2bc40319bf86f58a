# SPDX-License-Identifier: Apache-2.0
"""Posts three times on one connection, each time with a CRLF behind the body that no length counts."""

import http.client
import ssl
import sys

port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
client = http.client.HTTPSConnection("localhost", int(port), context=context)
for _ in range(3):
    client.request("POST", "/", body=b"name=value\r\n", headers={"Content-Length": "10"})
    answer = client.getresponse()
    print(answer.status, answer.read().decode())
