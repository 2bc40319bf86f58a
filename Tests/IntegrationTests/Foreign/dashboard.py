# SPDX-License-Identifier: Apache-2.0
"""The dashboard in headless Chromium, over 500 live relays: SLUICE FOLDER CA AXE [PICTURES].

CA and its files lie in FOLDER (chain.pem, key.pem). AXE is the script of axe-core. With PICTURES the pictures of the documents are
written there.
"""

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from chromium import open_tab
from peer import client, payload

program, folder, authority, axe = sys.argv[1:5]
pictures = sys.argv[5] if len(sys.argv) > 5 else None
TOKEN = "3f6c1d2a9b8e47051122aabbccddeeff"
RELAYS = 500
environment = {**os.environ, "HOME": folder, "TMPDIR": folder}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(*arguments):
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, env=environment)
    line = next(line for line in process.stdout if line.startswith("listening "))
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return process, int(line.split()[1].rsplit(":", 1)[1])


def until(tab, expression, seconds=90):
    end = time.monotonic() + seconds
    while not tab.value(expression):
        assert time.monotonic() < end, (expression, tab.value("document.body.innerText"))
        time.sleep(0.1)


class Swarm:
    """Relays that talk now and then, on a thread of their own."""

    def __init__(self, port):
        self.loop = asyncio.new_event_loop()
        self.port = port
        self.closed = []
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(300)

    async def converse(self, number, path):
        try:
            async with client(f"wss://localhost:{self.port}{path}", authority) as peer:
                self.opened += 1
                self.everybody.set() if self.opened == self.count else None
                for turn in range(1_000_000):
                    await peer.send(payload((number * 37 + turn * 11) % 1_500 + 1, number))
                    await peer.recv()
                    await asyncio.sleep(1 + number % 7 / 3 + (number % 11 == 0) * 5)
        except Exception as ending:  # However it ends, it is counted.
            self.closed.append((path, getattr(getattr(ending, "rcvd", None), "code", None)))

    def await_closed(self, count):
        """Those who pause hear of their end behind that."""
        end = time.monotonic() + 90
        while len(self.closed) < count:
            assert time.monotonic() < end, self.closed
            time.sleep(0.05)
        return list(self.closed)

    async def open(self, paths):
        self.everybody = asyncio.Event()
        self.opened, self.count = 0, len(paths)
        gate = asyncio.Semaphore(40)
        self.tasks = []
        for number, path in enumerate(paths):
            async with gate:
                self.tasks.append(asyncio.create_task(self.converse(number, path)))
                if number % 40 == 39:
                    await asyncio.sleep(0.05)
        await asyncio.wait_for(self.everybody.wait(), 120)


def press(tab, key, text="", shift=False):
    codes = {"Tab": 9, "Enter": 13, " ": 32, "Escape": 27, "/": 191}
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 if shift else 0,
                 text=text if kind == "keyDown" else "", windowsVirtualKeyCode=codes[key])


def picture(tab, name, width, height, scheme, mobile=False):
    if not pictures:
        return
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    time.sleep(2.5)
    data = tab.call("Page.captureScreenshot", format="png")["data"]
    with open(os.path.join(pictures, name), "wb") as file:
        file.write(base64.b64decode(data))


def audit(tab, where):
    """What axe-core finds, contrast and labels among it."""
    found = tab.value("axe.run(document, { resultTypes: ['violations'] })"
                      ".then(result => JSON.stringify(result.violations.map(one =>"
                      " ({ id: one.id, impact: one.impact, nodes: one.nodes.map(node => node.html + ' ' + node.failureSummary) }))))")
    assert json.loads(found) == [], (where, found)


# Whoever sees the page without colours or by ear: what axe can't know.
OWN_CHECKS = """
(() => {
  const faults = [];
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption?.textContent) faults.push(`no caption: ${table.id}`);
    for (const head of table.querySelectorAll("th")) if (!head.scope) faults.push(`no scope: ${head.textContent}`);
  }
  for (const canvas of document.querySelectorAll("canvas")) {
    if (canvas.getAttribute("aria-hidden") !== "true") faults.push("a canvas that is read out");
    if (!canvas.closest("figure").innerText.trim()) faults.push("a chart without words");
  }
  for (const control of document.querySelectorAll("button, input, select")) {
    const box = control.getBoundingClientRect();
    if (box.height && box.height < 24) faults.push(`too low: ${control.outerHTML}`);
  }
  return faults.join("\\n");
})()
"""

