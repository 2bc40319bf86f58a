# SPDX-License-Identifier: Apache-2.0
"""Sockets of a page within the HTTP/2 connection that brought it: `chromium` or `firefox`, port, authority, task.

The page is at /, a socket that echoes and closes itself with 4000 when it is told `close` at /socket, and
one that is refused at /refused. Each socket must be one of HTTP/2, by what the browser itself reports, and
end cleanly. Prints the protocol of each socket that has opened, once for all that are the same.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

import chromium
import firefox_tab

name, port, authority, task = sys.argv[1:5]
page = f"https://localhost:{port}/"
SOCKETS = """
    const url = path => location.origin.replace("https:", "wss:") + path
    // One socket: opened, used and closed by either side; what its close event says.
    window.one = (path, closer) => new Promise(resolve => {
        const socket = new WebSocket(url(path))
        let echoed = ""
        socket.onopen = () => socket.send("hello")
        socket.onmessage = event => {
            echoed = event.data
            if (closer === "server") socket.send("close"); else socket.close(1000, "done")
        }
        socket.onclose = event => resolve([echoed, event.code, event.wasClean].join(" "))
    })
    window.row = async (count, path, closer) => {
        const said = []
        for (let index = 0; index < count; index++) said.push(await one(path, closer))
        return [...new Set(said)].join(", ")
    }
    window.together = async (count, path, closer) => {
        const all = Array.from({ length: count }, () => one(path, closer))
        return [...new Set(await Promise.all(all))].join(", ")
    }
    // One that is held; what is sent later comes back, and its end is told by the same promise.
    window.hold = path => new Promise((resolve, reject) => {
        const socket = new WebSocket(url(path))
        socket.onopen = () => resolve(socket)
        socket.onclose = event => reject(new Error("closed: " + event.code))
    })
    window.use = socket => new Promise(resolve => {
        if (socket.readyState !== 1) resolve("state " + socket.readyState)
        socket.onmessage = event => { socket.close(1000); window.echoed = event.data }
        socket.onclose = event => resolve([window.echoed, event.code, event.wasClean].join(" "))
        socket.send("still here")
    })
    true
"""


class Chromium:
    """Reports the status of each handshake: 200 is that of RFC 8441 §5."""

    @contextlib.contextmanager
    def open(self, home, seconds):
        os.makedirs(f"{home}/.pki/nssdb")
        for command in (["-N", "--empty-password"], ["-A", "-n", "test", "-t", "C,,", "-i", authority]):
            subprocess.run(["certutil", "-d", f"sql:{home}/.pki/nssdb", *command], check=True)
        with chromium.open_tab(home, seconds) as self.tab:
            for domain in ("Page", "Network", "Runtime"):
                self.tab.call(f"{domain}.enable")
            yield self

    def load(self):
        moved = self.tab.call("Page.navigate", url=page)
        assert "errorText" not in moved, moved
        while self.value("document.readyState") != "complete":
            time.sleep(0.02)

    def value(self, expression):
        return self.tab.value(expression)

    def protocols(self):
        """What the opened sockets spoke."""
        answers = [event["params"]["response"]["status"] for event in self.tab.events
                   if event["method"] == "Network.webSocketHandshakeResponseReceived"]
        return [{200: "h2", 101: "http/1.1"}[status] for status in answers]


class Firefox:
    """Reports the protocol of each handshake's answer."""

    @contextlib.contextmanager
    def open(self, home, seconds):
        firefox_tab.trust(home, authority)
        # Else it waits longer and longer before it tries a host again that has refused it.
        with firefox_tab.open_tab(
                home, seconds, network__websocket__delay_failed_reconnects=False) as self.tab:
            self.tab.done("session.subscribe", events=["network.responseStarted"])
            yield self

    def load(self):
        moved = self.tab.navigate(page)
        assert moved["type"] == "success", moved

    def value(self, expression):
        return self.tab.value(expression)

    def protocols(self):
        answers = [event["params"]["response"] for event in self.tab.events
                   if event["method"] == "network.responseStarted"]
        return [answer["protocol"] for answer in answers
                if answer["url"].endswith(("/socket", "/pinged")) and answer["status"] in (101, 200)]


def sockets(browser):
    """Opened and closed one behind the other and together, with refused ones between them."""
    assert browser.value("row(5, '/socket', 'page')") == "hello 1000 true"
    assert browser.value("row(5, '/socket', 'server')") == "hello 4000 true"
    # Thirty that are refused do not hang the next one, nor take the browser's trust in HTTP/2.
    assert browser.value("row(30, '/refused', 'page')") == " 1006 false"
    assert browser.value("together(50, '/socket', 'page')") == "hello 1000 true"
    assert browser.value("together(20, '/socket', 'server')") == "hello 4000 true"
    assert browser.value("row(1, '/socket', 'page')") == "hello 1000 true"
    return 81


def beside(browser):
    """Sockets that the page's connection does not carry, one behind the other and together."""
    assert browser.value("row(3, '/socket', 'page')") == "hello 1000 true"
    assert browser.value("together(10, '/socket', 'page')") == "hello 1000 true"
    return 13


def soak(browser):
    """Two sockets, one of them on a route with pings, say nothing for longer than Firefox's five minutes."""
    assert browser.value("""(async () => {
        window.idle = await hold("/socket"); window.pinged = await hold("/pinged"); return "open"
    })()""") == "open"
    print("open", flush=True)
    began = time.monotonic()
    # The page waits, and a browser that has gone meanwhile is noticed.
    while time.monotonic() - began < 370:
        assert browser.value("new Promise(resolve => setTimeout(() => resolve('over'), 20_000))") == "over"
    assert browser.value("use(window.idle)") == "still here 1000 true"
    assert browser.value("use(window.pinged)") == "still here 1000 true"
    return 2


with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    with {"chromium": Chromium, "firefox": Firefox}[name]().open(home, 500 if task == "soak" else 150) as browser:
        browser.load()
        assert browser.value("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        assert browser.value(SOCKETS) is True
        count = globals()[task](browser)
        protocols = browser.protocols()
        assert len(protocols) == count, (len(protocols), count)
        print("sockets", count, *sorted(set(protocols)))
