# SPDX-License-Identifier: Apache-2.0
"""The comparison as bars in an SVG file: for each load what each peer took, the less the better."""

from html import escape

from . import table

CHARTS = [
    ("echo64", "cpuMicrosecondsPerMessage", "echo 128 B, 64 connections", "µs CPU/message"),
    ("echo1000", "cpuMicrosecondsPerMessage", "echo 128 B, 1000 connections", "µs CPU/message"),
    ("stream64k", "cpuMicrosecondsPerMegabyte", "64 KiB frames", "ms CPU/MB"),
    ("stream1m", "cpuMicrosecondsPerMegabyte", "1 MiB frames", "ms CPU/MB"),
    ("connect", "cpuMicrosecondsPerConnection", "new connections, full handshake", "µs CPU each"),
    ("resume", "cpuMicrosecondsPerConnection", "new connections, resumed", "µs CPU each"),
    ("requests", "cpuMicrosecondsPerRequest", "requests, 1 KiB answers", "µs CPU/request"),
    ("download", "cpuMicrosecondsPerMegabyte", "downloads of 64 MiB", "ms CPU/MB"),
    ("idle", "residentBytesPerConnection", "9,000 idle relays", "kB resident each"),
]
COLUMNS, WIDTH, ROW, GAP, LABEL, VALUE = 3, 330, 17, 24, 78, 48
STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; color: #1b1f24; }
text { fill: currentColor; } .title { font-weight: 600; } .unit, .facts { fill: #57606a; }
rect { fill: #9aa4b0; } rect.own { fill: #0a6cd6; } rect.floor { fill: #d5dae0; }
@media (prefers-color-scheme: dark) {
  svg { background: #11151a; color: #e6edf3; } .unit, .facts { fill: #9aa4b0; }
  rect { fill: #5b6673; } rect.own { fill: #4aa3ff; } rect.floor { fill: #333c47; } }
"""


def svg(results: table.Results, peers: list[str], facts: str) -> str:
    metrics = {(metric.load, metric.key): metric for metric in table.METRICS}
    shown = []
    for load, key, title, unit in CHARTS:
        found = [(peer, results.value(metrics[load, key], peer)) for peer in peers]
        found = [(peer, value) for peer, value in found if value is not None]
        if found:
            shown.append((title, unit, metrics[load, key].digits, found))
    parts, top = [], 16
    for start in range(0, len(shown), COLUMNS):
        row = shown[start:start + COLUMNS]
        for column, chart in enumerate(row):
            parts.append(_chart(16 + column * (WIDTH + GAP), top, *chart))
        top += 36 + ROW * max(len(found) for *_, found in row) + GAP
    lines = facts.splitlines()
    for index, line in enumerate(lines):
        parts.append(f'<text class="facts" x="16" y="{top + 12 + 16 * index}">{escape(line)}</text>')
    width = 32 + COLUMNS * WIDTH + (COLUMNS - 1) * GAP
    height = top + 16 * len(lines) + 16
    title = "What each proxy takes for the same load; shorter is better"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{title}">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n")


def _chart(left: int, top: int, title: str, unit: str, digits: int, found) -> str:
    most = max(value for _, value in found) or 1
    room = WIDTH - LABEL - VALUE
    lines = [
        f'<text class="title" x="{left}" y="{top + 12}">{escape(title)}</text>',
        f'<text class="unit" x="{left}" y="{top + 28}">{escape(unit)}</text>',
    ]
    for index, (peer, value) in enumerate(found):
        y = top + 36 + ROW * index
        kind = "own" if peer.startswith("sluice") else "floor" if peer == "floor" else "peer"
        lines += [
            f'<text x="{left}" y="{y + 11}">{escape(peer)}</text>',
            f'<rect class="{kind}" x="{left + LABEL}" y="{y}" width="{max(1, room * value / most):.1f}" '
            f'height="{ROW - 4}" rx="2"/>',
            f'<text x="{left + LABEL + room * value / most + 6:.1f}" y="{y + 11}">{value:,.{digits}f}</text>',
        ]
    return "\n".join(lines)
