"""``/v1/records``, ``/v1/objects`` and ``/v1/checkpoints``: find records, prove them, explain a lock.

Whatever shows a record is recorded first, with the request as it was sent. Records are handed out as their exact bytes:
those of the field ``record`` hash to ``leaf``.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from audit.api.access import Asker, Client, asked, text_of
from audit.api.answers import NO_STORE, as_json
from audit.api.description import MAX_SEQ, StreamName, bytes_of, problems, struct_of
from audit.api.node import OpenNode
from audit.checkpoint import Checkpoint
from audit.errors import AuditError
from audit.node import Node
from audit.note import parse_note
from audit.proof import tlog_proof
from audit.query import objects
from audit.query.filter import EXACT, MAX_REPEATS, MAX_VALUE, OTHERS, SEVERAL, QueryInvalid
from audit.query.records import DEFAULT_LIMIT, MAX_LIMIT, Question
from audit.tiles import Tile
from vault.errors import S3Error
from vault.record import DENIED, FAILURE, OPS, SUCCESS

_ALL: Final = {**EXACT, **SEVERAL, **OTHERS}
_PAGING: Final = frozenset({"limit", "order", "cursor", "count"})
_ETAG: Final = {"ETag": {"required": True, "schema": {"type": "string", "pattern": '^"[0-9a-f]{64}"$'}}}
#: A record's seq in a path.
Seq = Annotated[int, Path(ge=0, le=MAX_SEQ, examples=[0])]

router: Final = APIRouter(prefix="/v1", tags=["records"])


class RecordNotFound(AuditError):
    """There is no such record, or stream."""

    code = "record-not-found"
    status = 404


class FoundModel(BaseModel):
    """A record; the bytes of ``record`` as they are sent hash to ``leaf`` (RFC 6962)."""

    stream: str
    seq: int
    leaf: str
    record: dict[str, object]


class PageModel(BaseModel):
    """Records, in order. ``next`` is there while there are more, ``total`` where it was asked for."""

    records: list[FoundModel]
    snapshot: int
    next: str | None = None
    total: int | None = None


class CheckpointModel(BaseModel):
    """A stream's last published checkpoint; ``note`` is what verifies."""

    stream: str
    origin: str
    size: int
    root: str
    note: str


class CheckpointsModel(BaseModel):
    """Of every stream that has published one."""

    checkpoints: list[CheckpointModel]


