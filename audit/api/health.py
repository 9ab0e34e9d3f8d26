"""Is it alive, is it ready, and in what state: for load balancers, people and Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from audit.api.answers import NO_STORE
from audit.api.description import PROBLEM_REF, Responses
from audit.api.node import OpenNode
from audit.api.problems import MEDIA_TYPE as PROBLEM_TYPE
from audit.api.problems import problem
from audit.metrics.page import MEDIA_TYPE

router: Final = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Verification(BaseModel):
    """The last one that the vault did of itself: ``result`` is good, bad or unchecked, empty before the first.

    ``done`` is when the last one was recorded that could be done. The checkpoint in ``anchor`` vouched for ``anchored``
    records in it; 0: it shows that the vault agrees with itself, and no more.
    """

    result: str
    done: str
    anchored: int
    anchor: str


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
    verification: Verification


#: The same, in a problem.
_BOTH: Final = {"allOf": [PROBLEM_REF, {"$ref": "#/components/schemas/Readiness"}]}
_NOT_READY: Final[Responses] = {503: {"description": "Not ready", "content": {PROBLEM_TYPE: {"schema": _BOTH}}}}


@router.head("/healthz")
@router.get("/healthz")
async def healthz() -> Alive:
    """Tell that the process answers; nothing else is looked at."""
    return Alive()


@router.head("/readyz", response_model=Readiness, responses=_NOT_READY)
@router.get("/readyz", response_model=Readiness, responses=_NOT_READY)
def readyz(node: OpenNode) -> Response:
    """Tell whether the vault takes requests; 503 where it does not."""
    status = node.status()
    scrub = status.scrub
    shown = Readiness(
        ready=status.ready,
        degraded=scrub.findings > 0,
        problems=status.problems,
        warnings=status.warnings,
        durable=status.durable,
        sealed=status.sealed,
        lag_ns=status.lag_ns,
        settle_debt_bytes=status.settle_debt_bytes,
        disk_free_bytes=status.disk_free,
        incarnation=status.incarnation,
        findings=scrub.findings,
        verification=Verification(result=scrub.result, done=scrub.done, anchored=scrub.anchored, anchor=scrub.anchor),
    ).model_dump()
    if status.ready:
        return JSONResponse(shown, headers=NO_STORE)
    return problem("not-ready", 503, "; ".join(status.problems), **shown)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Write what Prometheus scrapes."""
    return Response(request.app.state.metrics.text(), media_type=MEDIA_TYPE)
