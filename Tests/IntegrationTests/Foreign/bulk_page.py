# SPDX-License-Identifier: Apache-2.0
"""A page sends binary messages and compares what comes back: `chromium` or `firefox`, PORT, AUTHORITY, COUNT, BYTES.

Random bytes, two messages on their way at a time, so that both directions are busy at once. The page is at /, the
socket that echoes at /socket. BYTES is a multiple of 65,536.
"""

import contextlib
import os
import subprocess
import sys
import tempfile

import chromium
import firefox_tab

name, port, authority, count, size = sys.argv[1:]
page = f"https://localhost:{port}/"
EXCHANGE = """
    new Promise((resolve) => {
        const socket = new WebSocket("wss://localhost:PORT/socket")
        socket.binaryType = "arraybuffer"
        const sent = []
        let left = COUNT, echoed = 0, buffered = 0
        const send = () => {
            if (left-- <= 0) return
            const bytes = new Uint8Array(SIZE)
            // So many at once are what browsers give.
            for (let at = 0; at < SIZE; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536))
            sent.push(new BigUint64Array(bytes.buffer))
            socket.send(bytes)
            buffered = Math.max(buffered, socket.bufferedAmount)
        }
        socket.onopen = () => { send(); send() }
        socket.onmessage = (event) => {
            const expected = sent.shift(), found = new BigUint64Array(event.data)
            if (found.length !== expected.length || !found.every((value, at) => value === expected[at]))
                return resolve("message " + echoed + " came back as another one")
            echoed++
            send()
            if (sent.length === 0) socket.close(1000)
        }
        socket.onclose = (event) => resolve(
            event.code !== 1000 ? "closed with " + event.code + " after " + echoed
            : buffered > 3 * SIZE ? "too much was sent at once: " + buffered
            : echoed + " messages of SIZE bytes came back")
    })
""".replace("PORT", port).replace("COUNT", count).replace("SIZE", size)


@contextlib.contextmanager
def open_chromium(home):
    os.makedirs(f"{home}/.pki/nssdb")
    for command in (["-N", "--empty-password"], ["-A", "-n", "test", "-t", "C,,", "-i", authority]):
        subprocess.run(["certutil", "-d", f"sql:{home}/.pki/nssdb", *command], check=True)
    with chromium.open_tab(home, 280) as tab:
        tab.call("Page.enable")
        moved = tab.call("Page.navigate", url=page)
        assert "errorText" not in moved, moved
        while tab.value("document.title") != "page":
            pass
        yield tab


@contextlib.contextmanager
def open_firefox(home):
    firefox_tab.trust(home, authority)
    with firefox_tab.open_tab(home, 280) as tab:
        moved = tab.navigate(page)
        assert moved["type"] == "success", moved
        yield tab


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    with {"chromium": open_chromium, "firefox": open_firefox}[name](home) as tab:
        print(tab.value(EXCHANGE))
