# SPDX-License-Identifier: Apache-2.0
"""A tab of headless Firefox over WebDriver BiDi, for scripts that do one thing after the other."""

import contextlib
import json
import os
import re
import subprocess
import threading

from websockets.sync.client import connect


class Tab:
    """Commands and what is reported meanwhile."""

    def __init__(self, peer):
        self.peer = peer
        self.number = 0
        self.events = []
        self.done("session.new", capabilities={})
        tree = self.done("browsingContext.getTree")
        self.context = tree["contexts"][0]["context"]

    def call(self, method, **parameters):
        """The answer, which may be an error; reports are kept."""
        self.number += 1
        self.peer.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while (message := self.receive()).get("id") != self.number:
            pass
        return message

    def receive(self):
        """The next message; reports are kept."""
        message = json.loads(self.peer.recv(timeout=500))
        if "id" not in message:
            self.events.append(message)
        return message

    def done(self, method, **parameters):
        answer = self.call(method, **parameters)
        assert answer["type"] == "success", answer
        return answer["result"]

    def navigate(self, url):
        """The answer, once the page has loaded or has failed to."""
        return self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def value(self, expression):
        """What an expression gives in the page, once its promise is kept."""
        result = self.done("script.evaluate", expression=expression, awaitPromise=True,
                           target={"context": self.context})
        assert result["type"] == "success", result
        return result["result"].get("value")


@contextlib.contextmanager
def open_tab(home, seconds=150, **preferences):
    """A browser whose home, and with it the profile and its store of authorities, is that folder.

    Dots in the names of preferences are written as `__`, and hyphens as `_`.
    """
    profile = f"{home}/.mozilla/firefox/test.default-release"
    os.makedirs(profile, exist_ok=True)
    with open(f"{profile}/user.js", "w", encoding="utf-8") as file:
        for name, value in preferences.items():
            name = name.replace("__", ".").replace("_", "-")
            file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
    browser = subprocess.Popen(
        ["firefox-esr", "--headless", "--no-remote", "--profile", profile,
         "--remote-debugging-port", "0", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"})
    timer = threading.Timer(seconds, browser.kill)
    timer.start()
    try:
        place = next(filter(None, (re.search(r"WebDriver BiDi listening on (ws://\S+)", line)
                                   for line in browser.stderr))).group(1)
        threading.Thread(target=browser.stderr.read, daemon=True).start()
        with connect(f"{place}/session", proxy=None, max_size=None) as peer:
            tab = Tab(peer)
            yield tab
            # An end in order, so that the profile's files are whole.
            tab.call("browser.close")
        browser.wait(30)
    finally:
        timer.cancel()
        browser.kill()
        browser.wait()


def trust(home, authority):
    """Puts an authority into the store of the profile in that home."""
    profile = f"{home}/.mozilla/firefox/test.default-release"
    os.makedirs(profile, exist_ok=True)
    subprocess.run(["certutil", "-N", "-d", f"sql:{profile}", "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", f"sql:{profile}", "-n", "test", "-t", "C,,",
                    "-i", authority], check=True)
