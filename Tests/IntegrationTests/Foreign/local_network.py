# SPDX-License-Identifier: Apache-2.0
"""Local Network Access in Chromium: PAGE_PORT PLAIN_PORT SOCKET_PORT HOME, where HOME has the authority.

A page opens wss://localhost:SOCKET_PORT. All ports are of this machine; a switch of the browser's says from which
network a port counts. PAGE_PORT and SOCKET_PORT speak TLS, PLAIN_PORT does not.
"""

import sys

from chromium import open_tab

page_port, plain_port, socket_port, home = sys.argv[1:5]
SECURE = f"https://localhost:{page_port}"
INSECURE = f"http://page.test:{plain_port}"
BLOCKED = "net::ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS"
SOCKET = f"""
    new Promise(done => {{
        const socket = new WebSocket("wss://localhost:{socket_port}/socket");
        socket.onopen = () => socket.send("hello");
        socket.onmessage = event => done(event.data);
        socket.onclose = event => done(`closed with ${{event.code}}`);
    }})
"""


def attempt(spaces, permission=None, origin=SECURE):
    """What the socket of a page gives: its echo, or the error that the console names."""
    overrides = ",".join(f"{host}:{port}={space}" for port, space in spaces.items()
                         for host in ("127.0.0.1", "[::1]"))
    switches = [f"--ip-address-space-overrides={overrides}", "--host-resolver-rules=MAP page.test 127.0.0.1"]
    with open_tab(home, switches=switches) as tab:
        for domain in ("Page", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        if permission:
            tab.call("Browser.setPermission", permission={"name": permission}, setting="granted", origin=origin)
        moved = tab.call("Page.navigate", url=f"{origin}/")
        assert "errorText" not in moved, moved
        assert tab.value("isSecureContext") == (origin == SECURE)
        result = tab.value(SOCKET)
        said = " ".join(event["params"]["entry"]["text"] for event in tab.events
                        if event["method"] == "Log.entryAdded")
        return BLOCKED if result == "closed with 1006" and BLOCKED in said else f"{result} {said}".split()[0]


def expect(result, *arguments, **named):
    found = attempt(*arguments, **named)
    assert found == result, (found, arguments, named)


machine = {}
expect("hello", machine)
public = {page_port: "public"}
expect(BLOCKED, public)
expect("hello", public, permission="loopback-network")
# A yes for the local network is none for this machine.
expect(BLOCKED, public, permission="local-network")
network = {page_port: "public", socket_port: "local"}
expect(BLOCKED, network)
expect("hello", network, permission="local-network")
expect("hello", {page_port: "local"})
# A page without TLS is not even asked.
expect(BLOCKED, {plain_port: "public"}, origin=INSECURE)
print("ok")
