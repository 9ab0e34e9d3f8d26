"""``/v1/productions``: begun, watched, cancelled, gone on with, and handed out as one file (``audit.production``).

Every call is recorded before it is answered. Who makes and hands out productions has the role ``compliance``;
``auditor`` and ``examiner`` may see which there are. What is under way stands on the server's disk in the clear, for
its user alone, until it is kept.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Final, Literal, cast

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from audit.api.access import Asker, Client, text_of
from audit.api.answers import NO_STORE, as_json
from audit.api.bodies import Body, read, takes
from audit.api.description import MAX_SEQ, Responses, bytes_of, problems
from audit.api.node import OpenNode
from audit.api.released import Released
from audit.production.container import Recipient, recipients
from audit.production.handing import Archives
from audit.production.keep import Asker as OnBehalf
from audit.production.keep import Kept
from audit.production.places import ID
from audit.production.question import MAX_REASON, Question
from audit.production.standing import Standing
from audit.query.records import DEFAULT_LIMIT, MAX_LIMIT
from vault.s3.conditions import byte_range
from vault.state.rows import MAX_KEY_BYTES

_AGE: Final = "application/octet-stream"  # age has none of its own
#: Of a time or a bucket's name, in characters.
_MAX_WORD: Final = 128

router: Final = APIRouter(prefix="/v1/productions", tags=["productions"])


class QuestionModel(BaseModel):
    """What a production is asked for: the versions stored in a bucket in a time, and why."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "bucket": "trades",
                    "prefix": "rates/",
                    "from": "2026-01-01",
                    "to": "2026-04-01",
                    "reason": "request 2026-117",
                },
                {"bucket": "trades", "reason": "audit of one client", "prefix": "c-17/", "only_matching": True},
            ]
        },
    )

    bucket: str = Field(min_length=1, max_length=_MAX_WORD, description="Bucket, exactly.")
    prefix: str = Field("", max_length=MAX_KEY_BYTES, description="Keys that begin with this.")
    since: str = Field("", alias="from", max_length=_MAX_WORD, description="Stored at or after: RFC 3339, or a day.")
    until: str = Field("", alias="to", max_length=_MAX_WORD, description="Stored before: RFC 3339, or a day.")
    reason: str = Field(min_length=1, max_length=MAX_REASON, description="Why: the matter, the number of the request.")
    only_matching: StrictBool = Field(
        default=False, description="Leave out records of others; then nobody can check that no version was left out."
    )


class KeptModel(BaseModel):
    """The archive under lock: a version in a bucket of the server's own."""

    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str
    until: str


class ProductionModel(BaseModel):
    """How a production stands; `stream` and `seq` are of the record that asked for it.

    `done` of `versions` are written. `failed` could not be read; versions.csv in it says why. `digest` is the SHA-256
    of its last manifest, which covers every byte. `problem` says why it stands still.
    """

    id: str
    state: Literal["running", "interrupted", "cancelled", "failed", "discarded", "kept"]
    asked: QuestionModel
    by: str
    time: str
    stream: str
    seq: int
    stage: str
    versions: int
    done: int
    bytes: int
    natives: int
    failed: int
    digest: str
    problem: str
    kept: KeptModel | None = None


class ListModel(BaseModel):
    """Productions, the newest first; `next` is there while there are more."""

    productions: list[ProductionModel]
    next: str | None = None


def _archives(request: Request) -> Archives:
    return cast("Archives", request.app.state.archives)


Id = Annotated[str, Path(pattern=ID, description="Its id.")]
_PLACE: Final = {"Location": {"required": True, "schema": {"type": "string", "pattern": "^/v1/productions/"}}}
_UNDER_WAY: Final[Responses] = {202: {"description": "Under way, or as it stands", "headers": _PLACE}}
_TAKEN: Final = {"description": "Partial Content", "content": {"application/zip": {"schema": {"type": "string"}}}}
#: Encrypted it is of another media type; a range of it is 206, or 416 where there are no such bytes.
_HANDED: Final[Responses] = {
    200: {
        "description": "The archive",
        "content": {
            **bytes_of("application/zip")[200]["content"],
            **bytes_of("application/octet-stream")[200]["content"],
        },
    },
    206: _TAKEN,
    **problems(404, 409, 416),
}


@router.get("", response_model=ListModel)
def listed(
    request: Request,
    asker: Asker,
    node: OpenNode,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Productions of a page.")] = DEFAULT_LIMIT,
    cursor: Annotated[int, Query(ge=0, le=MAX_SEQ, description="`next` of the page before.")] = 0,
) -> Response:
    """List productions, the newest first: those under way, those that stand still, those that are kept."""
    found = node.productions.list(_who(asker, request), limit, cursor)
    shown = [_shown(one) for one in found.productions]
    return as_json({"productions": shown, **({"next": str(found.next)} if found.next else {})})


