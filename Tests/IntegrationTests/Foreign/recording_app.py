# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1.1 app by hand that keeps what it was asked, byte for byte as far as a peer can tell.

Each request has a field `x-id`. `GET /seen` gives, as JSON, what came under each: the first line, the fields
in order, the body's length and digest, the trailers, and whether the body came to its end; of a WebSocket
also its frames. Two requests with the same id are a fault, which `/seen` tells.
"""

import asyncio
import base64
import hashlib
import json

seen = {}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def line(reader):
    text = await reader.readuntil(b"\r\n")
    return text[:-2].decode("latin-1")


async def fields(reader):
    found = []
    while text := await line(reader):
        name, value = text.split(":", 1)
        found.append([name, value.strip()])
    return found


async def body(reader, head, record):
    """Reads the body; what of it has come is in the record, whatever happens."""
    digest = hashlib.sha256()
    record["body"] = [0, digest.hexdigest()]

    async def take(count):
        data = await reader.readexactly(count)
        digest.update(data)
        record["body"] = [record["body"][0] + count, digest.hexdigest()]

    lengths = [value for name, value in head if name.lower() == "content-length"]
    codings = [value for name, value in head if name.lower() == "transfer-encoding"]
    assert len(lengths) + len(codings) <= 1, head
    record["framing"] = "length" if lengths else "chunked" if codings else "none"
    if lengths:
        await take(int(lengths[0]))
    elif codings:
        while count := int((await line(reader)).split(";")[0], 16):
            await take(count)
            assert await line(reader) == ""
        record["trailers"] = await fields(reader)


async def frames(reader, writer, head, record):
    key = next(value for name, value in head if name.lower() == "sec-websocket-key")
    assert len(base64.b64decode(key, validate=True)) == 16, key
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    record["frames"] = []
    while True:
        first, second = await reader.readexactly(2)
        count = second & 127
        assert second & 128, "a frame without a mask"
        if count > 125:
            wide = {126: 2, 127: 8}[count]
            count = int.from_bytes(await reader.readexactly(wide), "big")
        mask = await reader.readexactly(4)
        data = await reader.readexactly(count)
        data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        record["frames"].append([first, len(data), hashlib.sha256(data).hexdigest()])
        size = bytes([count]) if count < 126 else b"\x7e" + count.to_bytes(2, "big")
        writer.write(bytes([first & 0xF0 | (10 if first & 15 == 9 else first & 15)]) + size + data)
        await writer.drain()
        if first & 15 == 8:
            return


async def request(reader, writer):
    first = await line(reader)
    head = await fields(reader)
    known = {name.lower(): value for name, value in head}
    if first.startswith("GET /seen "):
        data = json.dumps(seen).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        return True
    record = {"line": first, "fields": head, "complete": False}
    name = known.get("x-id", "nameless")
    if name in seen:
        name += " again"
    seen[name] = record
    if "upgrade" in known:
        await frames(reader, writer, head, record)
        record["complete"] = True
        return False
    if known.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    await body(reader, head, record)
    record["complete"] = True
    method, target, _ = first.split(" ")
    count = int(target.rpartition("answer=")[2] or 0) if "answer=" in target else 0
    data = hashlib.shake_128(name.partition("-")[2].encode()).digest(count)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
                 + (b"" if method == "HEAD" else data))
    await writer.drain()
    return True


async def serve(reader, writer):
    try:
        while await request(reader, writer):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    except Exception as fault:
        seen[f"fault {len(seen)}"] = {"fault": repr(fault), "complete": True}
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
