# SPDX-License-Identifier: Apache-2.0
"""A client by Python's h2, which a test talks to over two pipes.

Each side has its turn: four bytes of length, and as many bytes. A length of 0xFFFFFFFF ends the
conversation; a line of JSON follows that says what the client has seen.
"""
import json
import struct
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated, DataReceived, InformationalResponseReceived, PingAckReceived,
    RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset, TrailersReceived)
from h2.settings import SettingCodes

client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
seen = {}
other = {"acks": 0, "goaway": None, "settings": {}}
uploads = {}


def read(count):
    data = b""
    while len(data) < count:
        more = sys.stdin.buffer.read(count - len(data))
        if not more:
            sys.exit("the server has gone")
        data += more
    return data


def stream(number):
    return seen.setdefault(
        str(number),
        {"status": None, "interim": [], "fields": [], "body": 0, "sum": 0, "trailers": [], "ended": False,
         "reset": None})


def handle(event):
    if isinstance(event, InformationalResponseReceived):
        stream(event.stream_id)["interim"].append(dict(event.headers)[":status"])
    elif isinstance(event, ResponseReceived):
        answer = stream(event.stream_id)
        fields = [list(field) for field in event.headers]
        answer["status"] = fields[0][1]
        answer["fields"] = fields[1:]
    elif isinstance(event, DataReceived):
        answer = stream(event.stream_id)
        answer["body"] += len(event.data)
        answer["sum"] = (answer["sum"] + sum(event.data)) % 1000003
        client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, TrailersReceived):
        stream(event.stream_id)["trailers"] = [list(field) for field in event.headers]
    elif isinstance(event, StreamEnded):
        stream(event.stream_id)["ended"] = True
    elif isinstance(event, StreamReset):
        stream(event.stream_id)["reset"] = int(event.error_code)
    elif isinstance(event, PingAckReceived):
        other["acks"] += 1
    elif isinstance(event, RemoteSettingsChanged):
        for code, setting in event.changed_settings.items():
            other["settings"][str(int(code))] = setting.new_value
    elif isinstance(event, ConnectionTerminated):
        other["goaway"] = int(event.error_code)


def push_uploads():
    for number in list(uploads):
        while uploads[number]:
            room = min(
                client.local_flow_control_window(number), client.max_outbound_frame_size, 7000)
            if room <= 0:
                return
            part, uploads[number] = uploads[number][:room], uploads[number][room:]
            # Every other frame is padded, as far as the window allows.
            pad = 100 if len(part) % 2 == 0 and room > len(part) + 101 else None
            client.send_data(number, part, pad_length=pad)
        client.end_stream(number)
        del uploads[number]


def turn():
    """Sends what there is, and reads what the server has to say; whether anything was said."""
    out = client.data_to_send()
    sys.stdout.buffer.write(struct.pack("!I", len(out)) + out)
    sys.stdout.buffer.flush()
    answer = read(struct.unpack("!I", read(4))[0])
    for event in client.receive_data(answer) if answer else []:
        handle(event)
    push_uploads()
    return bool(out or answer)


def settle():
    while turn() or client.data_to_send(0):
        pass


def head(method, path, *more):
    return [(":method", method), (":scheme", "https"), (":authority", "example.com"), (":path", path), *more]


client.initiate_connection()
settle()
assert client.remote_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
client.send_headers(1, head("GET", "/one", ("cookie", "a=b"), ("cookie", "c=d")), end_stream=True)
client.send_headers(3, head("POST", "/echo", ("x-long", "v" * 30000)))
uploads[3] = bytes(index % 251 for index in range(300_000))
client.send_headers(5, [
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/chat"),
    (":authority", "example.com"), ("sec-websocket-version", "13")])
client.ping(b"12345678")
push_uploads()
settle()
client.send_data(5, b"hello")
client.send_headers(7, head("GET", "/large"), end_stream=True)
client.send_headers(9, head("GET", "/cancelled"), end_stream=True)
settle()
client.reset_stream(9, 8)
client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
client.send_headers(11, head("GET", "/large"), end_stream=True)
client.end_stream(5)
settle()
client.send_headers(13, head("POST", "/trailers", ("te", "trailers")))
client.send_data(13, b"abc")
client.send_headers(13, [("x-sum", "294")], end_stream=True)
settle()
client.close_connection()
settle()
sys.stdout.buffer.write(struct.pack("!I", 0xFFFFFFFF))
sys.stdout.buffer.write(json.dumps({"streams": seen, **other}).encode() + b"\n")
sys.stdout.buffer.flush()
