# SPDX-License-Identifier: Apache-2.0
"""A tab of headless Chromium over the DevTools protocol, for scripts that do one thing after the other."""

import contextlib
import json
import os
import re
import subprocess
import threading
import urllib.request

from websockets.sync.client import connect


class Tab:
    """Commands and what is reported meanwhile."""

    def __init__(self, peer):
        self.peer = peer
        self.number = 0
        self.events = []

    def call(self, method, **parameters):
        self.number += 1
        self.peer.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while (message := self.receive()).get("id") != self.number:
            pass
        assert "error" not in message, message
        return message["result"]

    def receive(self):
        """The next message; reports are kept."""
        message = json.loads(self.peer.recv(timeout=120))
        if "id" not in message:
            self.events.append(message)
        return message

    def value(self, expression):
        """What an expression gives in the page, once its promise is kept."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")


@contextlib.contextmanager
def open_tab(home, seconds=150, switches=(), display=None, wrapper=()):
    """A browser whose home, and with it the store of authorities, is that folder; with further switches.

    Headless, or with a window on that display of X. `wrapper` stands in front of it on the command line.
    """
    shown = {"DISPLAY": display} if display else {}
    browser = subprocess.Popen(
        [*wrapper, "chromium", *([] if display else ["--headless=new"]), "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={home}/profile",
         *switches, "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **shown, "HOME": home})
    timer = threading.Timer(seconds, browser.kill)
    timer.start()
    try:
        place = next(filter(None, (re.search(r"listening on ws://([\d.:]+)/", line)
                                   for line in browser.stderr))).group(1)
        threading.Thread(target=browser.stderr.read, daemon=True).start()
        with urllib.request.urlopen(f"http://{place}/json/list") as targets:
            target = next(entry for entry in json.load(targets) if entry["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], proxy=None, max_size=None,
                     # A script that looks away for a while does not read its pongs.
                     ping_interval=None) as peer:
            yield Tab(peer)
    finally:
        timer.cancel()
        browser.kill()
        browser.wait()