@router.post(
    "",
    response_model=ProductionModel,
    status_code=202,
    responses={**problems(422), **_UNDER_WAY},
    openapi_extra=takes(QuestionModel),
)
def begun(
    body: Body,
    request: Request,
    asker: Asker,
    node: OpenNode,
    *,
    idempotency_key: Annotated[
        str, Header(max_length=255, description="Sent again with the same body: the same production.")
    ] = "",
) -> Response:
    """Begin a production. One is made at a time: while another one is, this is answered 503."""
    given = read(QuestionModel, body)
    asked = Question(given.reason, given.bucket, given.prefix, given.since, given.until, given.only_matching)
    return _under_way(node.productions.begin(_who(asker, request), asked, once=idempotency_key))


@router.get("/{production}", response_model=ProductionModel, responses=problems(404))
def shown(production: Id, request: Request, asker: Asker, node: OpenNode) -> Response:
    """Show how a production stands."""
    return as_json(_shown(node.productions.get(_who(asker, request), production)))


@router.post(
    "/{production}/cancel",
    response_model=ProductionModel,
    status_code=202,
    responses={**problems(404, 409), **_UNDER_WAY},
)
def cancelled(
    production: Id,
    request: Request,
    asker: Asker,
    node: OpenNode,
    *,
    discard: Annotated[bool, Query(description="Remove what is there of it, so that nobody goes on with it.")] = False,
) -> Response:
    """Cancel a production that is not kept yet. What is there of it stays, unless it is to be discarded."""
    return _under_way(node.productions.cancel(_who(asker, request), production, discard=discard))


@router.post(
    "/{production}/resume",
    response_model=ProductionModel,
    status_code=202,
    responses={**problems(404, 409), **_UNDER_WAY},
)
def resumed(production: Id, request: Request, asker: Asker, node: OpenNode) -> Response:
    """Go on with a production that was interrupted, cancelled, or failed: as of its first time, with its question."""
    return _under_way(node.productions.resume(_who(asker, request), production))


@router.head("/{production}/archive", include_in_schema=False)
@router.get("/{production}/archive", response_class=Response, responses=_HANDED)
async def archive(
    production: Id,
    request: Request,
    asker: Asker,
    node: OpenNode,
    archives: Annotated[Archives, Depends(_archives)],
    *,
    recipient: Annotated[
        list[str], Query(description="`age1…`: encrypts it for them, as an age file; may be repeated.")
    ] = [],  # noqa: B006 - FastAPI's way; nobody changes it
) -> Response:
    """Hand out a production that is kept, as one ZIP, from the bytes under lock.

    Takes a single Range, and HEAD; encrypted it is other bytes each time, and comes whole.
    """
    who, to = _who(asker, request), recipients(recipient)
    kept = await asyncio.to_thread(node.productions.kept, who, production)
    if to:
        return await _encrypted(archives, who, kept, to, data=request.method != "HEAD")
    etag = f'"{kept.sha256}"'
    headers = {
        **NO_STORE,
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(kept.sha256)).decode()}:",
        "Content-Disposition": f'attachment; filename="production-{production}.zip"',
        "Accept-Ranges": "bytes",
    }
    sent = request.headers.get("range") if request.headers.get("if-range") in {None, etag} else None
    got = await archives.get(who, kept, byte_range(sent), data=request.method != "HEAD")
    headers["Content-Length"] = str(got.last - got.first + 1)
    if got.partial:
        headers["Content-Range"] = f"bytes {got.first}-{got.last}/{kept.size}"
    status = 206 if got.partial else 200
    if got.body is None:
        return Response(None, status, headers, "application/zip")
    return Released(got.body, status, headers, "application/zip")


async def _encrypted(archives: Archives, who: OnBehalf, kept: Kept, to: Sequence[Recipient], *, data: bool) -> Response:
    headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="production-{kept.key}.age"'}
    if data:
        return Released(await archives.encrypted(who, kept, to), 200, headers, _AGE)
    await archives.get(who, kept, None, data=False)
    return Response(None, 200, headers, _AGE)


def _who(asker: Client, request: Request) -> OnBehalf:
    return OnBehalf(asker.actor, asker.origin, text_of(request))


def _shown(one: Standing) -> dict[str, object]:
    """As people read it: the question under the names that it was sent with."""
    asked = one.asked
    question = {
        "bucket": asked.bucket,
        "prefix": asked.prefix,
        "from": asked.since,
        "to": asked.until,
        "reason": asked.reason,
        "only_matching": asked.only_matching,
    }
    said: dict[str, object] = {**msgspec.to_builtins(one), "asked": question}
    return {name: value for name, value in said.items() if value is not None}


def _under_way(one: Standing) -> Response:
    return as_json(_shown(one), 202, {"Location": f"/v1/productions/{one.id}"})
