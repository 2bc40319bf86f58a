# SPDX-License-Identifier: Apache-2.0
"""Headless Chromium with a client certificate: PORT, AUTHORITY, P12, SUBJECT or - for none.

A policy has the browser choose the certificate by itself, as people do in a window. The folder of policies is the machine's,
so the browser runs in a mount namespace that has another one there. Prints what a page gets: of the route that asks for a
certificate, and of a socket; and how the page came.
"""

import json
import os
import subprocess
import sys
import tempfile

from chromium import open_tab

port, authority, identity, subject = sys.argv[1:]
ASKED = """
    (async () => {
        const answer = await fetch("/who");
        const body = answer.status === 200 ? await answer.text() : "-";
        const said = await new Promise((done) => {
            const socket = new WebSocket("wss://localhost:PORT/Esv/ocp");
            socket.onopen = () => socket.send("hello");
            socket.onmessage = (event) => done(event.data);
            socket.onerror = () => done("refused");
        });
        const [page] = performance.getEntriesByType("navigation");
        return `${answer.status} ${body} ${said} ${page.nextHopProtocol}`;
    })()
""".replace("PORT", port)

with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
    store = f"sql:{home}/.pki/nssdb"
    os.makedirs(f"{home}/.pki/nssdb")
    for command in (["certutil", "-N", "-d", store, "--empty-password"],
                    ["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,", "-i", authority],
                    # Without a policy it would ask a person, who does not see its window.
                    *([["pk12util", "-i", identity, "-d", store, "-W", "secret", "-K", ""]] if subject != "-" else [])):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    policies = f"{home}/policies/policies/managed"
    os.makedirs(policies)
    if subject != "-":
        with open(f"{policies}/certificates.json", "w") as file:
            rule = {"pattern": f"https://localhost:{port}", "filter": {"SUBJECT": {"CN": subject}}}
            json.dump({"AutoSelectCertificateForUrls": [json.dumps(rule)]}, file)
    script = f'mount --bind "{home}/policies" /etc/chromium && exec "$@"'
    namespace = ["unshare", *(["-m"] if os.geteuid() == 0 else ["-rm"]), "sh", "-c", script, "sh"]
    with open_tab(home, wrapper=namespace) as tab:
        tab.call("Page.enable")
        moved = tab.call("Page.navigate", url=f"https://localhost:{port}/")
        assert "errorText" not in moved, moved
        print(tab.value(ASKED))
