# SPDX-License-Identifier: Apache-2.0
"""Headless Firefox on the echo page, over WebDriver BiDi: URL, `none` or `trusted`, home.

The browser uses the profile of that home, which the first start makes. Trusted: the page opens its
socket on the same origin, a person's keys are typed, and what comes back is read out of the page. None:
the browser must refuse to load it, and a socket opened elsewhere must fail.
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys

from websockets.asyncio.client import connect

url, state, home = sys.argv[1:4]
profile = f"{home}/.mozilla/firefox/test.default-release"
socket_url = url.replace("https:", "wss:") + "Esv/ocp"


class Browser:
    """A session with one tab."""

    def __init__(self, peer):
        self.peer = peer
        self.numbers = itertools.count(1)
        self.tab = None

    async def call(self, method, **parameters):
        number = next(self.numbers)
        await self.peer.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async for text in self.peer:
            answer = json.loads(text)
            if answer.get("id") == number:
                return answer

    async def done(self, method, **parameters):
        answer = await self.call(method, **parameters)
        assert answer["type"] == "success", answer
        return answer["result"]

    async def value(self, expression):
        result = await self.done("script.evaluate", expression=expression, awaitPromise=True,
                                 target={"context": self.tab})
        assert result["type"] == "success", result
        return result["result"].get("value")

    async def until(self, expression):
        while not await self.value(expression):
            await asyncio.sleep(0.05)

    async def keys(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self.done("input.performActions", context=self.tab,
                        actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    async def echo(self):
        """What a socket opened by the present page says, or that it failed."""
        return await self.value(f"""new Promise(resolve => {{
            const socket = new WebSocket({json.dumps(socket_url)})
            socket.onopen = () => socket.send("by hand")
            socket.onmessage = event => resolve(event.data)
            socket.onerror = () => resolve("failed")
        }})""")


async def use(browser):
    await browser.done("session.new", capabilities={})
    tree = await browser.done("browsingContext.getTree")
    browser.tab = tree["contexts"][0]["context"]
    moved = await browser.call("browsingContext.navigate", context=browser.tab, url=url,
                               wait="complete")
    if state == "none":
        assert moved["type"] == "error", moved
        assert "UNKNOWN_ISSUER" in json.dumps(moved), moved
        await browser.done("browsingContext.navigate", context=browser.tab, url="about:blank",
                           wait="complete")
        assert await browser.echo() == "failed"
        return
    assert moved["type"] == "success", moved
    assert await browser.value("document.title") == "Sluice echo"
    await browser.until("document.getElementById('state').dataset.state === 'open'")
    await browser.value("document.getElementById('text').select()")
    await browser.keys(*"typed by hand", "\uE007")
    await browser.until("document.querySelector('#log li span')?.textContent === 'typed by hand'")
    assert await browser.echo() == "by hand"


async def main():
    os.makedirs(profile, exist_ok=True)
    browser = subprocess.Popen(
        ["firefox-esr", "--headless", "--no-remote", "--profile", profile,
         "--remote-debugging-port", "0", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"})
    try:
        place = None
        for line in browser.stderr:
            if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
                place = found.group(1)
                break
        assert place, "the browser did not start"
        drain = asyncio.get_running_loop().run_in_executor(None, browser.stderr.read)
        async with connect(f"{place}/session", proxy=None, max_size=None) as peer:
            async with asyncio.timeout(90):
                tab = Browser(peer)
                await use(tab)
                # An end in order, so that the profile's files are whole.
                await tab.call("browser.close")
        browser.wait(30)
    finally:
        browser.kill()
        browser.wait()
    await drain


asyncio.run(main())
print("ok")
