# SPDX-License-Identifier: Apache-2.0
"""aiohttp, requests and http.client against web_app.py behind the proxy: URL, authority."""

import asyncio
import hashlib
import http.client
import ssl
import sys

import aiohttp
import requests

url, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)


async def modern():
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(url + "/?a=b") as answer:
            assert await answer.text() == "page a=b", answer
        data = bytes(range(251)) * 50_000

        async def pieces():
            for start in range(0, len(data), 99_991):
                yield data[start : start + 99_991]

        for body in (data, pieces()):
            async with session.post(url + "/upload", data=body) as answer:
                said = await answer.json()
                assert said["count"] == len(data), said
                assert said["digest"] == hashlib.sha256(data).hexdigest(), said
        async with session.get(url + "/download?blocks=200") as answer:
            assert await answer.read() == bytes(range(256)) * 256 * 200
        async with session.get(url + "/events") as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            for number in range(5):
                line = await answer.content.readuntil(b"\n\n")
                assert line == b"data: %d\n\n" % number, line
                async with session.post(url + "/poke") as poked:
                    assert poked.status == 204
        poll = asyncio.create_task(session.get(url + "/poll"))
        async with session.post(url + "/poke") as poked:
            assert poked.status == 204
        assert await (await poll).text() == "poked"
        async with session.ws_connect(url + "/Esv/ocp") as peer:
            for number in range(20):
                await peer.send_str(f"message {number}")
                assert await peer.receive_str() == f"message {number}"


def blocking():
    with requests.Session() as session:
        # Else a bundle named in the environment would count more than ours.
        session.trust_env = False
        session.verify = authority
        for number in range(20):
            assert session.get(f"{url}/?{number}").text == f"page {number}"
        said = session.post(url + "/upload", data=b"x" * 1_000_000).json()
        assert said["count"] == 1_000_000, said
        assert session.get(url + "/nowhere").status_code == 404
        assert session.head(url + "/").headers["Content-Length"] == "5"


def oldest():
    host = url.split("//")[1]
    connection = http.client.HTTPSConnection(host, context=context)
    for number in range(5):
        connection.request("GET", f"/?{number}")
        answer = connection.getresponse()
        assert answer.read() == b"page %d" % number
    connection.request("POST", "/upload", body=iter([b"a", b"bc"]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    assert b'"count": 3' in connection.getresponse().read()


asyncio.run(modern())
blocking()
oldest()
print("ok")
