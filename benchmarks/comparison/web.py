# SPDX-License-Identifier: Apache-2.0
"""Ordinary requests through a proxy: many small answers by wrk or h2load, large ones by curl.

The app behind is nginx, which serves files from memory on the load's core. CPU time is the user and
system time of the proxy's worker, from /proc.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .children import Child, free_port
from .peers import HERE, Peer, Site

SMALL_BYTES = 1024
LARGE_BYTES = 64 << 20
DOWNLOADS = 12
CONNECTIONS = 64
STREAMS = 100
CIPHER = "TLS_AES_128_GCM_SHA256"


class WebRun:
    """A proxy with a file server behind it."""

    def __init__(self, bed, peer: Peer):
        self.bed = bed
        self._children: list[Child] = []
        # In memory, so that no disk is measured.
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else bed.directory
        self._files = tempfile.mkdtemp(prefix="sluice-origin-", dir=base)
        self._directory = tempfile.mkdtemp(prefix=f"{peer.name}-", dir=bed.directory)
        os.chmod(self._files, 0o755)
        os.chmod(self._directory, 0o755)
        try:
            Path(self._files, "small").write_bytes(b"s" * SMALL_BYTES)
            with open(Path(self._files, "large"), "wb") as file:
                file.truncate(LARGE_BYTES)
            port = self._start_origin()
            site = Site(self._directory, bed.chain, bed.key, bed.bundle, port, bed.open_files)
            self.port = free_port()
            proxy = peer.start(site, self.port, bed.proxy_cpu)
            self._children.append(proxy)
            proxy.wait_for_port(self.port)
            self.worker = peer.worker(proxy)
            answer = self._curl("small", ["-o", "-"])
            if answer != b"s" * SMALL_BYTES:
                raise RuntimeError(f"not the file: {answer[:80]!r}")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._children:
            self._children.pop().end()
        shutil.rmtree(self._files, ignore_errors=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start_origin(self) -> int:
        port = free_port()
        text = (HERE / "templates/origin.conf").read_text()
        for key, value in {"PORT": port, "DIR": self._directory, "FILES": self._files}.items():
            text = text.replace(f"@{key}@", str(value))
        path = Path(self._directory, "origin.conf")
        path.write_text(text)
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
        origin = Child("origin", [nginx, "-p", self._directory, "-e",
                                  f"{self._directory}/origin-start.log", "-c", str(path)],
                       self.bed.load_cpu, self._directory)
        self._children.append(origin)
        origin.wait_for_port(port)
        return port

    def _curl(self, path: str, arguments: list[str], version: str = "--http1.1") -> bytes:
        result = subprocess.run(
            ["taskset", "-c", str(self.bed.load_cpu), "curl", "-sS", "--fail",
             "--cacert", self.bed.authority, "--tlsv1.3", "--tls13-ciphers", CIPHER, version,
             *arguments, f"https://localhost:{self.port}/{path}"], capture_output=True)
        if result.returncode != 0:
            raise RuntimeError(f"curl: {result.stderr.decode().strip()}")
        return result.stdout

    def _cpu_microseconds(self) -> float:
        with open(f"/proc/{self.worker}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")

    def requests(self) -> dict:
        """Small answers on kept connections."""
        self._wrk(self.bed.warmup)
        before, began = self._cpu_microseconds(), time.monotonic()
        text = self._wrk(self.bed.seconds)
        cpu, seconds = self._cpu_microseconds() - before, time.monotonic() - began
        count = int(re.search(r"(\d+) requests in", text).group(1))
        if "Non-2xx" in text or "Socket errors" in text:
            raise RuntimeError(f"wrk: {text}")
        quantile = {
            # At the beginning of a line: the share within one deviation may be 50 % or 99 % too.
            name: _microseconds(re.search(rf"^\s+{name}%\s+(\S+)", text, re.MULTILINE).group(1))
            for name in ("50", "99")}
        return {
            "requestsPerSecond": float(re.search(r"Requests/sec:\s+(\S+)", text).group(1)),
            "cpuMicrosecondsPerRequest": cpu / count, "cpuShare": cpu / seconds / 1e6,
            "p50Microseconds": quantile["50"], "p99Microseconds": quantile["99"],
        }

    def _wrk(self, seconds: float) -> str:
        return self._load(
            "wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{max(1, round(seconds))}s",
            "--latency")

    def multiplexed_requests(self) -> dict:
        """Small answers on the streams of one connection that speaks HTTP/2."""
        self._h2load(self.bed.warmup)
        before, began = self._cpu_microseconds(), time.monotonic()
        text = self._h2load(self.bed.seconds)
        cpu, seconds = self._cpu_microseconds() - before, time.monotonic() - began
        counts = {
            name: int(count) for count, name in re.findall(r"(\d+) (done|succeeded|failed|errored)", text)}
        if not counts.get("done") or counts["failed"] or counts["errored"]:
            raise RuntimeError(f"h2load: {text}")
        return {
            "requestsPerSecond": counts["done"] / self.bed.seconds,
            "cpuMicrosecondsPerRequest": cpu / counts["done"], "cpuShare": cpu / seconds / 1e6,
        }

    def _h2load(self, seconds: float) -> str:
        text = self._load(
            "h2load", "-t", "1", "-c", "1", "-m", str(STREAMS), "-D", f"{max(1, round(seconds))}",
            f"--tls13-ciphers={CIPHER}")
        if "Application protocol: h2" not in text or CIPHER not in text:
            raise RuntimeError(f"h2load: {text}")
        return text

    def _load(self, program: str, *arguments: str) -> str:
        """Runs a load generator that reads its TLS settings from OpenSSL's configuration."""
        configuration = Path(self._directory, "openssl.cnf")
        configuration.write_text(
            "openssl_conf = c\n[c]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
            f"MinProtocol = TLSv1.3\nCiphersuites = {CIPHER}\n")
        result = subprocess.run(
            ["taskset", "-c", str(self.bed.load_cpu), program, *arguments,
             f"https://localhost:{self.port}/small"],
            capture_output=True, text=True, env={**os.environ, "OPENSSL_CONF": str(configuration)})
        if result.returncode != 0:
            raise RuntimeError(f"{program}: {result.stderr.strip() or result.stdout.strip()}")
        return result.stdout

    def downloads(self, version: str = "--http1.1") -> dict:
        """Large answers, one after the other on one connection."""
        before, began = self._cpu_microseconds(), time.monotonic()
        sizes = self._curl(f"large?[1-{DOWNLOADS}]", ["-o", "/dev/null", "-w", "%{size_download} "],
                           version)
        cpu, seconds = self._cpu_microseconds() - before, time.monotonic() - began
        if sizes.split() != [str(LARGE_BYTES).encode()] * DOWNLOADS:
            raise RuntimeError(f"not whole: {sizes!r}")
        megabytes = DOWNLOADS * LARGE_BYTES / 1e6
        return {
            "megabytesPerSecond": megabytes / seconds, "cpuShare": cpu / seconds / 1e6,
            "cpuMicrosecondsPerMegabyte": cpu / megabytes,
        }


def _microseconds(text: str) -> float:
    for unit, factor in (("us", 1), ("ms", 1e3), ("s", 1e6), ("m", 6e7)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    raise RuntimeError(f"not a time: {text}")