_RECORD: Final = {
    **problems(404, 410),
    **bytes_of("application/json", {"type": "object", "description": "A record: ARCHITECTURE has its fields."}),
    304: {"description": "It is what `If-None-Match` names.", "headers": _ETAG},
}
_RECORD[200]["headers"] = _ETAG
_STORY: Final = {**problems(404, 410), **struct_of(objects.Story)}
_KEY_AND_LIMIT: Final = [
    {
        "name": "key",
        "in": "path",
        "required": True,
        "description": "Object key, percent-encoded UTF-8; slashes may stand as they are.",
        "schema": {"type": "string", "minLength": 1},
        "example": "2026/11/22/T-1",
    },
    {
        "name": "limit",
        "in": "query",
        "description": "Records of the history.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    },
]


def _schema_of(name: str) -> dict[str, object]:
    """What a filter's value may be, as far as that can be said of one alone."""
    match name:
        case "op":
            families = {f"{op[:dot]}.*" for op in OPS for dot in range(len(op)) if op[dot] == "."}
            return _several(sorted(OPS | families))
        case "outcome":
            return _several([SUCCESS, DENIED, FAILURE])
        case "from" | "to":
            return {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
        case "version_id":
            return {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    return {"type": "string", "minLength": 1, "maxLength": MAX_VALUE}


def _several(values: list[str]) -> dict[str, object]:
    return {"type": "array", "items": {"type": "string", "enum": values}, "maxItems": MAX_REPEATS}


def _parameters() -> dict[str, object]:
    """The filters as OpenAPI has them; the handler reads them from the query itself, where order and repeats are."""
    described = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": text,
            "schema": _schema_of(name),
        }
        for name, text in _ALL.items()
    ]
    return {"parameters": described}


@router.get("/records", response_model=PageModel, openapi_extra=_parameters())
def records(
    request: Request,
    asker: Asker,
    node: OpenNode,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Records of a page.")] = DEFAULT_LIMIT,
    *,
    order: Annotated[str, Query(pattern="^(desc|asc)$", description="Newest or oldest first.")] = "desc",
    cursor: Annotated[str, Query(max_length=512, description="`next` of the page before.")] = "",
    count: Annotated[bool, Query(description="Count all that match.")] = False,
) -> Response:
    """Find records. All pages of one question are of one snapshot, however much is written meanwhile."""
    filters = [(name, value) for name, value in request.query_params.multi_items() if name not in _PAGING]
    question = Question(filters, text_of(request), limit, order, cursor, total=count)
    return as_json(node.asking.ask(asker.actor, asker.origin, question))


@router.get("/records/{stream}/{seq}", response_class=Response, responses=_RECORD)
def record(stream: StreamName, seq: Seq, request: Request, asker: Asker, node: OpenNode) -> Response:
    """Return a record: its exact bytes, and nothing else. Its leaf hash is the ETag."""
    found = node.asking.found(position_of(node, asker, request, stream, seq))
    etag = f'"{found.leaf}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(bytes(found.record), media_type="application/json", headers={"ETag": etag, **NO_STORE})


@router.get("/records/{stream}/{seq}/proof", response_class=PlainTextResponse, responses=problems(404))
def proof(stream: StreamName, seq: Seq, request: Request, asker: Asker, node: OpenNode) -> Response:
    """Prove that a record is in the log: a C2SP tlog-proof, with the published checkpoint."""
    position_of(node, asker, request, stream, seq)

    def read(tile: Tile) -> bytes:
        return node.tile(stream, tile.path)

    return PlainTextResponse(tlog_proof(seq, node.checkpoint(stream), read), headers=NO_STORE)


@router.get(
    "/objects/{bucket}/{key:path}",
    response_class=Response,
    responses=_STORY,
    openapi_extra={"parameters": _KEY_AND_LIMIT},
)
def story(
    bucket: Annotated[str, Path(examples=["trades"])], request: Request, asker: Asker, node: OpenNode
) -> Response:
    """Tell a key's story: its versions, why each is locked and until when, and what was done and tried."""
    extra = [name for name in request.query_params if name != "limit"]
    if extra:
        raise QueryInvalid(f"there is no parameter {extra[0][:40]!r} here; `limit` is the only one")
    limit = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not limit.isascii() or not limit.isdecimal() or len(limit) > 4:
        raise QueryInvalid(f"limit: 1 to {MAX_LIMIT}")
    key = _key(request)
    question = Question([("bucket", bucket), ("key", key)], text_of(request), int(limit))
    page = node.asking.ask(asker.actor, asker.origin, question)
    shown, more = objects.versions(node.stores.index, node.asking, bucket, key)
    if not shown and not page.records:
        raise RecordNotFound("no record names this object, and it has no version")
    return as_json(objects.Story(bucket, key, shown, page.records, page.snapshot, page.next, more))


@router.get("/checkpoints")
def checkpoints(node: OpenNode) -> CheckpointsModel:
    """List each stream's last published checkpoint. Open to everybody, like the log's hashes."""
    found = []
    for name in node.identity.streams:
        note = node.checkpoint(name)
        if note is not None:
            said = Checkpoint.parse(parse_note(note).text)
            found.append(
                CheckpointModel(
                    stream=name, origin=said.origin, size=said.size, root=said.root.hex(), note=note.decode()
                )
            )
    return CheckpointsModel(checkpoints=found)


def position_of(node: Node, asker: Client, request: Request, stream: str, seq: int) -> int:
    """Where a record is that somebody wants to see; that they do is recorded.

    Raises:
        RecordNotFound: There is none; recorded, too.
        S3Error: AccessDenied: they may not; recorded.
        Unavailable: It could not be recorded.
    """
    strand = next((strand for strand in node.stores.strands if strand.name == stream), None)
    there = strand is not None and seq < strand.log.durable_end
    position = strand.base + seq if strand is not None and there else -1
    missing = None if there else S3Error("InvalidArgument", "There is no such record.", reason="no_such_record")
    try:
        node.asking.record(asked("record.get", asker, request, position), missing)
    except S3Error as error:
        if error is missing:
            raise RecordNotFound("there is no such record; /v1/log lists the streams") from error
        raise
    return position


def _key(request: Request) -> str:
    """The object key as it was sent: a framework would have joined or decoded what it means apart."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    quoted = raw.split(b"?")[0].split(b"/", 4)[-1]
    try:
        return unquote(quoted.decode("ascii"), errors="strict")
    except UnicodeDecodeError as error:
        raise QueryInvalid("the key in the path is not UTF-8") from error
