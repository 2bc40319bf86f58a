# SPDX-License-Identifier: Apache-2.0
"""Sluice on a terminal: program, app's port, and what to look at (`status`, `plain`, `phone`).

The terminal is a real pseudo-terminal, and what a person would see is what an emulator (pyte) makes
of the bytes.
"""

import asyncio
import fcntl
import os
import pty
import re
import signal
import ssl
import struct
import sys
import tempfile
import termios
import time

import pyte
from websockets.asyncio.client import connect

program, port, case = sys.argv[1:4]
COLUMNS, ROWS = 100, 60


class Terminal:
    """A program on a pseudo-terminal, and the screen that it has drawn."""

    def __init__(self, arguments, environment):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.status = None
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execve(arguments[0], arguments, environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.set_blocking(self.master, False)

    def read(self):
        try:
            while chunk := os.read(self.master, 65536):
                self.raw += chunk
                self.stream.feed(chunk)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def shown(self, pattern):
        return [line for line in self.lines if re.search(pattern, line)]

    async def until(self, pattern, seconds=60, count=1):
        end = time.monotonic() + seconds
        while len(found := self.shown(pattern)) < count:
            alive = self.read()
            if time.monotonic() > end or not alive and len(self.shown(pattern)) < count:
                raise AssertionError(f"no {pattern!r} on:\n" + "\n".join(self.lines))
            await asyncio.sleep(0.02)
        # The live line is one line, whenever somebody looks.
        assert len(self.shown("sockets? open")) <= 1, self.lines
        return found[0]

    def is_painted(self):
        """Whether any character has a colour or is bold."""
        return any(
            cell.fg != "default" or cell.bg != "default" or cell.bold
            for row in self.screen.buffer.values() for cell in row.values())

    async def end(self):
        os.kill(self.pid, signal.SIGINT)
        for _ in range(3000):
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.read()
                assert os.waitstatus_to_exitcode(status) == 0, status
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it did not end")


async def talk(terminal, url, authority):
    trusted = ssl.create_default_context(cafile=authority)
    async with connect(url, ssl=trusted, proxy=None) as peer:
        await terminal.until(r"^1 socket open")
        for _ in range(200):
            for number in range(20):
                await peer.send("x" * 100)
                assert await peer.recv() == "x" * 100
            terminal.read()
            if terminal.shown(r"^1 socket open   [1-9]\d* messages/s   [\d.]+ k?B/s"):
                break
            await asyncio.sleep(0.05)
        await terminal.until(r"^1 socket open   [1-9]")
    # When it opens and when it ends.
    await terminal.until(r"101 localhost/x -> ", count=2)
    await terminal.until(r"^0 sockets open")


async def main():
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "XDG_DATA_HOME": f"{home}/data", "TERM": "xterm-256color",
                       "PATH": os.environ["PATH"]}
        arguments = [program, port]
        if case == "plain":
            environment["NO_COLOR"] = "1"
        if case == "dumb":
            environment["TERM"] = "dumb"
        arguments += ["--lan"] if case == "phone" else ["--listen", "127.0.0.1:0"]
        terminal = Terminal(arguments, environment)
        try:
            line = await terminal.until(r"route +wss://localhost")
            url = re.search(r"wss://localhost:\d+", line).group() + "/x"
            if case == "dumb":
                await terminal.until("is ready")
                await terminal.end()
                assert b"\x1b" not in terminal.raw and b"sockets open" not in terminal.raw, terminal.raw
                return
            await terminal.until(r"^0 sockets open")
            assert terminal.is_painted() == (case != "plain"), terminal.raw
            if case == "phone":
                phone(terminal)
            else:
                await talk(terminal, url, f"{home}/data/sluice/ca.pem")
                # Between two drawings there is always a whole line of the log.
                entries = terminal.shown(" 101 localhost/x ")
                assert len(entries) == 2, entries
                for entry in entries:
                    assert re.match(r"\d{4}-\d\d-\d\dT", entry), entry
            await terminal.end()
            await terminal.until("sluice has stopped")
            assert not terminal.shown("sockets? open"), terminal.lines
        finally:
            try:
                os.kill(terminal.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def phone(terminal):
    """Reads the code off the screen as a camera does."""
    import zxingcpp
    url = re.search(r"https://\S+", terminal.shown("On a phone")[0]).group()
    rows = []
    for index, line in enumerate(terminal.screen.display):
        if not re.fullmatch(r"[█▀▄ ]+", line.rstrip()) or not line.strip():
            continue
        row = terminal.screen.buffer[index]
        upper, lower = [], []
        for column in range(COLUMNS):
            cell = row[column]
            ink, paper = shade(cell.fg, 1), shade(cell.bg, 0)
            upper.append(ink if cell.data in "█▀" else paper)
            lower.append(ink if cell.data in "█▄" else paper)
        rows += [upper, lower]
    scale = 6
    image = b"".join(
        bytes(255 if light else 0 for light in row for _ in range(scale)) * scale for row in rows)
    view = memoryview(image).cast("B", (len(rows) * scale, COLUMNS * scale))
    codes = zxingcpp.read_barcodes(view)
    assert [code.text for code in codes] == [url], (codes, url, terminal.lines)


def shade(color, default):
    """1 for light, 0 for dark; a terminal without colours is light on dark."""
    return default if color == "default" else int(color.lower() in ("white", "ffffff"))


asyncio.run(main())
print("ok")
