# SPDX-License-Identifier: Apache-2.0
"""One measurement: a fresh echo app, a fresh proxy in front of it, one load through it."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from .children import Child, free_port
from .peers import ROOT, Peer, Site
from .web import WebRun

BENCH = str(ROOT / ".build/release/Bench")
CIPHER = "TLS_AES_128_GCM_SHA256"
PATH = "/Esv/ocp"


@dataclass(frozen=True)
class Load:
    """What is sent through a proxy, as arguments of Bench."""

    name: str
    arguments: tuple[str, ...]
    is_timed: bool = True
    idle_beside: int = 0
    is_web: bool = False
    # WebSockets in HTTP/2, which not every peer serves.
    is_multiplexed: bool = False
    # Whether it can be sent by what passes bytes and knows no TLS.
    has_floor: bool = False
    # Whether the app behind speaks TLS; only peers that say how have such a row.
    has_secure_app: bool = False
    # How often the proxy is started for it in one round; the time is shared out among them.
    starts: int = 1


def _streams(
    name: str, mode: str, connections: int, streams: int, *more: str, is_timed: bool = True
) -> Load:
    """A load of WebSockets in HTTP/2."""
    return Load(
        name, (mode, "--connections", str(connections), "--streams", str(streams), *more),
        is_timed=is_timed, is_multiplexed=True)


IDLE_RELAYS = 9_000
LOADS = [
    Load("echo64", ("echo", "--connections", "64", "--message-bytes", "128"), has_floor=True),
    Load("echo1000", ("echo", "--connections", "1000", "--message-bytes", "128"), has_floor=True),
    Load("stream64k", ("stream", "--connections", "8", "--message-bytes", "65536"), has_floor=True),
    Load("stream1m", ("stream", "--connections", "8", "--message-bytes", "1048576"), has_floor=True),
    Load("tlsecho64", ("echo", "--connections", "64", "--message-bytes", "128"), has_secure_app=True),
    Load("tlsecho1000", ("echo", "--connections", "1000", "--message-bytes", "128"),
         has_secure_app=True),
    Load("tlsstream64k", ("stream", "--connections", "8", "--message-bytes", "65536"),
         has_secure_app=True),
    # What a handshake costs follows the machine's speed by the second, and where in memory a process
    # came to lie: up to a tenth from one start to the next, of any proxy.
    Load("connect", ("connect", "--connections", "8"), starts=5),
    Load("resume", ("connect", "--connections", "8", "--resume"), starts=5),
    Load("requests", (), is_web=True),
    Load("download", (), is_web=True),
    _streams("h2echo64", "echo", 4, 16, "--message-bytes", "128"),
    _streams("h2echo1000", "echo", 50, 20, "--message-bytes", "128"),
    _streams("h2stream64k", "stream", 2, 4, "--message-bytes", "65536"),
    _streams("h2cycle", "cycle", 4, 16, "--message-bytes", "128"),
    Load("h2requests", (), is_web=True),
    Load("h2download", (), is_web=True),
]
IDLE_LOADS = [
    Load("idle", ("idle", "--connections", str(IDLE_RELAYS), "--duration", "2"), is_timed=False),
    _streams("h2idle", "idle", 450, IDLE_RELAYS // 450, "--duration", "2", is_timed=False),
    _streams("h2idle1", "idle", 4_000, 1, "--duration", "2", is_timed=False),
    Load("beside100", ("echo", "--connections", "64", "--message-bytes", "128"), idle_beside=100),
    Load("beside9000", ("echo", "--connections", "64", "--message-bytes", "128"),
         idle_beside=IDLE_RELAYS),
]


@dataclass(frozen=True)
class Bed:
    """What all measurements have in common."""

    directory: str
    chain: str
    key: str
    bundle: str
    authority: str
    open_files: int
    proxy_cpu: int
    load_cpu: int
    seconds: float
    warmup: float

    @staticmethod
    def make(directory: str, open_files: int, arguments) -> "Bed":
        """Makes the certificates: an authority and a leaf, both EC P-256."""
        base = Path(directory)
        # nginx's worker is not root and looks for its temporary files here.
        base.chmod(0o755)
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        authority, chain = str(base / "ca.pem"), str(base / "localhost.pem")
        authority_key, leaf_key = str(base / "ca-key.pem"), str(base / "localhost-key.pem")
        _openssl("req", "-x509", *key, "-keyout", authority_key, "-out", authority,
                 "-subj", "/CN=Comparison CA", "-days", "7")
        _openssl("req", "-x509", *key, "-keyout", leaf_key, "-out", chain,
                 "-CA", authority, "-CAkey", authority_key, "-subj", "/CN=localhost",
                 "-days", "7", "-addext", "basicConstraints=critical,CA:FALSE",
                 "-addext", "extendedKeyUsage=serverAuth",
                 "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        bundle = base / "localhost-bundle.pem"
        bundle.write_text(Path(chain).read_text() + Path(leaf_key).read_text())
        return Bed(directory, chain, leaf_key, str(bundle), authority, open_files,
                   arguments.proxy_cpu, arguments.load_cpu, arguments.seconds, arguments.warmup)


class Running:
    """A proxy with an echo app behind it, both up and relaying."""

    def __init__(self, bed: Bed, peer: Peer, has_secure_app: bool = False):
        self.bed = bed
        self._directory = tempfile.mkdtemp(prefix=f"{peer.name}-", dir=bed.directory)
        os.chmod(self._directory, 0o755)
        self._children: list[Child] = []
        try:
            backend = self._start(
                "backend", [BENCH, "backend", "--listen", "127.0.0.1:0", "--cpu",
                            str(bed.load_cpu)])
            line = backend.wait_for_line("listening on ")
            port = int(line.rsplit(":", 1)[1])
            if has_secure_app:
                port = self._secured(port)
            site = Site(self._directory, bed.chain, bed.key, bed.bundle, port, bed.open_files,
                        bed.authority if has_secure_app else None)
            self.is_plain = peer.is_floor
            self.port = free_port()
            proxy = peer.start(site, self.port, bed.proxy_cpu)
            self._children.append(proxy)
            proxy.wait_for_port(self.port)
            self.worker = peer.worker(proxy)
            # Some listen before they know what they serve.
            until = time.monotonic() + 10
            while True:
                try:
                    probe(self.port, None if self.is_plain else bed.authority)
                    break
                except (OSError, RuntimeError):
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.1)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._children:
            self._children.pop().end()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self, name: str, argv: list[str]) -> Child:
        child = Child(name, argv, self.bed.load_cpu, self._directory)
        self._children.append(child)
        return child

    def _secured(self, backend_port: int) -> int:
        """Puts TLS in front of the echo app, the same for all: a Sluice on the load's core."""
        port = free_port()
        path = os.path.join(self._directory, "secured.yaml")
        Path(path).write_text(
            f'listen: [{{ address: "127.0.0.1:{port}", tls: {{ certificates: '
            f'[{{ chain: "{self.bed.chain}", key: "{self.bed.key}" }}], cipherSuites: {CIPHER}, '
            f'protocols: [http/1.1] }} }}]\n'
            f'routes: [{{ path: "/*", to: "ws://127.0.0.1:{backend_port}" }}]\n'
            'log: { access: "off" }\n')
        child = self._start(
            "secured", [str(ROOT / ".build/release/sluice"), "run", "-c", path, "--workers", "1"])
        child.wait_for_port(port)
        return port

    def bench(self, arguments: tuple[str, ...] | list[str]) -> list[str]:
        mode, *rest = arguments
        tls = [] if self.is_plain else ["--ca", self.bed.authority, "--cipher", CIPHER]
        return [
            BENCH, mode, f"{'ws' if self.is_plain else 'wss'}://localhost:{self.port}{PATH}",
            "--connect", f"127.0.0.1:{self.port}", *tls, "--cpu", str(self.bed.load_cpu),
            "--watch-pid", str(self.worker), "--json", *rest,
        ]

    def run(self, load: Load) -> dict:
        """Sends the load and gives what Bench reports."""
        if load.idle_beside:
            idle = self._start("idle", self.bench(
                ["idle", "--connections", str(load.idle_beside), "--duration", "3600"]))
            idle.wait_for_line("open ")
        arguments = list(load.arguments)
        if load.is_timed:
            arguments += ["--duration", str(self.bed.seconds / load.starts),
                          "--warmup", str(self.bed.warmup / load.starts)]
        return self.report(arguments)

    def report(self, arguments: list[str]) -> dict:
        result = subprocess.run(self.bench(arguments), capture_output=True, text=True)
        try:
            report = json.loads(result.stdout)
        except ValueError:
            raise RuntimeError(f"Bench: {result.stderr.strip() or result.stdout.strip()}") from None
        if report.get("errors"):
            raise RuntimeError(f"{report['errors']} errors, first: {report.get('firstError')}")
        if not self.is_plain and report.get("cipher", CIPHER) != CIPHER:
            raise RuntimeError(f"the cipher is {report['cipher']}, not {CIPHER}")
        if "--resume" in arguments and report["resumed"] < 0.99 * report["handshakes"]:
            raise RuntimeError(f"{report['resumed']} of {report['handshakes']} were resumed")
        return report

    def syscalls_per_message(self) -> float:
        """System calls of the worker for each echoed message of 128 bytes at 64 connections.

        The difference of a short and a longer run, so that opening and closing do not count.
        """
        few, many = (self._traced(count) for count in (4_000, 24_000))
        return (many[0] - few[0]) / (many[1] - few[1])

    def _traced(self, count: int) -> tuple[int, int]:
        path = os.path.join(self._directory, "strace.out")
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-p", str(self.worker), "-o", path],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True)
        try:
            line = tracer.stderr.readline()
            if "attached" not in line:
                raise RuntimeError(f"strace: {line.strip()}")
            report = self.report(["echo", "--connections", "64", "--count", str(count)])
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
            tracer.stderr.close()
        # "100.00    0.123456           1    123456       789 total"
        total = re.search(r"^\s*100\.00\s+[\d.]+\s+\d+\s+(\d+).*total$",
                          Path(path).read_text(), re.MULTILINE)
        if total is None:
            raise RuntimeError("strace printed no total")
        return int(total.group(1)), int(report["messages"])


