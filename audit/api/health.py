"""Is it alive, is it ready, and in what state: for load balancers, people and Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from audit import __version__
from audit.api.node import OpenNode
from audit.api.problems import problem
from audit.status import NodeStatus
from vault.times import NS

#: Prometheus text exposition format 0.0.4.
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

router: Final = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """The vault takes requests; ``warnings`` are for somebody to look at.

    ``durable`` and ``sealed`` count records; sealed ones are under a published checkpoint. ``lag_ns`` is how far the
    compliance clock is behind the wall clock. ``degraded`` says that something kept was found not to be as it was
    written, in ``findings`` places; requests are answered all the same (``audit.scrub``).
    """

    ready: bool
    degraded: bool
    problems: list[str]
    warnings: list[str]
    durable: int
    sealed: int
    lag_ns: int
    settle_debt_bytes: int
    disk_free_bytes: int
    incarnation: int
    findings: int


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Alive:
    """Tell that the process answers; nothing else is looked at."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=Readiness)
def readyz(node: OpenNode) -> Response:
    """Tell whether the vault takes requests; 503 where it does not."""
    status = node.status()
    shown = Readiness(
        ready=status.ready,
        degraded=status.scrub.findings > 0,
        problems=status.problems,
        warnings=status.warnings,
        durable=status.durable,
        sealed=status.sealed,
        lag_ns=status.lag_ns,
        settle_debt_bytes=status.settle_debt_bytes,
        disk_free_bytes=status.disk_free,
        incarnation=status.incarnation,
        findings=status.scrub.findings,
    ).model_dump()
    if status.ready:
        return JSONResponse(shown, headers={"Cache-Control": "no-store"})
    return problem("not-ready", 503, "; ".join(status.problems), **shown)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(node: OpenNode) -> Response:
    """Write what Prometheus scrapes."""
    return Response(exposition(node.identity.stream, node.status()), media_type=_METRICS_TYPE)


def exposition(stream: str, status: NodeStatus) -> str:
    """Write a status as Prometheus metrics.

    By hand and not with ``prometheus_client``: that library is made for counters that live in the process, while
    these are all read from the node when asked.

    Args:
        stream: Name of the stream: letters, digits, dots and hyphens, which a label holds as they are.
        status: How the node stands.
    """
    rows = (
        ("ready", "gauge", "Whether the vault takes requests.", int(status.ready)),
        ("warnings", "gauge", "Warnings of /readyz.", len(status.warnings)),
        ("records_durable_total", "counter", "Records in the ledger.", status.durable),
        ("records_sealed_total", "counter", "Records under the published checkpoint.", status.sealed),
        ("clock_lag_seconds", "gauge", "Compliance clock behind the wall clock.", status.lag_ns / NS),
        ("settle_debt_bytes", "gauge", "Closed commit log segments not settled.", status.settle_debt_bytes),
        ("disk_free_bytes", "gauge", "Free on the file system of the data directory.", status.disk_free),
        ("incarnation", "gauge", "Starts of this stream's writer.", status.incarnation),
    )
    lines = [
        "# HELP strongroom_info Software version.",
        "# TYPE strongroom_info gauge",
        f'strongroom_info{{stream="{stream}",version="{__version__}"}} 1',
    ]
    for name, kind, text, value in rows:
        lines += [
            f"# HELP strongroom_{name} {text}",
            f"# TYPE strongroom_{name} {kind}",
            f'strongroom_{name}{{stream="{stream}"}} {value}',
        ]
    return "\n".join(lines) + "\n"
