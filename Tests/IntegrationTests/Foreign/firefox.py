# SPDX-License-Identifier: Apache-2.0
"""Headless Firefox on the echo page, over WebDriver BiDi: URL, `none` or `trusted`, home.

The browser uses the profile of that home, which the first start makes. Trusted: the page opens its
socket on the same origin, a person's keys are typed, and what comes back is read out of the page. None:
the browser must refuse to load it, and a socket opened elsewhere must fail.
"""

import json
import sys
import time

from firefox_tab import open_tab

url, state, home = sys.argv[1:4]
socket_url = url.replace("https:", "wss:") + "Esv/ocp"
ECHO = f"""new Promise(resolve => {{
    const socket = new WebSocket({json.dumps(socket_url)})
    socket.onopen = () => socket.send("by hand")
    socket.onmessage = event => resolve(event.data)
    socket.onerror = () => resolve("failed")
}})"""


def until(tab, expression):
    while not tab.value(expression):
        time.sleep(0.05)


def keys(tab, *keys):
    actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    tab.done("input.performActions", context=tab.context,
             actions=[{"type": "key", "id": "keyboard", "actions": actions}])


with open_tab(home) as tab:
    moved = tab.navigate(url)
    if state == "none":
        assert moved["type"] == "error", moved
        assert "UNKNOWN_ISSUER" in json.dumps(moved), moved
        assert tab.navigate("about:blank")["type"] == "success"
        assert tab.value(ECHO) == "failed"
    else:
        assert moved["type"] == "success", moved
        assert tab.value("document.title") == "Sluice echo"
        until(tab, "document.getElementById('state').dataset.state === 'open'")
        tab.value("document.getElementById('text').select()")
        keys(tab, *"typed by hand", "\uE007")
        until(tab, "document.querySelector('#log li span')?.textContent === 'typed by hand'")
        assert tab.value(ECHO) == "by hand"
print("ok")