with contextlib.ExitStack() as stack:
    first, first_port = started("echo", "--listen", "127.0.0.1:0")
    second, second_port = started("echo", "--listen", "127.0.0.1:0")
    dead_port = free_port()
    admin_port = free_port()
    with open(f"{folder}/admin.token", "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(TOKEN + "\n")
    with open(f"{folder}/sluice.yaml", "w", encoding="utf-8") as file:
        file.write(f"""
listen:
  - address: "127.0.0.1:0"
    tls: {{ certificates: [{{ chain: chain.pem, key: key.pem }}] }}
upstreams:
  chat: {{ endpoints: ["ws://127.0.0.1:{first_port}", "ws://127.0.0.1:{second_port}"], balance: leastConnections }}
  prices: {{ endpoints: ["ws://127.0.0.1:{dead_port}", "ws://127.0.0.1:{first_port}"] }}
routes:
  - {{ path: /chat/*, to: chat, ping: {{ every: 2s, timeout: 30s }} }}
  - {{ path: /prices, to: prices, ping: {{ every: 3s, timeout: 30s, to: both }} }}
  - {{ path: /Esv/ocp, to: "ws://127.0.0.1:{second_port}" }}
  - {{ path: /health, respond: {{ body: well }} }}
admin: {{ socket: off, address: "127.0.0.1:{admin_port}", token: admin.token }}
timeouts: {{ clientHello: 5m, handshake: 5m, head: 10m, keepAlive: 10m }}
""")
    sluice, port = started("run", "-c", f"{folder}/sluice.yaml")
    for process in (first, second, sluice):
        stack.callback(process.wait)
        stack.callback(process.kill)
    swarm = Swarm(port)
    paths = [f"/chat/room-{number % 9}" if number % 5 < 3 else "/prices" if number % 5 == 3 else "/Esv/ocp"
             for number in range(RELAYS)]
    swarm.run(swarm.open(paths))

    # A name of somebody else's that stands for this machine, as in a rebinding.
    tab = stack.enter_context(open_tab(folder, seconds=400, switches=[
        "--host-resolver-rules=MAP evil.example 127.0.0.1"]))
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.call(f"{domain}.enable")
    tab.call("Emulation.setDeviceMetricsOverride", width=1440, height=1000, deviceScaleFactor=1, mobile=False)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    # The tools of the checks come in beside the page's own policy.
    with open(axe, encoding="utf-8") as file:
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=file.read())
    url = f"http://localhost:{admin_port}/"
    moved = tab.call("Page.navigate", url=url)
    assert "errorText" not in moved, moved
    until(tab, "document.getElementById('link')?.textContent === 'Live'")

    # What there is, by its figures and tables.
    until(tab, f"document.querySelector('#tile-relays .value').textContent === '{RELAYS}'")
    until(tab, "document.getElementById('relays-note').textContent === '50 of 500'")
    assert tab.value("document.querySelectorAll('#relays tbody tr').length") == 50
    routes = tab.value("[...document.querySelectorAll('#routes tbody tr')].map(row => row.innerText).join('|')")
    for name in ("/chat/*", "/prices", "/Esv/ocp", "/health"):
        assert name in routes, routes
    relays = dict((row["name"], row["relays"]) for row in tab.value(
        "[...document.querySelectorAll('#routes tbody tr')].map(row => ({ name: row.cells[0].textContent, relays: row.cells[3].textContent }))"))
    assert relays == {"/chat/*": "300", "/prices": "100", "/Esv/ocp": "100", "/health": "0"}, relays
    endpoints = tab.value("document.getElementById('endpoints').innerText")
    assert "failing" in endpoints and "ok" in endpoints and f":{dead_port}" in endpoints, endpoints
    assert "endpoint is not well" in tab.value("document.getElementById('alerts').innerText")
    assert "127.0.0.1" in tab.value("document.getElementById('clients').innerText")
    facts = tab.value("document.getElementById('facts').innerText")
    assert f"{sluice.pid}" in facts and "generation 1" in facts, facts

    # What moves: rates, charts and strips.
    until(tab, "/^[1-9]/.test(document.querySelector('#tile-messages .value').textContent)")
    until(tab, "/half ≤ .* 99 % ≤ /.test(document.querySelector('#strip-upMessage figcaption').innerText)")
    until(tab, "/half/.test(document.querySelector('#strip-clientPing figcaption').innerText)")
    before = tab.value("document.querySelector('#tile-messages canvas').toDataURL()")
    until(tab, f"document.querySelector('#tile-messages canvas').toDataURL() !== {json.dumps(before)}")
    inked = ("(id => { const c = document.querySelector(id); return c.getContext('2d').getImageData(0, 0, c.width, c.height)"
             ".data.some(value => value > 0); })")
    assert tab.value(f"{inked}('#tile-bytes canvas')") and tab.value(f"{inked}('#strip-downMessage canvas')")
    until(tab, "[...document.querySelectorAll('#relays tbody tr')].every(row => / B|kB/.test(row.innerText))")

    # The filter, the order and the number are the server's.
    tab.value("document.body.focus()")
    press(tab, "/", "/")
    assert tab.value("document.activeElement.id") == "filter"
    tab.call("Input.insertText", text="/PRICES h1")
    until(tab, "document.getElementById('relays-note').textContent === '50 of 100 that match, 500 in all'")
    assert tab.value("[...document.querySelectorAll('#relays tbody tr')].every(row => row.innerText.includes('/prices'))")
    tab.value("document.getElementById('filter').select()")
    tab.call("Input.insertText", text="nothing of the kind")
    until(tab, "document.getElementById('relays').innerText.includes('No live relay matches.')")
    tab.value("(() => { const f = document.getElementById('filter'); f.value = ''; f.dispatchEvent(new Event('input')); })()")
    tab.value("(() => { const s = document.getElementById('limit'); s.value = '1000'; s.dispatchEvent(new Event('change')); })()")
    until(tab, "document.querySelectorAll('#relays tbody tr').length === 500")
    assert tab.value("new Set([...document.querySelectorAll('#relays tbody tr')].map(row => row.cells[1].textContent)).size") == 500
    tab.value("(() => { const s = document.getElementById('limit'); s.value = '50'; s.dispatchEvent(new Event('change')); })()")
    until(tab, "document.querySelectorAll('#relays tbody tr').length === 50")

    # Nobody without the token does anything.
    assert tab.value("getComputedStyle(document.getElementById('reload')).display") == "none"
    assert tab.value("[...document.querySelectorAll('td.acts button')].every(button => !button.checkVisibility())")

    # Light and dark, wide and narrow: nothing sticks out, everything can be read and has a name.
    for scheme in ("light", "dark"):
        tab.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}])
        for width in (1440, 768, 360):
            tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == 360)
            assert tab.value("document.documentElement.scrollWidth") <= width, (scheme, width)
            audit(tab, (scheme, width))
            assert tab.value(OWN_CHECKS) == "", (width, tab.value(OWN_CHECKS))
    assert tab.value("getComputedStyle(document.querySelector('.pill'), '::before').transitionDuration") == "0s"
    tab.call("Emulation.setDeviceMetricsOverride", width=1440, height=1000, deviceScaleFactor=1, mobile=False)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])

    # By keyboard alone: a skip link first, then the controls; a dialog takes the focus and gives it back.
    assert tab.value("document.querySelector('a, button, input, select, [tabindex]').className") == "skip"
    tab.value("document.querySelector('.skip').focus()")
    assert tab.value("document.querySelector('.skip').getBoundingClientRect().left") >= 0
    press(tab, "Tab")
    assert tab.value("document.activeElement.id") == "unlock"
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(tab, "Enter", "\r")
    until(tab, "document.getElementById('token').open")
    assert tab.value("document.activeElement.id") == "token-text"
    audit(tab, "the dialog of the token")
    press(tab, "Escape")
    until(tab, "!document.getElementById('token').open && document.activeElement.id === 'unlock'")
    press(tab, "Enter", "\r")
    tab.call("Input.insertText", text="a-wrong-token-of-some-length")
    press(tab, "Enter", "\r")
    until(tab, "document.getElementById('token-fault').textContent === 'The token is not that of admin.token.'")
    assert tab.value("document.body.dataset.can") == "look"
    tab.value("document.getElementById('token-text').select()")
    tab.call("Input.insertText", text=TOKEN)
    press(tab, "Enter", "\r")
    until(tab, "document.body.dataset.can === 'act' && !document.getElementById('token').open")
    audit(tab, "with actions")
    # Long enough for charts to show something.
    end = time.monotonic() + 75
    while pictures and time.monotonic() < end:
        # What the browser reports meanwhile is taken.
        tab.value("0")
        time.sleep(0.2)
    if pictures:
        tab.value("document.activeElement.blur()")
    picture(tab, "dashboard-light.png", 1280, 1400, "light")
    picture(tab, "dashboard-dark.png", 1280, 900, "dark")
    picture(tab, "dashboard-phone.png", 390, 844, "dark", mobile=True)
    tab.call("Emulation.setDeviceMetricsOverride", width=1440, height=1000, deviceScaleFactor=1, mobile=False)

    def act(button, words, fields=()):
        """Clicks an action, answers its dialog, and waits for what the page says of it."""
        tab.value(f"document.querySelector({json.dumps(button)}).click()")
        until(tab, "document.getElementById('ask').open")
        for name, value in fields:
            tab.value(f"document.querySelector('#ask input[name={name}]').value = {json.dumps(value)}")
        tab.value("document.getElementById('ask-go').click()")
        until(tab, f"!document.getElementById('ask').open && document.getElementById('notes').innerText.includes({json.dumps(words)})")

    # Each action does what it says.
    act("#relays tbody button", "is told 3123", [("code", "3123")])
    until(tab, "document.querySelector('#tile-relays .value').textContent === '499'")
    assert [code for _, code in swarm.await_closed(1)] == [3123], swarm.closed
    act("#reload", "generation 2")
    until(tab, "document.getElementById('facts').innerText.includes('generation 2')")
    # A dialog that is refused says why, and stays.
    tab.value("document.querySelector('[aria-label=\"Drain route /Esv/ocp\"]').click()")
    tab.value("document.querySelector('#ask input[name=code]').value = '1005'")
    tab.value("document.getElementById('ask-go').click()")
    until(tab, "document.getElementById('ask-fault').textContent.includes('1000, 1001, 1012, 1013')")
    press(tab, "Escape")
    act("[aria-label='Drain route /Esv/ocp']", "Draining route /Esv/ocp", [("code", "1012"), ("reason", "moving")])
    until(tab, "!document.getElementById('drains-panel').hidden && /done/.test(document.getElementById('drains').innerText)")
    until(tab, "document.querySelector('[aria-label=\"Resume route /Esv/ocp\"]') !== null")
    assert {code for path, code in swarm.await_closed(100) if path == "/Esv/ocp"} <= {1012, 3123}, swarm.closed
    act("[aria-label='Resume route /Esv/ocp']", "takes new relays again")
    until(tab, "document.querySelector('[aria-label=\"Drain route /Esv/ocp\"]') !== null")
    act("[aria-label='Rebalance upstream chat']", "chat", [("perSecond", "5")])
    # A token that is taken back locks the page at the next action.
    with open(f"{folder}/admin.token", "w", encoding="utf-8") as file:
        file.write("another-token-since-then")
    tab.value("document.getElementById('reload').click()")
    tab.value("document.getElementById('ask-go').click()")
    until(tab, "document.getElementById('ask-fault').textContent === 'The token is not that of admin.token.'")
    assert tab.value("document.body.dataset.can") == "look"
    press(tab, "Escape")

    # Nothing was fetched but the page and what its buttons ask for, the token stands in no URL, and nothing was complained of.
    asked = [event["params"]["request"]["url"] for event in tab.events if event["method"] == "Network.requestWillBeSent"]
    assert all(one.startswith((url, "data:")) for one in asked), asked
    sockets = [event["params"]["url"] for event in tab.events if event["method"] == "Network.webSocketCreated"]
    assert set(sockets) == {f"ws://localhost:{admin_port}/live"}, sockets
    assert not [one for one in asked + sockets if TOKEN in one]
    refused = {f"{url}token", f"{url}reload", f"{url}drain"}
    complaints = [event for event in tab.events
                  if event["method"] == "Runtime.exceptionThrown"
                  or event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning", "assert")
                  # A browser notes each answer of 401 and 422, which were meant here.
                  or event["method"] == "Log.entryAdded" and event["params"]["entry"].get("url") not in refused]
    assert not complaints, complaints

    # Another page of this machine, and one whose name was bound to it, get nothing.
    generation = "document.getElementById('facts').innerText.match(/generation \\d+/)[0]"
    until(tab, f"{generation} === 'generation 2'")
    for place in (f"http://localhost:{first_port}/", f"http://127.0.0.1:{first_port}/", f"http://evil.example:{first_port}/"):
        moved = tab.call("Page.navigate", url=place)
        assert "errorText" not in moved, moved
        until(tab, f"location.href === {json.dumps(place)} && document.readyState === 'complete'")
        # The page's own policy would forbid all of it.
        tab.call("Page.setBypassCSP", enabled=True)
        tab.call("Page.reload")
        until(tab, "document.readyState === 'complete' && !!document.body")
        time.sleep(0.3)
        until(tab, "document.readyState === 'complete' && !!document.body")
        for name in ("localhost", "127.0.0.1", "evil.example"):
            target = f"{name}:{admin_port}"
            assert tab.value(f"fetch('http://{target}/live').then(answer => answer.text(), () => 'refused')") == "refused"
            tab.value(f"fetch('http://{target}/reload', {{ method: 'POST', mode: 'no-cors' }}).then(() => '', () => '')")
            assert tab.value(f"""new Promise(done => {{ const socket = new WebSocket('ws://{target}/live');
                socket.onopen = () => done('open'); socket.onerror = () => done('refused'); }})""") == "refused", (place, name)
            assert tab.value(f"""new Promise(done => {{ const frame = document.createElement('iframe');
                frame.src = 'http://{target}/'; frame.onload = () => {{
                try {{ done(frame.contentDocument ? 'seen' : 'refused'); }} catch {{ done('refused'); }} }};
                document.body.append(frame); }})""") == "refused"
        tab.call("Page.setBypassCSP", enabled=False)
    moved = tab.call("Page.navigate", url=f"http://evil.example:{admin_port}/")
    until(tab, "document.body?.innerText.includes('The Host field has to be')")
    request = urllib.request.Request(f"{url}live?limit=0")
    with urllib.request.urlopen(request) as answer:
        state = json.load(answer)
    assert state["configuration"]["generation"] == 2, state["configuration"]

    # The page finds its way back to the next process at the same place, and says what it sees.
    tab.call("Page.navigate", url=url)
    until(tab, "document.getElementById('link')?.textContent === 'Live'")
    sluice.send_signal(signal.SIGTERM)
    sluice.send_signal(signal.SIGTERM)
    time.sleep(0.7)
    sluice.kill()
    sluice.wait()
    until(tab, "/connecting again|trying again/.test(document.getElementById('link').textContent)")
    next_one, _ = started("run", "-c", f"{folder}/sluice.yaml")
    stack.callback(next_one.wait)
    stack.callback(next_one.kill)
    until(tab, "document.getElementById('link').textContent === 'Live'")
    until(tab, f"document.getElementById('facts').innerText.includes('{next_one.pid}')")
    assert "has taken over" in tab.value("document.getElementById('notes').innerText")
print("ok")
