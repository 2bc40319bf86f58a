# SPDX-License-Identifier: Apache-2.0
"""What the measurements say: medians, ratios to nginx, and whether Sluice's aims are met."""

from dataclasses import dataclass
from statistics import median

BASE = "nginx"


@dataclass(frozen=True)
class Metric:
    """One row: a value of Bench's report on one load."""

    title: str
    load: str
    key: str
    divisor: float = 1
    digits: int = 1
    has_ratio: bool = True


def busy(load: str) -> Metric:
    """How much of its core a proxy used: one that had to wait for the load batches more."""
    return Metric("· core busy %", load, "cpuShare", 0.01, 0, has_ratio=False)


METRICS = [
    Metric("echo 128 B, 64 connections: messages/s", "echo64", "messagesPerSecond", digits=0),
    Metric("· p50 µs", "echo64", "p50Microseconds", digits=0),
    Metric("· p99 µs", "echo64", "p99Microseconds", digits=0),
    Metric("· CPU µs/message", "echo64", "cpuMicrosecondsPerMessage"),
    busy("echo64"),
    Metric("echo 128 B, 1000 connections: messages/s", "echo1000", "messagesPerSecond", digits=0),
    Metric("· p50 µs", "echo1000", "p50Microseconds", digits=0),
    Metric("· p99 µs", "echo1000", "p99Microseconds", digits=0),
    Metric("· CPU µs/message", "echo1000", "cpuMicrosecondsPerMessage"),
    busy("echo1000"),
    Metric("stream 64 KiB frames: MB/s", "stream64k", "megabytesPerSecond", digits=0),
    Metric("· CPU ms/MB", "stream64k", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("stream64k"),
    Metric("stream 1 MiB frames: MB/s", "stream1m", "megabytesPerSecond", digits=0),
    Metric("· CPU ms/MB", "stream1m", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("stream1m"),
    Metric("app at wss: echo 128 B, 64 connections: messages/s", "tlsecho64", "messagesPerSecond",
           digits=0),
    Metric("· CPU µs/message", "tlsecho64", "cpuMicrosecondsPerMessage"),
    busy("tlsecho64"),
    Metric("app at wss: echo 128 B, 1000 connections: messages/s", "tlsecho1000",
           "messagesPerSecond", digits=0),
    Metric("· CPU µs/message", "tlsecho1000", "cpuMicrosecondsPerMessage"),
    busy("tlsecho1000"),
    Metric("app at wss: stream 64 KiB frames: MB/s", "tlsstream64k", "megabytesPerSecond", digits=0),
    Metric("· CPU ms/MB", "tlsstream64k", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("tlsstream64k"),
    Metric("new connections, full handshake: /s", "connect", "handshakesPerSecond", digits=0),
    Metric("· CPU µs each", "connect", "cpuMicrosecondsPerConnection", digits=0),
    busy("connect"),
    Metric("new connections, resumed: /s", "resume", "handshakesPerSecond", digits=0),
    Metric("· CPU µs each", "resume", "cpuMicrosecondsPerConnection", digits=0),
    busy("resume"),
    Metric("requests, 1 KiB answers, 64 connections: /s", "requests", "requestsPerSecond", digits=0),
    Metric("· p50 µs", "requests", "p50Microseconds", digits=0),
    Metric("· p99 µs", "requests", "p99Microseconds", digits=0),
    Metric("· CPU µs/request", "requests", "cpuMicrosecondsPerRequest"),
    busy("requests"),
    Metric("downloads of 64 MiB: MB/s", "download", "megabytesPerSecond", digits=0),
    Metric("· CPU ms/MB", "download", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("download"),
    Metric("h2: echo 128 B, 4 × 16 streams: messages/s", "h2echo64", "messagesPerSecond", digits=0),
    Metric("· p50 µs", "h2echo64", "p50Microseconds", digits=0),
    Metric("· p99 µs", "h2echo64", "p99Microseconds", digits=0),
    Metric("· CPU µs/message", "h2echo64", "cpuMicrosecondsPerMessage"),
    busy("h2echo64"),
    Metric("h2: echo 128 B, 50 × 20 streams: messages/s", "h2echo1000", "messagesPerSecond",
           digits=0),
    Metric("· p50 µs", "h2echo1000", "p50Microseconds", digits=0),
    Metric("· p99 µs", "h2echo1000", "p99Microseconds", digits=0),
    Metric("· CPU µs/message", "h2echo1000", "cpuMicrosecondsPerMessage"),
    busy("h2echo1000"),
    Metric("h2: stream 64 KiB frames, 2 × 4 streams: MB/s", "h2stream64k", "megabytesPerSecond",
           digits=0),
    Metric("· CPU ms/MB", "h2stream64k", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("h2stream64k"),
    Metric("h2: streams with one echo, 4 × 16: /s", "h2cycle", "handshakesPerSecond", digits=0),
    Metric("· CPU µs each", "h2cycle", "cpuMicrosecondsPerConnection"),
    busy("h2cycle"),
    Metric("h2: requests, 1 KiB answers, 1 × 100 streams: /s", "h2requests", "requestsPerSecond",
           digits=0),
    Metric("· CPU µs/request", "h2requests", "cpuMicrosecondsPerRequest"),
    busy("h2requests"),
    Metric("h2: downloads of 64 MiB: MB/s", "h2download", "megabytesPerSecond", digits=0),
    Metric("· CPU ms/MB", "h2download", "cpuMicrosecondsPerMegabyte", 1000, 2),
    busy("h2download"),
    Metric("h2: 9,000 idle relays, 450 × 20 streams: resident kB each", "h2idle",
           "residentBytesPerConnection", 1000),
    Metric("h2: 4,000 idle connections with one relay: resident kB each", "h2idle1",
           "residentBytesPerConnection", 1000),
    Metric("9,000 idle relays: resident kB each", "idle", "residentBytesPerConnection", 1000),
    Metric("echo beside 100 idle: CPU µs/message", "beside100", "cpuMicrosecondsPerMessage"),
    Metric("echo beside 9,000 idle: CPU µs/message", "beside9000", "cpuMicrosecondsPerMessage"),
    Metric("system calls/message (64 connections)", "syscalls", "perMessage", digits=2),
]


class Results:
    """All samples: by load, by peer, one report for each round."""

    def __init__(self):
        self.samples: dict[str, dict[str, list[dict]]] = {}

    def add(self, load: str, peer: str, report: dict) -> None:
        self.samples.setdefault(load, {}).setdefault(peer, []).append(report)

    def value(self, metric: Metric, peer: str) -> float | None:
        """The median over the rounds, None where there is no sample."""
        reports = self.samples.get(metric.load, {}).get(peer, [])
        values = [report[metric.key] for report in reports if report.get(metric.key) is not None]
        return median(values) / metric.divisor if values else None

    def ratio(self, metric: Metric, peer: str) -> float | None:
        value, base = self.value(metric, peer), self.value(metric, BASE)
        return value / base if value is not None and base else None


def rows(results: Results, peers: list[str]) -> list[list[str]]:
    """Header and lines as cells: the value, and behind it its ratio to nginx."""
    lines = [["", *peers]]
    for metric in METRICS:
        cells = []
        for peer in peers:
            value, ratio = results.value(metric, peer), results.ratio(metric, peer)
            text = "–" if value is None else f"{value:,.{metric.digits}f}"
            is_bare = ratio is None or peer == BASE or not metric.has_ratio
            cells.append(text if is_bare else f"{text} ({ratio:.2f})")
        if any(cell != "–" for cell in cells):
            lines.append([metric.title, *cells])
    return lines


def as_text(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths)))
        for line in lines)


def as_markdown(lines: list[list[str]]) -> str:
    head, *body = lines
    ruler = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ruler, *body])


