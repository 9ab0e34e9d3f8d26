"""The audit port's application."""

from __future__ import annotations

from audit import __version__
from audit.api import health, holds, ingest, log, problems, productions, records
from audit.api.access import Count, Fetches, Rates
from audit.api.description import Described
from audit.api.requests import Requests
from audit.ingest.receiving import Receiver
from audit.metrics.gather import Metrics
from audit.node import Node
from audit.production.handing import Archives


def make_app(
    node: Node, count: Count, receiver: Receiver, metrics: Metrics | None = None, *, archives: Archives | None = None
) -> Described:
    """Make the application over an open node, which the caller closes after it.

    Its description is at ``/openapi.json``; no page here loads anything from another host.

    Args:
        node: Open.
        count: Counts a request without a valid token by address and reason, durably (``vault.service.windows``).
        receiver: Takes other systems' events.
        metrics: What ``/metrics`` answers; without them, those of the node alone.
        archives: Hands out productions; without it none can be fetched.
    """
    metrics = metrics or Metrics(node)
    app = Described(
        title="Strongroom audit",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.node = node
    app.state.count = count
    app.state.receiver = receiver
    app.state.fetches = Fetches()
    app.state.rates = Rates(node.settings.audit.requests_per_minute)
    app.state.metrics = metrics
    app.state.archives = archives
    app.include_router(health.router)
    app.include_router(log.router)
    app.include_router(records.router)
    app.include_router(ingest.router)
    app.include_router(holds.router)
    app.include_router(productions.router)
    problems.install(app)
    # Last, and around everything: what FastAPI adds itself would stand inside of its answer to faults.
    app.middleware_stack = Requests(app.build_middleware_stack(), metrics.answers)
    return app
