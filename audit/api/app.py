"""The audit port's application."""

from __future__ import annotations

from fastapi import FastAPI

from audit import __version__
from audit.api import health, log, problems
from audit.node import Node


def make_app(node: Node) -> FastAPI:
    """Make the application over an open node, which the caller closes after it.

    Its description is at ``/openapi.json``; no page here loads anything from another host.
    """
    app = FastAPI(
        title="Strongroom audit",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        responses=problems.RESPONSES,
        redirect_slashes=False,
    )
    app.state.node = node
    app.include_router(health.router)
    app.include_router(log.router)
    problems.install(app)
    return app
