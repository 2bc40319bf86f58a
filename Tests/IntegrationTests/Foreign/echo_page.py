# SPDX-License-Identifier: Apache-2.0
"""The echo page in headless Chromium, as a person uses it: SLUICE HOME, where HOME has the authority.

Narrow and wide, dark and light, by keyboard alone; text and bytes; the app ends and comes back.
"""

import contextlib
import os
import subprocess
import sys
import time

from chromium import open_tab

program, home = sys.argv[1:3]
environment = {**os.environ, "HOME": home, "XDG_DATA_HOME": f"{home}/data", "TMPDIR": home}


@contextlib.contextmanager
def running(*arguments):
    """A server, and the port that it listens on."""
    process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.DEVNULL, env=environment)
    try:
        line = next(line for line in process.stdout if line.startswith("listening "))
        yield int(line.split()[1].rsplit(":", 1)[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def until(tab, expression):
    end = time.monotonic() + 90
    while not tab.value(expression):
        assert time.monotonic() < end, (expression, tab.value("document.body.innerText"))
        time.sleep(0.05)


def press(tab, key, text=""):
    codes = {"Tab": 9, "Enter": 13, " ": 32}
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, text=text if
                 kind == "keyDown" else "", windowsVirtualKeyCode=codes[key])


def focused(tab):
    return tab.value("document.activeElement.id")


CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = color => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const ground = light(dark ? "#121212" : "#ffffff");
  return ["state", "facts", "doctor"].map(id => {
    const ink = light(getComputedStyle(document.getElementById(id)).color);
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  });
})()
"""

with contextlib.ExitStack() as stack:
    first_app = stack.enter_context(contextlib.ExitStack())
    app_port = first_app.enter_context(running("echo", "--listen", "127.0.0.1:0"))
    port = stack.enter_context(running(str(app_port), "--listen", "127.0.0.1:0", "--no-check"))
    # A front that tells the app nothing, with the certificate that quick mode has made.
    with open(f"{home}/bare.yaml", "w", encoding="utf-8") as file:
        file.write(f"""
            listen:
              - address: 127.0.0.1:0
                tls: {{ certificates: [{{ chain: data/sluice/localhost.pem, key: data/sluice/localhost-key.pem }}] }}
            routes: [{{ path: /*, to: "ws://127.0.0.1:{app_port}" }}]
            """)
    bare_port = stack.enter_context(running("run", "-c", f"{home}/bare.yaml"))
    tab = stack.enter_context(open_tab(home))
    for domain in ("Page", "Runtime", "Log"):
        tab.call(f"{domain}.enable")
    moved = tab.call("Page.navigate", url=f"https://localhost:{port}/")
    assert "errorText" not in moved, moved
    until(tab, "document.getElementById('state')?.dataset.state === 'open'")

    # What the socket is.
    facts = tab.value("document.getElementById('facts').innerText")
    assert f"wss://localhost:{port}/Esv/ocp" in facts, facts
    # As Sluice's own log says it.
    assert "TLS\nTLSv1.3, X25519" in facts and ", TLS_AES_" in facts, facts
    assert "h2, agreed on by ALPN" in facts, facts
    # What a page can't know, it does not claim.
    assert "no page is told whether its certificate is trusted" in facts, facts
    assert "came by h2" in facts, facts
    assert f"sluice doctor wss://localhost:{port}/Esv/ocp" in tab.value("document.body.innerText")
    assert "sluice 3000" in tab.value("document.body.innerText")

    # Without Sluice in front nothing is claimed.
    for origin, words in [
            (f"http://localhost:{app_port}", "none: everybody on the way can read and change this (ws)"),
            (f"https://localhost:{bare_port}", "nothing in front of the app told it the version")]:
        moved = tab.call("Page.navigate", url=f"{origin}/")
        assert "errorText" not in moved, moved
        until(tab, f"location.origin === '{origin}' &&"
                   " document.getElementById('state')?.dataset.state === 'open'")
        alone = tab.value("document.getElementById('facts').innerText")
        assert words in alone and "TLSv1" not in alone and "ALPN" not in alone, alone
        assert ("see the address bar" in alone) == origin.startswith("https:"), alone
        tab.value("document.getElementById('send').click()")
        until(tab, "document.querySelector('#log li span')?.textContent === 'hello'")
    tab.call("Page.navigate", url=f"https://localhost:{port}/")
    until(tab, f"location.port === '{port}' &&"
               " document.getElementById('state')?.dataset.state === 'open'")

    # Narrow and wide, light and dark: nothing sticks out, and everything can be read.
    for width in (320, 1280):
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=800,
                 deviceScaleFactor=1, mobile=False)
        assert tab.value("document.documentElement.scrollWidth") <= width
        tops = tab.value("['text', 'send'].map(id => document.getElementById(id)"
                         ".getBoundingClientRect().top)")
        assert (abs(tops[0] - tops[1]) < 20) == (width == 1280), (width, tops)
    for scheme in ("light", "dark"):
        tab.call("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])
        assert min(tab.value(CONTRAST)) >= 4.5, (scheme, tab.value(CONTRAST))

    # By keyboard: every control is reached in its order, Enter sends text, the space bar bytes.
    tab.value("document.getElementById('path').focus()")
    order = ["path"]
    for _ in range(6):
        press(tab, "Tab")
        order.append(focused(tab))
    assert order == ["path", "connect", "end", "text", "send", "bytes", "burst"], order
    tab.value("document.getElementById('text').select()")
    tab.call("Input.insertText", text="héllo")
    press(tab, "Enter", "\r")
    until(tab, "document.querySelector('#log li span')?.textContent === 'héllo'")
    for _ in range(2):
        press(tab, "Tab")
    assert focused(tab) == "bytes"
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(tab, " ", " ")
    until(tab, "document.querySelector('#log li span')?.textContent"
               " === '6 bytes: 68 c3 a9 6c 6c 6f'")

    # The app ends: the page says so in words, waits visibly and longer each time, and is back alone.
    first_app.close()
    until(tab, "/Closed with code 1014 \\(the app behind Sluice is gone\\).*Try 1 in \\d+ s/"
               ".test(document.getElementById('state').textContent)")
    until(tab, "/code 1006 .*Try 2 in \\d+ s/.test(document.getElementById('state').textContent)")
    assert tab.value("document.getElementById('send').disabled")
    stack.enter_context(running("echo", "--listen", f"127.0.0.1:{app_port}"))
    until(tab, "document.getElementById('state').dataset.state === 'open'")

    # Who closes it wants it closed.
    tab.value("document.getElementById('end').click()")
    until(tab, "document.getElementById('state').textContent ==="
               " 'Closed with code 1000 (closed in order).'")
    wrong = [event for event in tab.events if event["method"] == "Runtime.exceptionThrown"]
    assert not wrong, wrong
print("ok")
