from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from audit.api.app import make_app
from audit.errors import ConfigInvalid
from audit.tracing import NoTracing, open_tracing
from audit.tracing.spans import Spans
from tests.doubles.asgi import Answer, Client
from tests.doubles.s3_service import FakeService
from tests.unit.api.test_api import LOG, fails, sealed
from tests.unit.api.test_requests import nobody
from tests.unit.s3.signer import ACCESS_KEY, SECRET, Signer
from tests.unit.s3.wire import WALL
from vault.errors import S3Error
from vault.s3.app import S3App

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from audit.ingest.receiving import Receiver
    from tests.doubles.node import FakeNode
    from vault.service import Service

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced:
    """Spans of what is asked."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.spans = Spans("http://none.invalid/", SimpleSpanProcessor(self.exporter))

    @property
    def finished(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def s3(self, failure: Exception, headers: dict[str, str]) -> Answer:
        service = FakeService(secrets={ACCESS_KEY: SECRET})
        service.answers["objects.delete"] = failure
        app = S3App(cast("Service", service), wall=lambda: WALL)
        request = Signer().header("DELETE", "/bucket-name/key-name", headers=headers)
        traced = self.spans.around(app, "s3")
        return asyncio.run(Client().ask(traced, request.method, request.path, request.query, request.headers))

    def audit(self, node: FakeNode, path: str) -> httpx.Response:
        async def send() -> httpx.Response:
            app = self.spans.around(cast("Any", make_app(node.node, nobody, cast("Receiver", object()))), "audit")
            transport = httpx.ASGITransport(cast("Any", app), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://audit") as client:
                return await client.get(path)

        return asyncio.run(send())


def test_a_request_is_a_span_of_the_clients_trace_under_an_id_of_ours() -> None:
    traced = Traced()
    answer = traced.s3(S3Error("NoSuchBucket"), {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    (span,) = traced.finished
    assert span.name == "object.delete"
    assert span.attributes == {
        "strongroom.port": "s3",
        "http.request.method": "DELETE",
        "http.response.status_code": 404,
        "strongroom.request_id": answer.headers["x-amz-request-id"],
    }
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("sent", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "\xff" * 300])
def test_a_trace_that_is_none_begins_another(sent: str) -> None:
    traced = Traced()
    traced.s3(S3Error("NoSuchBucket"), {"traceparent": sent} if sent else {})
    (span,) = traced.finished
    assert span.parent is None


def test_a_fault_is_an_error_and_no_span_says_what_it_was_about(monkeypatch: pytest.MonkeyPatch) -> None:
    traced, node = Traced(), sealed(1)
    monkeypatch.setattr(node, "checkpoint", fails(RuntimeError("key-name")))
    assert traced.s3(KeyError("key-name"), {}).status == 500
    answer = traced.audit(node, f"{LOG}/checkpoint")
    assert answer.status_code == 500
    assert traced.audit(node, "/v1/log/key-name/checkpoint").status_code == 404
    s3, fault, missing = traced.finished
    assert s3.status.status_code is fault.status.status_code is StatusCode.ERROR
    assert missing.status.status_code is StatusCode.UNSET
    assert fault.name == missing.name == "/v1/log/{stream}/checkpoint"
    assert fault.attributes is not None
    assert fault.attributes["strongroom.request_id"] == answer.headers["x-request-id"]
    assert not any("-name" in span.to_json() for span in traced.finished)


def test_without_a_collector_there_is_nothing_around_a_request_and_nothing_is_loaded() -> None:
    tracing = open_tracing("")
    app = cast("Any", object())
    assert isinstance(tracing, NoTracing)
    assert tracing.around(app, "s3") is app
    tracing.close()
    program = "import sys, audit.app; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_its_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "audit.tracing.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(ConfigInvalid, match=r"opentelemetry\.sdk\.resources.*'\.\[otel\]'"):
        open_tracing("http://127.0.0.1:4318/v1/traces")
