# SPDX-License-Identifier: Apache-2.0
"""`openssl s_client` that sends early data (RFC 8446 4.2.10) to a server whose tickets do not allow it.

usage: early_data.py PORT FOLDER

Takes a session, changes the client's own note of it so that the client believes in early data, and takes
it up with a request as early data and another one behind the handshake. Prints what the client says.
"""

import base64
import re
import subprocess
import sys

port, folder = sys.argv[1:]


def ask(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def client(options, request):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-ign_eof"] + options,
        input=request, capture_output=True, timeout=60).stdout.decode(errors="replace")


def length(size):
    """The length of a DER element (X.690 8.1.3)."""
    if size < 128:
        return bytes([size])
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def elements(body):
    """The elements of a DER sequence, each whole."""
    at = 0
    while at < len(body):
        begin, size = at, body[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(body[at:at + count], "big")
            at += count
        at += size
        yield body[begin:at]


def allowing(session):
    """OpenSSL's form of a session, with max_early_data (its element [15]) of 16,384."""
    whole = next(elements(session))
    head = 2 + (whole[1] & 0x7F if whole[1] & 0x80 else 0)
    parts = [part for part in elements(whole[head:]) if part[0] != 0xAF]
    assert len(parts) < len(list(elements(whole[head:]))) + 1
    more = b"\xaf\x04\x02\x02\x40\x00"
    # Elements with a tag of their own stand in the order of their numbers.
    place = next((index for index, part in enumerate(parts) if part[0] > 0xAF), len(parts))
    body = b"".join(parts[:place] + [more] + parts[place:])
    return b"\x30" + length(len(body)) + body


first = client(["-sess_out", f"{folder}/session"], ask("/first"))
assert "New, TLSv1.3" in first, first
text = open(f"{folder}/session").read()
begin, end = "-----BEGIN SSL SESSION PARAMETERS-----", "-----END SSL SESSION PARAMETERS-----"
session = base64.b64decode(re.search(f"{begin}(.*?){end}", text, re.S)[1])
with open(f"{folder}/changed", "w") as file:
    file.write(f"{begin}\n{base64.encodebytes(allowing(session)).decode()}{end}\n")
with open(f"{folder}/early", "wb") as file:
    file.write(ask("/early"))
print(client(["-sess_in", f"{folder}/changed", "-early_data", f"{folder}/early"], ask("/late")))
