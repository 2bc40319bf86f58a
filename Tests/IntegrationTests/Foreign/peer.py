# SPDX-License-Identifier: Apache-2.0
"""What the foreign peers share: a client that trusts only the given authority."""

import ssl

from websockets.asyncio.client import connect


def payload(count, seed):
    """`count` bytes that differ with `seed` and don't repeat at a power of two."""
    block = bytes((index * 7 + seed) % 251 for index in range(251))
    return (block * (count // 251 + 1))[:count]


def client(url, authority, **options):
    """A connection to `url`, its certificate verified against `authority` alone."""
    options.setdefault("compression", None)
    options.setdefault("max_size", None)
    options.setdefault("open_timeout", 60)
    trusted = None
    if url.startswith("wss:"):
        trusted = ssl.create_default_context(cafile=authority)
    return connect(url, ssl=trusted, proxy=None, ping_interval=None, **options)
