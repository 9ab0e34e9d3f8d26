"""Spans by OpenTelemetry's SDK; imported only where they are wanted.

Its own variables hold (``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``, …). Spans are sent in batches by a
thread of its own; what a collector that is away would have got is dropped, and no request waits for it. A span takes
some 30 µs of CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from audit import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.sdk.trace import SpanProcessor

    from audit.tracing import App

#: Seconds that one attempt to send a batch may take, and so a stop may be kept waiting.
SEND_S: Final = 5
_IDS: Final = frozenset({b"x-amz-request-id", b"x-request-id"})
_PARENT: Final = TraceContextTextMapPropagator()


class Spans:
    """Implements :class:`audit.tracing.Tracing`.

    Args:
        url: Of the collector.
        processor: Takes the spans instead of it.
    """

    def __init__(self, url: str, processor: SpanProcessor | None = None) -> None:
        resource = Resource.create({"service.name": "strongroom", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = processor or BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=SEND_S))
        self._provider.add_span_processor(exporter)
        self._tracer = self._provider.get_tracer("strongroom", __version__)

    def around(self, app: App, port: str) -> App:
        """See :class:`audit.tracing.Tracing`."""

        async def traced(
            scope: dict[str, Any], receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]
        ) -> None:
            sent = {b"traceparent": "", b"tracestate": ""}
            sent.update((name, value.decode("latin-1")) for name, value in scope["headers"] if name in sent)
            parent = _PARENT.extract({name.decode(): value for name, value in sent.items() if value})
            known = {"strongroom.port": port, "http.request.method": scope["method"]}
            span = self._tracer.start_span("request", parent, SpanKind.SERVER, known)

            async def told(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    ids = [value.decode() for name, value in message["headers"] if name in _IDS]
                    span.set_attribute("strongroom.request_id", ids[0] if ids else "")
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(StatusCode.ERROR)
                await send(message)

            try:
                await app(scope, receive, told)
            finally:
                # Neither names what the request was about: S3's operation, the route's own text.
                span.update_name(scope.get("op") or getattr(scope.get("route"), "path", "") or "request")
                span.end()

        return traced

    def close(self) -> None:
        """See :class:`audit.tracing.Tracing`."""
        self._provider.shutdown()
