"""OpenTelemetry traces, where ``trace.otlp_url`` names a collector: one span a request, at both ports.

Off by default, and then not even loaded: its packages come with the extra ``otel``. A span says operation, status and
the request's id, which leads to log line and record; like those lines it never says what the request was about. It goes
on with the trace that the client's ``traceparent`` names, which is the client's word and nothing else follows from.

What is done inside of a request has no spans of its own: it mostly waits for one group commit, and what those take is
in the metrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from audit.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    App = Callable[[dict[str, Any], Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]]


class TraceSection(msgspec.Struct, frozen=True, kw_only=True):
    """OpenTelemetry traces.

    Attributes:
        otlp_url: Where a collector takes OTLP over HTTP, with its path; empty: no traces.
    """

    otlp_url: Annotated[str, Meta(pattern="^(https?://[^/]+/.*)?\\Z")] = ""


class Tracing(Protocol):
    """Makes spans. For one event loop."""

    def around(self, app: App, port: str) -> App:
        """The same application with a span around each of its requests."""

    def close(self) -> None:
        """Send what was not sent, within a few seconds. Blocks."""


class NoTracing:
    """Makes none."""

    def around(self, app: App, port: str) -> App:  # noqa: ARG002 - see Tracing
        """The application itself."""
        return app

    def close(self) -> None:
        """There is nothing to send."""


def open_tracing(url: str) -> Tracing:
    """Begin to trace.

    Args:
        url: Of the collector's OTLP over HTTP, with its path; empty for no traces.

    Raises:
        ConfigInvalid: The packages are not installed.
    """
    if not url:
        return NoTracing()
    try:
        module = import_module("audit.tracing.spans")
    except ModuleNotFoundError as error:
        raise ConfigInvalid(
            f"trace.otlp_url needs {error.name}, which comes with the extra `otel`: install it "
            "(pip install '.[otel]'), or take the setting away"
        ) from error
    tracing: Tracing = module.Spans(url)
    return tracing
