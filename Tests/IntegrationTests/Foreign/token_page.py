# SPDX-License-Identifier: Apache-2.0
"""token_page.py PORT AUTHORITY HOME TOKEN: what a page in Chromium gets that asks for a WebSocket with a token among its
subprotocols: the subprotocol and an echo, or the code of its end."""

import os
import subprocess
import sys

from chromium import open_tab

port, authority, home, token = sys.argv[1:5]


def attempt(tab, path, protocols):
    return tab.value(f"""
        new Promise(done => {{
            const socket = new WebSocket("wss://localhost:{port}{path}", {protocols});
            socket.onopen = () => socket.send("hello");
            socket.onmessage = event => done(`${{socket.protocol}} ${{event.data}}`);
            socket.onclose = event => done(`closed with ${{event.code}}`);
        }})
    """)


store = f"sql:{home}/.pki/nssdb"
os.makedirs(f"{home}/.pki/nssdb")
subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
subprocess.run(["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,", "-i", authority], check=True)
with open_tab(home) as tab:
    for domain in ("Page", "Runtime"):
        tab.call(f"{domain}.enable")
    moved = tab.call("Page.navigate", url=f"https://localhost:{port}/page")
    assert "errorText" not in moved, moved
    own = f'"bearer.{token}"'
    # An app that grants one, and one that knows of none.
    print(attempt(tab, "/granting", f'["other", "ocpp1.6", {own}]'))
    print(attempt(tab, "/silent", f'["chat", {own}]'))
    print(attempt(tab, "/silent", f"[{own}]"))
    print(attempt(tab, "/silent", '["chat"]'))
