# SPDX-License-Identifier: Apache-2.0
"""fd_store.py PROGRAM CONFIGURATION FOLDER: a service manager that keeps descriptors (FDSTORE in sd_notify(3)).

Starts the program, kills it, and starts it again with what it has been given to keep; a client that connects in
between is answered by the second process. Then the listener goes to another port by a reload.
"""

import array
import os
import signal
import socket
import ssl
import sys
import time

program, configuration, folder = sys.argv[1:]
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind(folder + "/notify")
door.settimeout(60)
store = {}
told = []


def hear(word):
    while word not in told:
        data, control, _, _ = door.recvmsg(4096, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
        lines = data.decode().splitlines()
        fields = dict(line.split("=", 1) for line in lines)
        descriptors = array.array("i")
        for level, kind, payload in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            descriptors.frombytes(payload)
        name = fields.get("FDNAME")
        assert name is None or ":" not in name and name.isprintable() and len(name) <= 255, name
        if fields.get("FDSTORE") == "1":
            assert len(descriptors) == 1, lines
            same = any(os.path.sameopenfile(kept, descriptors[0]) for kept in store.values())
            if same:
                os.close(descriptors[0])
            else:
                store[name] = descriptors[0]
        elif fields.get("FDSTOREREMOVE") == "1":
            os.close(store.pop(name))
        told.extend(lines)
        print(", ".join(lines), flush=True)
    told.clear()


def start(kept):
    child = os.fork()
    if child == 0:
        environment = dict(os.environ, NOTIFY_SOCKET=folder + "/notify", FDSTORE="8")
        # First to numbers that none of them has, then to those that the protocol names.
        copies = [os.dup2(os.dup(descriptor), 100 + index) for index, descriptor in enumerate(kept.values())]
        for index, copy in enumerate(copies):
            os.dup2(copy, 3 + index, inheritable=True)
            os.close(copy)
        if kept:
            environment.update(
                LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(kept)), LISTEN_FDNAMES=":".join(kept))
        os.execve(program, [program, "run", "-c", configuration], environment)
    return child


def address(name):
    return socket.socket(fileno=os.dup(store[name])).getsockname()


def ask(raw):
    context = ssl._create_unverified_context()
    with context.wrap_socket(raw, server_hostname="localhost") as stream:
        stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return stream.recv(4096).split()[1].decode()


child = start({})
hear("READY=1")
while len(store) < 2:
    hear("FDSTORE=1")
names = sorted(store)
print("kept", len(names), flush=True)
places = [address(name) for name in names]
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
# Nobody serves, and the sockets listen.
waiting = [socket.create_connection(place, timeout=60) for place in places]
child = start(store)
hear("READY=1")
print("answered", *(ask(raw) for raw in waiting), flush=True)
# It gives the same ones again, which changes nothing.
hear("FDSTORE=1")
hear("FDSTORE=1")
assert sorted(store) == names, store
with open(configuration) as file:
    text = file.read()
place = f"127.0.0.1:{places[1][1]}"
assert place in text, text
spare = socket.create_server(("127.0.0.1", 0))
port = spare.getsockname()[1]
spare.close()
with open(configuration, "w") as file:
    file.write(text.replace(place, f"127.0.0.1:{port}"))
os.kill(child, signal.SIGHUP)
hear("FDSTOREREMOVE=1")
while port not in (address(name)[1] for name in store):
    hear("FDSTORE=1")
assert len(store) == 2, store
deadline = time.monotonic() + 60
while True:
    try:
        socket.create_connection(places[1], timeout=60).close()
    except ConnectionRefusedError:
        break
    assert time.monotonic() < deadline, "the socket that was removed listens on"
    time.sleep(0.02)
print("moved", ask(socket.create_connection(("127.0.0.1", port), timeout=60)), flush=True)
os.kill(child, signal.SIGTERM)
_, code = os.waitpid(child, 0)
print("exit", os.waitstatus_to_exitcode(code))
