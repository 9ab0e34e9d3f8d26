"""Spans of a real server, as a collector gets them."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.s3.calls import raw
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Collector(HTTPServer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.sent.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_collector_gets_a_span_for_each_request_and_no_names(collector: Collector, tmp_path: Path) -> None:
    served = Server(tmp_path, {"STRONGROOM_TRACE__OTLP_URL": collector.url})
    answer = raw(served, "PUT", "/bucket-zq1")
    assert answer.status == 200
    assert raw(served, "GET", "/bucket-zq1/key-zq2").status == 404
    assert httpx.get(f"{served.audit_endpoint}/v1/log/stream-zq3/checkpoint").status_code == 404
    assert served.stop() == 0
    messages = [ExportTraceServiceRequest.FromString(data) for data in collector.sent]
    scopes = [scope for message in messages for of in message.resource_spans for scope in of.scope_spans]
    spans = [span for scope in scopes for span in scope.spans]
    assert {span.name for span in spans} == {"bucket.create", "object.get", "/v1/log/{stream}/checkpoint"}
    (made,) = (span for span in spans if span.name == "bucket.create")
    told = {item.key: item.value.string_value or item.value.int_value for item in made.attributes}
    assert told["strongroom.request_id"] == answer.headers["x-amz-request-id"]
    assert told["http.response.status_code"] == 200
    assert b"zq" not in b"".join(collector.sent)
    assert served.secret_key.encode() not in b"".join(collector.sent)


def test_a_collector_that_is_away_costs_nobody_an_answer(tmp_path: Path) -> None:
    served = Server(tmp_path, {"STRONGROOM_TRACE__OTLP_URL": "http://127.0.0.1:9/v1/traces"})
    assert raw(served, "PUT", "/bucket").status == 200
    assert served.stop() == 0


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "ftp://x/y", "http://x", "http:///v1"])
def test_what_is_no_collectors_address_is_refused(url: str, tmp_path: Path) -> None:
    refused = command("serve", "--data", tmp_path, env={"STRONGROOM_TRACE__OTLP_URL": url})
    assert refused.returncode == 2
    assert "STRONGROOM_TRACE__OTLP_URL" in refused.stderr
