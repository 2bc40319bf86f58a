# SPDX-License-Identifier: Apache-2.0
"""From the built program to a trusted echo in Chromium: the program; in a network of its own.

A person has an app on port 3000 and a home without anything of Sluice's. The two commands are given,
and a page in the browser gets its message back. The time runs from the first command to that message,
the start of the browser included, and is printed: it decides nothing.
"""

import os
import subprocess
import sys
import tempfile
import time

from chromium import open_tab

program = sys.argv[1]
SOCKET = """
    new Promise((done, failed) => {
        const socket = new WebSocket("wss://localhost:8443/chat");
        socket.onopen = () => socket.send("hello");
        socket.onmessage = (event) => done(event.data);
        socket.onerror = () => failed(new Error("the socket failed"));
    })
"""

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    environment = {"HOME": home, "PATH": os.environ["PATH"]}
    running = []
    try:
        app = subprocess.Popen([program, "echo", "--listen", "127.0.0.1:3000"],
                               stdout=subprocess.PIPE, text=True)
        running.append(app)
        assert app.stdout.readline().startswith("listening")
        began = time.monotonic()
        proxy = subprocess.Popen([program, "3000"], env=environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        running.append(proxy)
        while not (line := proxy.stdout.readline()).startswith("route"):
            assert line, "it did not start"
        # For root the system's store would be written, too: that of the machine is left alone.
        store = ["--only", "browsers"] if os.getuid() == 0 else []
        subprocess.run([program, "cert", "trust", *store], env=environment, check=True,
                       stdout=subprocess.DEVNULL)
        trusted = time.monotonic()
        with open_tab(home) as tab:
            tab.call("Page.enable")
            moved = tab.call("Page.navigate", url="https://localhost:8443/")
            assert "errorText" not in moved, moved
            assert tab.value(SOCKET) == "hello"
            took = time.monotonic() - began
        print(f"two commands {trusted - began:.2f} s, trusted echo after {took:.2f} s")
    finally:
        for process in running:
            process.kill()
            process.wait()
print("ok")
