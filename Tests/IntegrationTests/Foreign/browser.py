# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium on the echo page, over the DevTools protocol: URL, authority or `none`, home.

With a home folder its store is used as it is, and `trusted` stands for whatever is in it. With an authority: the page opens its socket on the same origin, a person's keys are typed, and what
comes back is read out of the page. Without: the browser must refuse to load it.
"""

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile

from websockets.asyncio.client import connect

url, authority = sys.argv[1:3]
home_given = sys.argv[3] if len(sys.argv) > 3 and sys.argv[3] else None
# The status that opens a socket: 101, or 200 within a connection of HTTP/2 (RFC 8441 §5).
opening_status = int(sys.argv[4]) if len(sys.argv) > 4 else 200


class Page:
    """A tab, and what it has reported."""

    def __init__(self, peer):
        self.peer = peer
        self.numbers = itertools.count(1)
        self.answers = {}
        self.events = []
        self.changed = asyncio.Condition()
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        async for text in self.peer:
            message = json.loads(text)
            async with self.changed:
                if "id" in message:
                    self.answers[message["id"]] = message
                else:
                    self.events.append(message)
                self.changed.notify_all()

    async def call(self, method, **parameters):
        number = next(self.numbers)
        await self.peer.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with self.changed:
            await self.changed.wait_for(lambda: number in self.answers)
        answer = self.answers[number]
        assert "error" not in answer, answer
        return answer["result"]

    async def value(self, expression):
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression):
        while not await self.value(expression):
            await asyncio.sleep(0.05)

    def reported(self, method):
        return [event["params"] for event in self.events if event["method"] == method]


async def use(page):
    for domain in ("Page", "Network", "Runtime", "Log"):
        await page.call(f"{domain}.enable")
    moved = await page.call("Page.navigate", url=url)
    if authority == "none":
        assert moved.get("errorText") == "net::ERR_CERT_AUTHORITY_INVALID", moved
        return
    assert "errorText" not in moved, moved
    await page.until("document.readyState === 'complete'")
    assert await page.value("document.title") == "Sluice echo"
    await page.until("document.getElementById('state').dataset.state === 'open'")
    upgrades = page.reported("Network.webSocketHandshakeResponseReceived")
    assert [upgrade["response"]["status"] for upgrade in upgrades] == [opening_status], upgrades
    opened = page.reported("Network.webSocketCreated")[0]["url"]
    assert opened == url.replace("https:", "wss:") + "Esv/ocp", opened
    await page.value("document.getElementById('text').select()")
    await page.call("Input.insertText", text="typed by hand")
    for kind in ("keyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                        windowsVirtualKeyCode=13, text="\r" if kind == "keyDown" else "")
    await page.until("document.querySelector('#log li span')?.textContent === 'typed by hand'")
    await page.value("document.getElementById('burst').click()")
    await page.until("document.querySelector('#log li span')?.textContent === '100 messages'")
    wrong = [entry for entry in page.reported("Log.entryAdded")
             if entry["entry"]["level"] == "error" and "favicon" not in entry["entry"].get("url", "")]
    wrong += page.reported("Runtime.exceptionThrown")
    assert not wrong, wrong


async def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        store = f"sql:{home}/.pki/nssdb"
        if not home_given:
            os.makedirs(f"{home}/.pki/nssdb")
            subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
        if authority != "none" and not home_given:
            subprocess.run(["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,",
                            "-i", authority], check=True)
        browser = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
             f"--user-data-dir={home}/profile", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "HOME": home_given or home})
        try:
            port = None
            for line in browser.stderr:
                if found := re.search(r"DevTools listening on ws://127.0.0.1:(\d+)/", line):
                    port = found.group(1)
                    break
            assert port, "the browser did not start"
            drain = asyncio.get_running_loop().run_in_executor(None, browser.stderr.read)
            import urllib.request
            targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list"))
            target = next(entry for entry in targets if entry["type"] == "page")
            async with connect(target["webSocketDebuggerUrl"], proxy=None, max_size=None) as peer:
                async with asyncio.timeout(90):
                    await use(Page(peer))
        finally:
            browser.terminate()
            try:
                browser.wait(20)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
        await drain


asyncio.run(main())
print("ok")
