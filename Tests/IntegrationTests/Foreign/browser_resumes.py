# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium that opens one WebSocket after the other: PORT, AUTHORITY, COUNT.

Each is a connection of its own, with a TLS handshake of its own. Prints `ok` when all have echoed.
"""

import os
import subprocess
import sys
import tempfile

from chromium import open_tab

port, authority, count = sys.argv[1:]
SOCKETS = """
    (async () => {
        for (let number = 0; number < COUNT; number++) {
            await new Promise((done, failed) => {
                const socket = new WebSocket("wss://localhost:PORT/socket");
                socket.onopen = () => socket.send("hello " + number);
                socket.onmessage = () => socket.close(1000);
                socket.onclose = (event) =>
                    event.code === 1000 ? done() : failed(new Error("closed " + event.code));
            });
        }
        return "all";
    })()
""".replace("PORT", port).replace("COUNT", count)

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    store = f"sql:{home}/.pki/nssdb"
    os.makedirs(f"{home}/.pki/nssdb")
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,", "-i", authority],
                   check=True)
    with open_tab(home) as tab:
        tab.call("Page.enable")
        moved = tab.call("Page.navigate", url=f"https://localhost:{port}/")
        assert "errorText" not in moved, moved
        assert tab.value(SOCKETS) == "all"
print("ok")
