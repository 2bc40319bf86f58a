# SPDX-License-Identifier: Apache-2.0
"""An issuer of tokens, by joserfc of PyPI.

issuer.py make FOLDER: writes keys of all kinds, as jwks.json (public), secret.json (with a secret) and private.json.
issuer.py rotate FOLDER: puts another key, `next`, in the place of those in jwks.json.
issuer.py sign FOLDER SPEC...: prints a token for each: JSON with `kid`, `alg`, `in` (seconds until exp) and claims.
issuer.py serve FOLDER CHAIN KEY PORT: serves jwks.json over TLS, in the manner that the file `mode` names.
"""

import http.server
import json
import os
import ssl
import sys
import threading
import time

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

ALGORITHMS = [name + size for name in ("HS", "RS", "PS", "ES") for size in ("256", "384", "512")] + ["Ed25519", "EdDSA"]


def write(path, document):
    """In one step, so that nobody reads half of it."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.rename(path + ".new", path)


def make(folder):
    keys = [
        RSAKey.generate_key(2048, {"kid": "rs"}), ECKey.generate_key("P-256", {"kid": "es"}),
        ECKey.generate_key("P-384", {"kid": "es384"}), OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        ECKey.generate_key("P-256", {"kid": "next"}),
    ]
    secret = OctKey.generate_key(512, {"kid": "hs"})
    public = [key.as_dict(private=False) for key in keys if key.kid != "next"]
    write(f"{folder}/jwks.json", {"keys": public})
    write(f"{folder}/secret.json", {"keys": public + [secret.as_dict(private=True)]})
    write(f"{folder}/private.json", {"keys": [key.as_dict(private=True) for key in [*keys, secret]]})


def rotate(folder):
    keys = KeySet.import_key_set(json.load(open(f"{folder}/private.json", encoding="utf-8")))
    write(f"{folder}/jwks.json", {"keys": [keys.get_by_kid("next").as_dict(private=False)]})


def sign(folder, *specs):
    keys = KeySet.import_key_set(json.load(open(f"{folder}/private.json", encoding="utf-8")))
    for text in specs:
        claims = json.loads(text)
        kid, algorithm = claims.pop("kid", "es"), claims.pop("alg", "ES256")
        seconds = claims.pop("in", 3600)
        header = {"alg": algorithm, "kid": claims.pop("says", kid), "typ": "JWT"}
        if seconds is not None:
            claims["exp"] = round(time.time() + seconds, 1)
        print(jwt.encode(header, claims, keys.get_by_kid(kid), algorithms=ALGORITHMS))


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the keys, or with what an issuer that is not well answers."""

    def do_GET(self):
        with open("mode", encoding="utf-8") as file:
            mode = file.read().strip()
        print(mode, flush=True)
        if mode == "hang":
            threading.Event().wait(60)
            return
        body, status, fields = b"", 200, {}
        if mode == "html":
            body = b"<!doctype html><title>Sign in</title>"
        elif mode == "large":
            body = b" " * 10_000_000
        elif mode == "redirect":
            status, fields = 302, {"Location": "https://evil.test/keys?key=s3cret"}
        elif mode == "away":
            status = 503
        elif mode == "held":
            with open("jwks.json", "rb") as file:
                body = file.read()
            while not os.path.exists("free"):
                time.sleep(0.01)
        elif mode == "none":
            body = b'{"keys": []}'
        else:
            fields = {"Cache-Control": "max-age=86400"}
            with open("jwks.json", "rb") as file:
                body = file.read()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


def serve(folder, chain, key, port):
    os.chdir(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("listening", server.server_address[1], flush=True)
    server.serve_forever()


{"make": make, "rotate": rotate, "sign": sign, "serve": serve}[sys.argv[1]](*sys.argv[2:])
