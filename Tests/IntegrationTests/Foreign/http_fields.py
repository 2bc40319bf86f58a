# SPDX-License-Identifier: Apache-2.0
"""http_fields.py URL AUTHORITY: asks with http.client and prints the status and the fields."""

import http.client
import ssl
import sys
from urllib.parse import urlsplit

url, authority = sys.argv[1:]
parts = urlsplit(url)
connection = http.client.HTTPSConnection(
    parts.hostname, parts.port, context=ssl.create_default_context(cafile=authority))
connection.request("GET", parts.path)
answer = connection.getresponse()
body = answer.read()
print(answer.status, answer.reason)
for name, value in answer.getheaders():
    print(f"{name}={value!r}")
print("body", body.decode())
