# SPDX-License-Identifier: Apache-2.0
"""The secret parts of a private key as memory may hold them.

usage: key_numbers.py FILE

Prints lines of `name hexadecimal`: each secret number in both orders of its bytes, and the first whole
line of the file's base64.
"""

import re
import subprocess
import sys

text = subprocess.run(
    ["openssl", "pkey", "-in", sys.argv[1], "-text", "-noout"], capture_output=True, text=True,
    check=True).stdout
for name, digits in re.findall(r"^(\w+):\n((?:    .*\n)+)", text, re.M):
    if name in ("priv", "privateExponent", "prime1", "prime2"):
        number = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
        print(f"{name} {number.hex()}")
        print(f"{name}-in-words {number[::-1].hex()}")
        # As DER has it, with less than all of a number that was moved.
        print(f"{name}-tail {number[-16:].hex()}")
line = open(sys.argv[1]).read().split("\n")[1]
print(f"text {line.encode().hex()}")
