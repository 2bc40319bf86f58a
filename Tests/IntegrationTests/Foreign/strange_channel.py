# SPDX-License-Identifier: Apache-2.0
"""strange_channel.py PROGRAM CONFIGURATION: hands a Sluice a channel for live sockets that no Sluice has made.

Of another user's nothing is taken. Of this user's, what is no relay is refused or ends the channel, and Sluice goes
on as if there had been none.
"""

import json
import os
import re
import socket
import subprocess
import sys

program, configuration = sys.argv[1:]


def pair_of(user):
    """Two ends that a process of that user has made."""
    above, below = socket.socketpair()
    child = os.fork()
    if child == 0:
        os.setuid(user)
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(below, [b"ends"], [end.fileno() for end in ends])
        os._exit(0)
    _, ends, _, _ = socket.recv_fds(above, 16, 2)
    os.waitpid(child, 0)
    return [socket.socket(fileno=end) for end in ends]


def started(user=os.geteuid()):
    ours, theirs = pair_of(user)
    ours.settimeout(60)
    child = subprocess.Popen(
        [program, "run", "-c", configuration], pass_fds=[theirs.fileno()],
        env={**os.environ, "SLUICE_RELAYS": str(theirs.fileno())},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    theirs.close()
    lines = []
    for line in child.stdout:
        lines.append(line)
        if found := re.search(r"listening.*:(\d+)", line):
            return ours, child, int(found.group(1))
    sys.exit("".join(lines))


def serves(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
        stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 404 " in stream.recv(4096)


def ended(child):
    child.terminate()
    child.stdout.read()
    assert child.wait(60) == 0, child.returncode


ours, child, port = started(65534)
assert ours.recv(4096) == b"", "it has answered another user's process"
serves(port)
ended(child)
print("another user's is closed")

STRANGE = [
    b"no JSON", b"{}", b"[]", b'{"outcomes":{"_0":[]}}', b'{"relays":{"count":0}}',
    b'{"relays":{"count":-1}}', b'{"relays":{"count":100000}}', b'{"relays":{"count":1e300}}',
    b'{"hello":{}}', b"\xff" * 60_000, b"[" * 60_000,
]
for message in STRANGE:
    ours, child, port = started()
    assert "hello" in json.loads(ours.recv(4096))
    with open("/dev/null") as null:
        socket.send_fds(ours, [message], [null.fileno()] * 3)
    assert ours.recv(4096) == b"", message[:40]
    serves(port)
    ended(child)
print("what is no message ends the channel")

ours, child, port = started()
assert "hello" in json.loads(ours.recv(4096))
before = len(os.listdir(f"/proc/{child.pid}/fd"))
with open("/dev/zero") as zero:
    for descriptors in (0, 1, 2, 3, 7, 200):
        for count in (1, 3, 100):
            # Often enough that what stays open of them is more than what the process itself opens at its start.
            for _ in range(30):
                message = json.dumps({"relays": {"count": count}}).encode()
                socket.send_fds(ours, [message], [zero.fileno()] * descriptors)
                answer = json.loads(ours.recv(65536))["outcomes"]["_0"]
                assert len(answer) == count and all("refused" in one for one in answer), answer[:3]
after = len(os.listdir(f"/proc/{child.pid}/fd"))
assert after < before + 25, (before, after)
ours.send(b'{"finished":{}}')
assert "finished" in json.loads(ours.recv(4096))
assert ours.recv(4096) == b""
serves(port)
ended(child)
print("what has no whole relays is refused")
