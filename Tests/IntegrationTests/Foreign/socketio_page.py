# SPDX-License-Identifier: Apache-2.0
"""The page of socketio_app.py in Chromium: port, authority, `h2` or `http/1.1`.

The client begins with long polls and then takes a WebSocket, as socket.io does; events go both ways in
both. A poll's body fits into one TLS record, since python-engineio's reader for aiohttp takes what has come of a body
for all of it. What the browser says of the protocol of page, polls and socket must be the one that is named.
"""

import os
import subprocess
import sys
import tempfile
import time

import chromium

port, authority, protocol = sys.argv[1:]
TALK = """
    new Promise((resolve, reject) => {
        const heard = []
        const socket = io({ transports: %s, reconnection: false })
        const left = new Promise(done => socket.on("disconnect", done))
        socket.on("connect_error", error => reject(error))
        socket.on("heard", number => heard.push(number))
        const ask = (...words) => new Promise(done => socket.emit(...words, done))
        socket.on("connect", async () => {
            const said = []
            for (let number = 0; number < 20; number++) said.push(await ask("say", "x".repeat(number * 500)))
            socket.emit("shout", 50)
            while (heard.length < 50) await ask("say", "")
            const transport = () => socket.io.engine.transport.name
            while (%s && transport() !== "websocket") await ask("say", "")
            socket.emit("leave")
            resolve([said.map(text => text.length / 500).join(), heard.join(), transport(), await left].join(" "))
        })
    })
"""
numbers = ",".join(map(str, range(20)))
heard = ",".join(map(str, range(50)))

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    os.makedirs(f"{home}/.pki/nssdb")
    for command in (["-N", "--empty-password"], ["-A", "-n", "test", "-t", "C,,", "-i", authority]):
        subprocess.run(["certutil", "-d", f"sql:{home}/.pki/nssdb", *command], check=True)
    with chromium.open_tab(home) as tab:
        for domain in ("Page", "Network", "Runtime"):
            tab.call(f"{domain}.enable")
        moved = tab.call("Page.navigate", url=f"https://localhost:{port}/")
        assert "errorText" not in moved, moved
        while not tab.value("typeof io === 'function'"):
            time.sleep(0.02)
        for transports, upgrades, name in (('["polling"]', "false", "polling"),
                                           ('["polling", "websocket"]', "true", "websocket"),
                                           ('["websocket"]', "true", "websocket")):
            said = tab.value(TALK % (transports, upgrades))
            assert said == f"{numbers} {heard} {name} io server disconnect", said
        protocols = set(tab.value("performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol).join()")
                        .split(","))
        assert protocols == {protocol}, protocols
        statuses = [event["params"]["response"]["status"] for event in tab.events
                    if event["method"] == "Network.webSocketHandshakeResponseReceived"]
        assert statuses == [{"h2": 200, "http/1.1": 101}[protocol]] * 2, statuses
print("ok")
