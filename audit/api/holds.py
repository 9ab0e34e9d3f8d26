"""``/v1/holds``: matters, legal holds by description; placed, listed, counted, released (``vault.matters``).

Every call is recorded before it is answered. Who places and releases holds has the role ``compliance``; ``auditor`` and
``examiner`` may look.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from audit.api.access import Asker, text_of
from audit.api.answers import as_json
from audit.api.bodies import Body, read, takes
from audit.api.description import MAX_SEQ, problems
from audit.api.node import OpenNode
from audit.errors import AuditError
from audit.matters import CLOSED, OPEN, Wanted
from audit.matters import Query as Described
from audit.query.filter import QueryInvalid
from audit.query.records import DEFAULT_LIMIT, MAX_LIMIT
from vault.errors import S3Error
from vault.state.matters import MAX_NAME, MAX_REASON
from vault.state.rows import MAX_KEY_BYTES

_ID: Final = "^[0-9a-f]{16}$"
#: Of a time or a principal's id, in characters.
_MAX_WORD: Final = 128

router: Final = APIRouter(prefix="/v1/holds", tags=["holds"])


class HoldNotFound(AuditError):
    """There is no such matter."""

    code = "hold-not-found"
    status = 404


class HoldReleased(AuditError):
    """The matter was released before; what is to be held again needs a new one."""

    code = "hold-released"
    status = 409


class TooManyHolds(AuditError):
    """As many matters are open as may be at one time."""

    code = "too-many-holds"
    status = 409


_KNOWN: Final[dict[str, type[AuditError]]] = {
    "no_such_matter": HoldNotFound,
    "closed": HoldReleased,
    "too_many_matters": TooManyHolds,
}


class QueryModel(BaseModel):
    """What a matter holds: all that is named must be so. One bucket, or `"vault": true` for all of them."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    bucket: str = Field("", max_length=_MAX_WORD, description="Bucket, exactly; it must exist.")
    vault: bool = Field(default=False, description="The whole vault, instead of a bucket.")
    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Keys that begin with this.")
    since: str = Field("", alias="from", max_length=_MAX_WORD, description="Stored at or after: RFC 3339, or a day.")
    until: str = Field("", alias="to", max_length=_MAX_WORD, description="Stored before: RFC 3339, or a day.")
    actor: str = Field("", max_length=_MAX_WORD, description="Id of the principal who stored it.")


class OpenModel(BaseModel):
    """A matter to be opened."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "SEC inquiry 2026-17",
                    "reason": "Letter of 2026-11-20: preserve all trade tickets of the rates desk.",
                    "owner": "legal@example.com",
                    "query": {"bucket": "trades", "prefix": "rates/", "from": "2026-01-01", "to": "2026-07-01"},
                },
                {
                    "name": "Internal review",
                    "reason": "Everything that one account ever stored.",
                    "owner": "p4f1d2c3b4a59687",
                    "query": {"vault": True, "actor": "p0123456789abcdef"},
                },
            ]
        },
    )

    name: str = Field(min_length=1, max_length=MAX_NAME, description="For people.")
    reason: str = Field(min_length=1, max_length=MAX_REASON, description="Why it is placed.")
    owner: str = Field(min_length=1, max_length=MAX_NAME, description="Whose it is: a principal, or anybody in words.")
    query: QueryModel


class ReleaseModel(BaseModel):
    """Why a matter is released."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Settled on 2027-03-01."}]})

    reason: str = Field(min_length=1, max_length=MAX_REASON)


class MatterModel(BaseModel):
    """A matter; `stream` and `seq` are of the record that opened it."""

    id: str
    state: Literal["open", "closed"]
    name: str
    reason: str
    owner: str
    query: QueryModel
    opened: str
    opened_by: str
    stream: str
    seq: int
    closed: str | None = None
    closed_by: str | None = None
    closed_reason: str | None = None


class HeldModel(BaseModel):
    """How many versions it holds now: exactly, or at least; `how` says how that was counted."""

    versions: int
    exact: bool
    how: str


class CountedModel(MatterModel):
    """A matter with what it holds."""

    held: HeldModel


class ListModel(BaseModel):
    """Matters, the newest first; `next` is there while there are more."""

    holds: list[MatterModel]
    next: str | None = None


_PLACE: Final = {"Location": {"required": True, "schema": {"type": "string", "pattern": "^/v1/holds/"}}}
#: 404 of its bucket, 409 where too many are open, 422 where the ``Idempotency-Key`` stood with another body.
_OPENED: Final = {**problems(404, 409, 422), 201: {"description": "Opened", "headers": _PLACE}}


@router.get("", response_model=ListModel)
def listed(
    request: Request,
    asker: Asker,
    node: OpenNode,
    *,
    state: Annotated[str, Query(pattern=f"^({OPEN}|{CLOSED})?$", description="Only those.")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Matters of a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[int, Query(ge=0, le=MAX_SEQ, description="`next` of the page before.")] = 0,
) -> Response:
    """List matters, the newest first."""
    text = text_of(request)
    found = node.matters.list(asker.actor, asker.origin, state, limit=limit, after=cursor, http=text)
    return as_json({"holds": found.matters, **({"next": str(found.next)} if found.next else {})})


@router.post("", response_model=MatterModel, status_code=201, responses=_OPENED, openapi_extra=takes(OpenModel))
def opened(
    body: Body,
    request: Request,
    asker: Asker,
    node: OpenNode,
    *,
    idempotency_key: Annotated[
        str, Header(max_length=255, description="Sent again with the same body: the same answer.")
    ] = "",
) -> Response:
    """Open a matter: from now on it holds what its query describes, what is there and what comes."""
    given = read(OpenModel, body)
    query = given.query
    described = Described(query.bucket, query.vault, query.prefix, query.since, query.until, query.actor)
    wanted = Wanted(given.name, given.reason, given.owner, described)
    with _Known():
        matter = node.matters.open(asker.actor, asker.origin, wanted, http=text_of(request), once=idempotency_key)
    return as_json(matter, 201, {"Location": f"/v1/holds/{matter.id}"})


@router.get("/{hold}", response_model=CountedModel, responses=problems(404))
def shown(
    hold: Annotated[str, Path(pattern=_ID, description="Its id.")], request: Request, asker: Asker, node: OpenNode
) -> Response:
    """Show a matter, and how many versions it holds now."""
    with _Known():
        matter, held = node.matters.get(asker.actor, asker.origin, hold, http=text_of(request))
    return as_json(msgspec.to_builtins(matter) | {"held": held})


@router.post(
    "/{hold}/release", response_model=MatterModel, responses=problems(404, 409), openapi_extra=takes(ReleaseModel)
)
def released(
    hold: Annotated[str, Path(pattern=_ID, description="Its id.")],
    body: Body,
    request: Request,
    *,
    asker: Asker,
    node: OpenNode,
) -> Response:
    """Release a matter, for good. What no other one holds, and no lock, may be removed from here on."""
    reason = read(ReleaseModel, body).reason
    with _Known():
        matter = node.matters.close(asker.actor, asker.origin, hold, reason, http=text_of(request))
    return as_json(matter)


class _Known:
    """Refusals of the committer as problems of this API."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _: object, error: object, __: object) -> None:
        """Turn one into another."""
        if isinstance(error, S3Error) and error.reason in _KNOWN:
            raise _KNOWN[error.reason](error.message) from error
        if isinstance(error, S3Error) and error.s3_code == "InvalidArgument":
            raise QueryInvalid(error.message) from error
