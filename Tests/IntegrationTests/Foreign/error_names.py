# SPDX-License-Identifier: Apache-2.0
"""Produces the errors of docs/ws-and-wss.md with Chromium, curl and Python: the page, the echo program.

The table's rows are states of a server. Each state is really made here, each client really meets it, and what
the client says has to contain what stands in its cell between backticks. A row without a state here,
or the other way round, is an error; `-` means that the client says nothing of its own.
"""

import datetime
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import trustme
from websockets.sync.client import connect

from chromium import open_tab

page_path, program = sys.argv[1:3]


def serve(context, answer, close_at_once=False):
    """A server on a port of its own, with or without TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(plain):
        try:
            plain.settimeout(60)
            if close_at_once:
                plain.recv(65536)
                return
            with context.wrap_socket(plain, server_side=True) as peer:
                peer.recv(65536)
                peer.sendall(answer)
                peer.unwrap()
        except OSError:
            pass
        finally:
            plain.close()

    def run():
        while True:
            threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def context(certificate, newest=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if newest:
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = newest
    certificate.configure_cert(made)
    return made


def self_signed(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "30",
         "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
        check=True, capture_output=True)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    return made


def answer(status):
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def states(folder, trusted, echo_port):
    """The URL of each state; `trusted` is an authority that all clients trust."""
    stranger = trustme.CA()
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2)
    good = context(trusted.issue_cert("localhost"))
    ports = {
        "the port speaks plain HTTP": echo_port,
        "nobody listens": held.getsockname()[1],
        "the authority is not trusted": serve(context(stranger.issue_cert("localhost")), b""),
        "self-signed": serve(self_signed(folder), b""),
        "certificate for other names": serve(context(trusted.issue_cert("app.test")), b""),
        "certificate expired": serve(context(trusted.issue_cert("localhost", not_after=past)), b""),
        "TLS 1.1 or older only": serve(
            context(trusted.issue_cert("localhost"), ssl.TLSVersion.TLSv1_1), b""),
        "the connection ends in the handshake": serve(None, b"", close_at_once=True),
        "no such path": serve(good, answer("404 Not Found")),
        "the origin is refused": serve(good, answer("403 Forbidden")),
        "a proxy without its app": serve(good, answer("502 Bad Gateway")),
    }
    urls = {name: f"wss://localhost:{port}/" for name, port in ports.items()}
    urls["the name has no address"] = "wss://nobody.invalid/"
    urls["`ws:` from an `https` page"] = "ws://app.test/"
    return urls, held


def curl(url, authority):
    secure = url.replace("wss:", "https:")
    done = subprocess.run(
        ["curl", "--no-progress-meter", "--show-error", "--include", "--http1.1", "--max-time", "60", "--cacert", authority,
         "--header", "Upgrade: websocket", "--header", "Connection: Upgrade",
         "--header", "Sec-WebSocket-Version: 13",
         "--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", secure],
        capture_output=True, text=True)
    return done.stderr + done.stdout


def python(url, authority):
    trusted = ssl.create_default_context(cafile=authority)
    try:
        with connect(url, ssl=trusted, proxy=None, open_timeout=60):
            return "open"
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"


def chromium(urls, trusted, folder):
    """What the console says of each URL, from a page that came by https."""
    script = "".join(
        f"try {{ new WebSocket('{url}') }} catch (problem) {{ console.log('{url} ' + problem) }}\n"
        for url in urls)
    text = f"<!doctype html><title>x</title><script>{script}</script>".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(text)}\r\n\r\n"
    port = serve(context(trusted.issue_cert("localhost")), head.encode() + text)
    store = f"sql:{folder}/.pki/nssdb"
    os.makedirs(f"{folder}/.pki/nssdb")
    subprocess.run(["certutil", "-N", "-d", store, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", store, "-n", "test", "-t", "C,,", "-i",
                    f"{folder}/trusted.pem"], check=True)
    with open_tab(folder) as tab:
        for method in ("Log.enable", "Runtime.enable", "Page.enable"):
            tab.call(method)
        tab.call("Page.navigate", url=f"https://localhost:{port}/")
        while True:
            told = [json.dumps(event, ensure_ascii=False) for event in tab.events
                    if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]
            said = {url: "\n".join(text for text in told if url in text) for url in urls}
            if all(said.values()):
                return said
            tab.receive()


def table():
    """The rows of the page's table of names: state to client to what is said."""
    lines = [line for line in open(page_path) if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines]
    head = next(index for index, row in enumerate(rows) if row[0] == "what is wrong")
    names = rows[head]
    found = {}
    for row in rows[head + 2:]:
        if len(row) != len(names):
            break
        found[row[0]] = dict(zip(names, row))
    return found


def main():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        trusted = trustme.CA()
        trusted.cert_pem.write_to_path(f"{folder}/trusted.pem")
        echo = subprocess.Popen([program, "echo", "--listen", "127.0.0.1:0"],
                                stdout=subprocess.PIPE, text=True)
        try:
            echo_port = int(echo.stdout.readline().rsplit(":", 1)[1])
            urls, held = states(folder, trusted, echo_port)
            authority = f"{folder}/trusted.pem"
            seen = chromium(list(urls.values()), trusted, folder)
            rows = table()
            assert set(rows) == set(urls), (set(rows) ^ set(urls))
            wrong = []
            for state, url in urls.items():
                saying = {"Chrome, Edge": seen[url]}
                if url.startswith("wss:"):
                    saying["curl"] = curl(url, authority)
                    saying["Python"] = python(url, authority)
                for client, words in saying.items():
                    named = re.findall(r"`([^`]+)`", rows[state][client])
                    if not named or not all(name in words for name in named):
                        wrong.append(f"{state}, {client}: {named} is not in {words!r}")
            assert not wrong, "\n".join(wrong)
            held.close()
        finally:
            echo.kill()
            echo.wait()


main()
print("ok")
