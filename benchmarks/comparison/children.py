# SPDX-License-Identifier: Apache-2.0
"""The processes that a comparison starts: each pinned to a core, each ended by its pid."""

import os
import resource
import signal
import socket
import subprocess
import time


def raise_open_files(wanted: int = 65_535) -> int:
    """Raises the limit of open files as far as allowed; the children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for target in (max(wanted, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, target))
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_port() -> int:
    """A port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Child:
    """One process, with what it printed in a file of its own."""

    def __init__(self, name: str, argv: list[str], cpu: int, directory: str, environment=None):
        self.name = name
        self.log_path = os.path.join(directory, f"{name}.out")
        self._log = open(self.log_path, "wb")
        self._process = subprocess.Popen(
            ["taskset", "-c", str(cpu), *argv],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory,
        )
        self.pid = self._process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def wait_for_line(self, beginning: str, seconds: float = 60) -> str:
        """The first line it prints that begins so."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with open(self.log_path, errors="replace") as file:
                for line in file:
                    if line.startswith(beginning) and line.endswith("\n"):
                        return line.strip()
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not come up: {self.last_words()}")

    def wait_for_port(self, port: int, seconds: float = 15) -> None:
        """Returns as soon as somebody listens on the port."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen on {port}: {self.last_words()}")

    def only_child(self) -> int:
        """The pid of the worker that this process, a master, has forked."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        for _ in range(200):
            with open(path) as file:
                pids = file.read().split()
            if pids:
                return int(pids[0])
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} forked no worker: {self.last_words()}")

    def last_words(self) -> str:
        with open(self.log_path, errors="replace") as file:
            return " | ".join(file.read().strip().splitlines()[-6:]) or "(it printed nothing)"

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
