# SPDX-License-Identifier: Apache-2.0
"""A collector of traces that takes nothing but what OpenTelemetry's own schema allows.

`otlp_collector.py [CHAIN KEY]`: listens, by TLS where files are given, and prints `port N`. Each request is read by
OpenTelemetry's protobuf schema as its JSON mapping says, and unknown fields are errors. Of each span a line `span {…}`
is printed, of each request's fields a line `request {…}`, and of what is not allowed a line `invalid …`, answered 400.
"""

import base64
import http.server
import json
import re
import ssl
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest, ExportTraceServiceResponse)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LENGTHS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}


def names_to_base64(node):
    """OTLP writes names in hexadecimal digits, where protobuf's own JSON has base64."""
    if isinstance(node, list):
        return [names_to_base64(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key in LENGTHS:
            assert re.fullmatch("[0-9a-f]{%d}" % LENGTHS[key], value), f"{key}: {value}"
            assert int(value, 16) != 0, f"{key} is 0"
            value = base64.b64encode(bytes.fromhex(value)).decode()
        elif key.endswith("UnixNano"):
            assert isinstance(value, str) and value.isdigit(), f"{key}: {value!r}"
        elif key == "intValue":
            assert isinstance(value, str), f"{key}: {value!r}"
        elif key in ("kind", "code"):
            assert isinstance(value, int), f"{key}: {value!r}"
        made[key] = names_to_base64(value)
    return made


def attributes(list_):
    made = {}
    for pair in list_:
        assert pair.key and pair.key not in made, f"twice: {pair.key}"
        kind = pair.value.WhichOneof("value")
        assert kind, f"no value: {pair.key}"
        made[pair.key] = getattr(pair.value, kind)
    return made


def spans(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                assert span.start_time_unix_nano > 0, "no begin"
                assert span.end_time_unix_nano >= span.start_time_unix_nano, "ends before it begins"
                assert span.name, "no name"
                assert len(span.trace_id) == 16 and len(span.span_id) == 8
                yield {
                    "resource": attributes(resource.resource.attributes),
                    "scope": scope.scope.name,
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(), "flags": span.flags,
                    "name": span.name, "kind": Span.SpanKind.Name(span.kind),
                    "begin": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "events": [
                        {"name": event.name, "time": event.time_unix_nano,
                         "attributes": attributes(event.attributes)} for event in span.events],
                    "links": [{"trace": link.trace_id.hex(), "span": link.span_id.hex()}
                              for link in span.links],
                    "status": span.status.code, "message": span.status.message,
                }


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print("request", json.dumps({"path": self.path, **{
            name.lower(): value for name, value in self.headers.items()}}), flush=True)
        try:
            assert self.path == "/v1/traces", self.path
            assert self.headers["Content-Type"] == "application/json"
            request = json_format.ParseDict(
                names_to_base64(json.loads(body)), ExportTraceServiceRequest())
            found = list(spans(request))
            assert found, "no spans"
        except Exception as fault:
            print("invalid", repr(fault), body[:2000], flush=True)
            self.answer(400, json.dumps({"message": repr(fault)}).encode())
            return
        for span in found:
            print("span", json.dumps(span), flush=True)
        self.answer(200, json_format.MessageToJson(ExportTraceServiceResponse()).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
if len(sys.argv) == 3:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("port", server.server_address[1], flush=True)
server.serve_forever()
