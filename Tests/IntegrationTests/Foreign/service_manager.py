# SPDX-License-Identifier: Apache-2.0
"""A service manager as sd_listen_fds(3) and sd_notify(3) describe it: one socket, one service."""

import os
import signal
import socket
import ssl
import subprocess
import sys

program, configuration, folder = sys.argv[1:]
listening = socket.create_server(("127.0.0.1", 0))
with open(configuration) as file:
    text = file.read()
with open(configuration, "w") as file:
    file.write(text.replace("127.0.0.1:0", "127.0.0.1:%d" % listening.getsockname()[1]))
door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
door.bind(folder + "/notify")
door.settimeout(20)


def begin():
    """Between fork and exec: the socket is descriptor 3, and the process knows its id."""
    os.dup2(listening.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ["LISTEN_PID"] = str(os.getpid())


child = os.fork()
if child == 0:
    begin()
    environment = dict(
        os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=folder + "/notify", WATCHDOG_USEC="200000"
    )
    os.execve(program, [program, "run", "-c", configuration], environment)

told = []


def hear(word):
    while word not in told:
        for line in door.recv(4096).decode().splitlines():
            told.append(line)
            print(line, flush=True)


hear("READY=1")
hear("WATCHDOG=1")
context = ssl._create_unverified_context()
raw = socket.create_connection(listening.getsockname())
stream = context.wrap_socket(raw, server_hostname="localhost")
stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
status = stream.recv(4096).split()[1].decode()
told.clear()
os.kill(child, signal.SIGHUP)
hear("RELOADING=1")
hear("READY=1")
os.kill(child, signal.SIGTERM)
hear("STOPPING=1")
_, code = os.waitpid(child, 0)
print(f"served {status} on the given socket, exit {os.waitstatus_to_exitcode(code)}")
