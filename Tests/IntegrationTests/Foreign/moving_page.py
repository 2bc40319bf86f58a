# SPDX-License-Identifier: Apache-2.0
"""moving_page.py PORT AUTHORITY FILE COUNT: a page whose sockets echo all the time, until FILE is there.

Headless Chromium. Prints `ready` when each socket has echoed, and `ok` with the number of messages when none has
been closed and each answer was what had been sent.
"""

import os
import subprocess
import sys
import tempfile
import time

from chromium import open_tab

port, authority, file, count = sys.argv[1:]
SOCKETS = """
    window.state = { echoed: new Array(COUNT).fill(0), faults: [], isOver: false };
    for (let index = 0; index < COUNT; index++) {
        const socket = new WebSocket("wss://localhost:PORT/Esv/ocp");
        let sent = "";
        const next = () => {
            sent = index + ":" + state.echoed[index] + ":" + "x".repeat((state.echoed[index] * 997) % 70000);
            socket.send(sent);
        };
        socket.onopen = next;
        socket.onmessage = (event) => {
            if (event.data !== sent) state.faults.push("not what was sent: " + event.data.slice(0, 40));
            state.echoed[index]++;
            if (!state.isOver) next();
        };
        socket.onclose = (event) => state.faults.push("closed with " + event.code);
        socket.onerror = () => state.faults.push("an error");
    }
""".replace("PORT", port).replace("COUNT", count)

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    store = f"sql:{home}/.pki/nssdb"
    os.makedirs(f"{home}/.pki/nssdb")
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,", "-i", authority],
                   check=True)
    with open_tab(home) as tab:
        tab.call("Page.enable")
        # An answer of whatever status, for the origin of the sockets.
        moved = tab.call("Page.navigate", url=f"https://localhost:{port}/")
        assert "errorText" not in moved, moved
        tab.value(SOCKETS)
        while tab.value("Math.min(...state.echoed)") == 0:
            assert tab.value("state.faults") == []
            time.sleep(0.02)
        print("ready", flush=True)
        while not os.path.exists(file):
            time.sleep(0.02)
        # Each goes on behind it.
        at_end = tab.value("state.echoed")
        while min(now - then for now, then in zip(tab.value("state.echoed"), at_end)) < 3:
            assert tab.value("state.faults") == [], tab.value("state.faults")
            time.sleep(0.02)
        assert tab.value("state.faults") == [], tab.value("state.faults")
        print("ok", sum(tab.value("state.echoed")))
