# SPDX-License-Identifier: Apache-2.0
"""certified_keepalive.py PORT CA CERTIFICATE:KEY FILE: two requests on one connection; between them a file has to appear."""
import http.client
import os
import ssl
import sys
import time

port, authority, client, file = sys.argv[1:]
made = ssl.create_default_context(cafile=authority)
made.load_cert_chain(*client.split(":"))
peer = http.client.HTTPSConnection("localhost", int(port), context=made)
for number in range(2):
    if number == 1:
        while not os.path.exists(file):
            time.sleep(0.01)
    peer.request("GET", "/who")
    answer = peer.getresponse()
    answer.read()
    print(answer.status, answer.getheader("Connection"))