def aims(results: Results) -> list[str]:
    """A line for each aim of Sluice that was measured: what is allowed, what was found."""
    metric = {(entry.load, entry.key): entry for entry in METRICS}
    message, megabyte = "cpuMicrosecondsPerMessage", "cpuMicrosecondsPerMegabyte"
    connection = "cpuMicrosecondsPerConnection"
    lines = []

    def judge(title: str, found: float | None, allowed: float, unit: str) -> None:
        if found is not None:
            word = "met" if found <= allowed else "MISSED"
            lines.append(f"{word:6}  {title}: {found:.2f}{unit}, at most {allowed:.2f}{unit}")

    def against_best(title: str, load: str, key: str) -> None:
        own = results.value(metric[load, key], "sluice")
        others = {
            peer: value for peer in results.samples.get(load, {})
            if not peer.startswith("sluice") and peer != "floor" and (value := results.value(metric[load, key], peer))}
        if own is not None and others:
            best = min(others, key=others.__getitem__)
            judge(f"{title}, against the best peer ({best})", own / others[best], 1, "×")

    for load, key, title, allowed in [
        ("echo64", message, "CPU per message, 64 connections, against nginx", 0.90),
        ("echo1000", message, "CPU per message, 1000 connections, against nginx", 0.80),
        ("stream64k", megabyte, "CPU per MB, 64 KiB frames, against nginx", 0.45),
        ("stream1m", megabyte, "CPU per MB, 1 MiB frames, against nginx", 0.45),
        ("connect", connection, "CPU per new connection, against nginx", 0.95),
        ("resume", connection, "CPU per resumed connection, against nginx", 1.0),
        ("requests", "cpuMicrosecondsPerRequest", "CPU per request, against nginx", 0.90),
    ]:
        judge(title, results.ratio(metric[load, key], "sluice"), allowed, "×")
    against_best("CPU per message, 64 connections", "echo64", message)
    against_best("CPU per message, 1000 connections", "echo1000", message)
    against_best("CPU per MB, 64 KiB frames", "stream64k", megabyte)
    against_best("CPU per MB, 1 MiB frames", "stream1m", megabyte)
    against_best("CPU per request", "requests", "cpuMicrosecondsPerRequest")
    against_best("CPU per MB, downloads", "download", megabyte)
    against_best("CPU per message over h2, 64 streams", "h2echo64", message)
    against_best("CPU per message over h2, 1000 streams", "h2echo1000", message)
    against_best("CPU per MB over h2, 64 KiB frames", "h2stream64k", megabyte)
    against_best("CPU per request over h2", "h2requests", "cpuMicrosecondsPerRequest")
    against_best("CPU per MB over h2, downloads", "h2download", megabyte)
    against_best("CPU per message to an app at wss, 64 connections", "tlsecho64", message)
    against_best("CPU per message to an app at wss, 1000 connections", "tlsecho1000", message)
    for load, own, key, title, allowed in [
        ("tlsecho64", "echo64", message, "CPU per message to an app at wss, against ws", 1.25),
        ("h2echo64", "echo64", message, "CPU per message, 64 streams, against HTTP/1.1", 0.55),
        ("h2stream64k", "stream64k", megabyte, "CPU per MB, 64 KiB, against HTTP/1.1", 1.1),
    ]:
        over, under = (results.value(metric[name, key], "sluice") for name in (load, own))
        if over and under:
            judge(title, over / under, allowed, "×")
    judge("CPU per request over h2, against nginx",
          results.ratio(metric["h2requests", "cpuMicrosecondsPerRequest"], "sluice"), 0.9, "×")
    judge("CPU per stream with one echo", results.value(metric["h2cycle", connection], "sluice"),
          70, " µs")
    judge("resident memory of an idle relay over h2",
          results.value(metric["h2idle", "residentBytesPerConnection"], "sluice"), 4.0, " kB")
    for load, key, title in [
        ("echo64", message, "message"), ("echo1000", message, "message, 1000 connections"),
        ("requests", "cpuMicrosecondsPerRequest", "request"),
        ("h2echo64", message, "message over h2"),
        ("h2requests", "cpuMicrosecondsPerRequest", "request over h2"),
    ]:
        counting, bare = (results.value(metric[load, key], name) for name in ("sluice", "sluice-bare"))
        if counting and bare:
            judge(f"CPU per {title}, against a build without metrics", counting / bare, 1.02, "×")
    for load, key, title, allowed in [
        ("echo64", message, "CPU per message, 64 connections", 1.12),
        ("echo1000", message, "CPU per message, 1000 connections", 1.22),
        ("stream64k", megabyte, "CPU per MB, 64 KiB frames", 1.7),
        ("stream1m", megabyte, "CPU per MB, 1 MiB frames", 1.7),
    ]:
        own, least = (results.value(metric[load, key], name) for name in ("sluice", "floor"))
        if own and least:
            judge(f"{title}, against the floor", own / least, allowed, "×")
    idle = metric["idle", "residentBytesPerConnection"]
    judge("resident memory of an idle relay", results.value(idle, "sluice"), 15.5, " kB")
    few = results.value(metric["beside100", message], "sluice")
    many = results.value(metric["beside9000", message], "sluice")
    if few and many:
        # 15 % is what identical runs vary by.
        judge("CPU per message, 9,000 idle against 100", many / few, 1.15, "×")
    return lines
