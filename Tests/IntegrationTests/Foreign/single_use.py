# SPDX-License-Identifier: Apache-2.0
"""A client that uses every session ticket once, as browsers do.

usage: single_use.py PORT AUTHORITY FOLDER COUNT

Makes COUNT connections with one request each and prints for each whether it was resumed. Behind the
third it prints `waiting` and goes on when FOLDER/go is there.
"""

import os
import socket
import ssl
import sys
import time

port, authority, folder, count = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = ssl.TLSVersion.TLSv1_3
session = None
for number in range(int(count)):
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as connection:
        with context.wrap_socket(
            connection, server_hostname="localhost", session=session
        ) as stream:
            print("resumed" if stream.session_reused else "full", flush=True)
            stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            # The ticket comes with the answer.
            while stream.recv(65536):
                pass
            before, session = session, stream.session
            if before is not None and before.id == session.id:
                # What has been used is not used again.
                session = None
    if number == 2:
        print("waiting", flush=True)
        while not os.path.exists(f"{folder}/go"):
            time.sleep(0.02)
