# SPDX-License-Identifier: Apache-2.0
"""load_mosquitto.py: Debian's broker, which speaks MQTT over WebSocket beside MQTT itself."""
import os
import shutil
import socket
import tempfile
import time

folder = tempfile.mkdtemp()
# A listener of WebSockets alone is none to mosquitto 2.0.11: the other one is a socket file.
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
held.bind(("127.0.0.1", 0))
port = held.getsockname()[1]
with open(f"{folder}/conf", "w") as file:
    file.write(f"""user root
log_dest none
allow_anonymous true
listener 0 {folder}/socket
listener {port} 127.0.0.1
protocol websockets
""")
if os.fork() > 0:
    # The broker keeps the number of this process, so that it ends with it, and the port that is held.
    os.set_inheritable(held.fileno(), True)
    os.execv("/usr/sbin/mosquitto", ["mosquitto", "-c", f"{folder}/conf"])
held.close()
while True:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except ConnectionRefusedError:
        if os.getppid() == 1:
            raise
        time.sleep(0.02)
shutil.rmtree(folder)
print("port", port, flush=True)
