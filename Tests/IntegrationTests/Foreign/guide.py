# SPDX-License-Identifier: Apache-2.0
"""Does what a guide says: its page, Sluice. In a network of its own, for ports are as they stand there.

The code blocks carry what they are: `LANGUAGE FILE` is written to that file; `sh install`, `sh app` and
`sh sluice` are run; the `js` block has the URL that a page would open.
"""

import asyncio
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.request

from websockets.asyncio.client import connect

page, program = sys.argv[1:3]
blocks = re.findall(r"^```(\w+)(?: +([\w.-]+))?\n(.*?)^```$", open(page).read(), re.M | re.S)
files = {name: text for language, name, text in blocks if language != "sh" and name}
commands = {name: text.strip() for language, name, text in blocks if language == "sh"}
scripts = "".join(text for language, name, text in blocks if language == "js" and not name)
url, = re.findall(r'new WebSocket\("(wss://[^"]+)"\)', scripts)
assert files and set(commands) == {"install", "app", "sluice"}, (files, commands)


def failure(logs):
    return "\n".join(f"{name}:\n{open(path, errors='replace').read()}" for name, path in logs.items())


async def echo(trusted):
    # The origin is what a browser sends for a page that came through Sluice.
    async with connect(url, ssl=trusted, proxy=None, origin="https://localhost:8443") as peer:
        for message in ["hello", "Grüße", "x" * 70_000, b"\x00\xff" * 500]:
            await peer.send(message)
            assert await asyncio.wait_for(peer.recv(), 30) == message


async def until_echo(authority, deadline=90):
    error = None
    for _ in range(deadline * 5):
        try:
            await echo(ssl.create_default_context(cafile=authority))
            return
        except (OSError, AssertionError, ssl.SSLError) as problem:
            error = problem
        except Exception as problem:  # what the client library says of 502 while the app starts
            error = problem
        await asyncio.sleep(0.2)
    raise AssertionError(f"no echo at {url}: {error!r}")


with tempfile.TemporaryDirectory() as folder:
    os.mkdir(f"{folder}/bin")
    os.symlink(program, f"{folder}/bin/sluice")
    for name, text in files.items():
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    environment = {
        **os.environ, "HOME": folder, "XDG_DATA_HOME": f"{folder}/data",
        "PATH": f"{folder}/bin:{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        # Where Debian's packages of modules are.
        "NODE_PATH": "/usr/share/nodejs", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if commands["install"].startswith("pip "):
        # It is there already: there is no network here. A name that is wrong fails all the same.
        subprocess.run(commands["install"], shell=True, cwd=folder, env=environment, check=True,
                       stdout=subprocess.DEVNULL)
    logs, processes = {}, []
    try:
        # Sluice first: whoever starts in that order is served, too.
        for name in ("sluice", "app"):
            logs[name] = f"{folder}/{name}.log"
            processes.append(subprocess.Popen(
                commands[name], shell=True, cwd=folder, env=environment, process_group=0,
                stdout=open(logs[name], "w"), stderr=subprocess.STDOUT))
        authority = f"{folder}/data/sluice/ca.pem"
        asyncio.run(until_echo(authority))
        said = open(logs["sluice"]).read()
        assert "notice" not in said, said
        trusted = ssl.create_default_context(cafile=authority)
        if "django" in page:
            with urllib.request.urlopen("https://localhost:8443/", context=trusted) as answer:
                assert answer.read() == b"https"
    except BaseException:
        print(failure(logs), file=sys.stderr)
        raise
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
print("ok")
