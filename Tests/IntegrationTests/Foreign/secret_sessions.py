# SPDX-License-Identifier: Apache-2.0
"""Sessions of OpenSSL's own client, and every secret that they ever had.

usage: secret_sessions.py PORT FOLDER

Opens sessions of each kind, writes FOLDER/secrets with lines of `kind name hexadecimal`, where kind is
`live` for what an open session needs and `old` for what it needs no more, prints `open`, waits for
FOLDER/go, ends all sessions and prints `ended`.
"""

import hashlib
import hmac
import os
import re
import subprocess
import sys
import time

port, folder = sys.argv[1:]
SUITES = {
    "TLS_AES_128_GCM_SHA256": ("sha256", 16),
    "TLS_AES_256_GCM_SHA384": ("sha384", 32),
    "TLS_CHACHA20_POLY1305_SHA256": ("sha256", 32),
}
lines = []


def expand(secret, label, count, digest):
    """HKDF-Expand-Label with an empty context, of one block (RFC 8446 7.1)."""
    info = count.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", digest).digest()[:count]


def tell(kind, name, secret):
    lines.append(f"{kind} {name.replace(' ', '-')} {secret.hex()}")


class Session:
    def __init__(self, name, options, suite=None, changes=0):
        self.name, self.suite, self.changes = name, suite, changes
        self.log = f"{folder}/{name.replace(' ', '-')}.log"
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-crlf"]
            + ["-keylogfile", self.log] + (["-ciphersuites", suite] if suite else []) + options,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.ask()

    def change_keys(self):
        """Asks for new keys of both sides, as often as the session is meant to."""
        self.ask()
        for _ in range(self.changes):
            self.say("K\n")
            self.wait("KEYUPDATE")
            self.ask()

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait(self, text):
        while True:
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"{self.name}: it ended before {text}")
            if text in line:
                return

    def ask(self, more=""):
        self.say(f"GET / HTTP/1.1\nHost: localhost\n{more}\n")
        self.wait("HTTP/1.1 200")

    def tell(self):
        log = [line.split() for line in open(self.log) if not line.startswith("#")]
        for label, _, secret in log:
            secret = bytes.fromhex(secret)
            if label == "CLIENT_RANDOM":
                # In TLS 1.2 the one secret of the session (RFC 5246 8.1).
                tell("live", f"{self.name} master secret", secret)
            elif label.endswith("_TRAFFIC_SECRET_0"):
                self.tell_traffic(label, secret)
            elif "HANDSHAKE" in label:
                tell("old", f"{self.name} {label}", secret)
                self.tell_key("old", label, secret)
            elif label == "EXPORTER_SECRET":
                tell("any", f"{self.name} {label}", secret)

    def tell_traffic(self, label, secret):
        for generation in range(self.changes + 1):
            kind = "live" if generation == self.changes else "old"
            name = f"{label} {generation}"
            tell(kind, f"{self.name} {name}", secret)
            self.tell_key(kind, name, secret)
            secret = expand(secret, b"traffic upd", len(secret), SUITES[self.suite][0])

    def tell_key(self, kind, name, secret):
        digest, count = SUITES[self.suite]
        tell(kind, f"{self.name} {name} key", expand(secret, b"key", count, digest))
        tell("any", f"{self.name} {name} iv", expand(secret, b"iv", 12, digest))

    def end(self):
        self.ask("Connection: close\n")
        self.process.wait(20)


def resumption_secret(path):
    """What a ticket stands for, as the client keeps it."""
    text = subprocess.run(
        ["openssl", "sess_id", "-in", path, "-text", "-noout"], capture_output=True, text=True,
        check=True).stdout
    return bytes.fromhex(re.search(r"(?:Master-Key|Resumption PSK): ([0-9A-F]+)", text)[1])


sessions = []
for suite in SUITES:
    sessions.append(Session(f"settled {suite}", ["-tls1_3"], suite))
    sessions.append(Session(f"changed {suite}", ["-tls1_3"], suite, changes=2))
# Until they have left OpenSSL's object on the other side, which is not seen from here.
time.sleep(1.5)
for suite in SUITES:
    sessions.append(Session(f"young {suite}", ["-tls1_3"], suite, changes=1))
for session in sessions:
    session.change_keys()
sessions.append(Session("old version", ["-tls1_2"]))
for number, suite in (("2", None), ("3", "TLS_AES_256_GCM_SHA384")):
    path = f"{folder}/ticket{number}"
    first = Session(f"first 1.{number}", [f"-tls1_{number}", "-sess_out", path], suite)
    first.end()
    tell("any" if number == "2" else "old", f"ticket of 1.{number}", resumption_secret(path))
    sessions.append(Session(f"resumed 1.{number}", [f"-tls1_{number}", "-sess_in", path], suite))
    # What it had before it ended; 1.2 goes on with the same secret.
    if number == "3":
        before = len(lines)
        first.tell()
        lines[before:] = [line.replace("live ", "old ", 1) for line in lines[before:]]
for session in sessions:
    session.tell()
with open(f"{folder}/secrets", "w") as file:
    file.write("\n".join(lines) + "\n")
print("open", flush=True)
while not os.path.exists(f"{folder}/go"):
    time.sleep(0.02)
for session in sessions:
    session.end()
print("ended", flush=True)