def measure(bed: Bed, peer: Peer, load: Load) -> dict:
    if load.is_web:
        with WebRun(bed, peer) as web:
            return {
                "requests": web.requests, "download": web.downloads,
                "h2requests": web.multiplexed_requests,
                "h2download": lambda: web.downloads("--http2"),
            }[load.name]()
    with Running(bed, peer, load.has_secure_app) as running:
        return running.run(load)


def syscalls(bed: Bed, peer: Peer) -> float:
    with Running(replace(bed, warmup=0), peer) as running:
        return running.syscalls_per_message()


def _secure(plain: socket.socket, authority: str | None):
    if authority is None:
        return contextlib.nullcontext(plain)
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context.wrap_socket(plain, server_hostname="localhost")


def probe(port: int, authority: str | None) -> None:
    """One message there and back, through TLS 1.3 where there is an authority, before anything is measured."""
    payload, mask = b"does it relay?", os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {PATH} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with _secure(plain, authority) as secure:
            secure.sendall(request.encode())
            received = _read_until(secure, lambda data: b"\r\n\r\n" in data)
            if not received.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"no upgrade: {received[:80]!r}")
            secure.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
            expected = bytes([0x81, len(payload)]) + payload
            rest = received.split(b"\r\n\r\n", 1)[1]
            rest += _read_until(secure, lambda data: len(rest + data) >= len(expected))
            if rest != expected:
                raise RuntimeError(f"not echoed: {rest[:80]!r}")
            close = bytes([0x88, 0x82]) + mask + bytes([0x03 ^ mask[0], 0xE8 ^ mask[1]])
            secure.sendall(close)
            _read_until(secure, lambda data: len(data) >= 4)
    time.sleep(0.05)


def _read_until(source, is_enough) -> bytes:
    data = b""
    while not is_enough(data):
        more = source.recv(65_536)
        if not more:
            raise RuntimeError(f"the connection ended early, after {data[:80]!r}")
        data += more
    return data


def _openssl(*arguments: str) -> None:
    result = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.strip()}")
