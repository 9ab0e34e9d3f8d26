"""The log for everybody: ``/v1/log`` and C2SP tlog-tiles below ``/v1/log/{stream}``.

Only what the published checkpoint covers is shown: a hash beyond it is one that no signature stands for yet.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel

from audit.api.access import Asker, Fetches, asked
from audit.api.answers import NO_STORE
from audit.api.description import StreamName, bytes_of, problems
from audit.api.node import OpenNode
from audit.api.problems import LogNotFound, TileNotFound
from audit.checkpoint import Checkpoint
from audit.node import Node
from audit.note import parse_note
from audit.tiles import HEIGHT, WIDTH, Tile, entry_bundle

#: For what never changes (tlog-tiles, "Parameters": tiles are immutable).
_IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
_CHANGES: Final = {"Cache-Control": "no-cache"}
_TILE: Final = problems(404) | bytes_of("application/octet-stream")

TilePath = Annotated[str, Path(description="As tlog-tiles has it.", examples=["tile/0/000.p/1"])]
BundlePath = Annotated[str, Path(description="As tlog-tiles has it, after `tile/entries/`.", examples=["000.p/1"])]

router: Final = APIRouter(prefix="/v1/log", tags=["log"])


class Stream(BaseModel):
    """One writer's log. ``origin`` is also its key's name."""

    name: str
    origin: str


class Streams(BaseModel):
    """All logs of this vault."""

    streams: list[Stream]


@router.get("")
def streams(node: OpenNode) -> Streams:
    """List the logs."""
    identity = node.identity
    return Streams(streams=[Stream(name=name, origin=identity.origin_of(name)) for name in identity.streams])


@router.get("/{stream}/checkpoint", response_class=PlainTextResponse, responses=problems(404))
def checkpoint(stream: StreamName, node: OpenNode) -> Response:
    """Return the last published checkpoint: a signed note."""
    return Response(_published(node, stream), media_type="text/plain; charset=utf-8", headers=_CHANGES)


@router.get("/{stream}/tile/entries/{path:path}", response_class=Response, responses=_TILE | problems(410))
def entries(stream: StreamName, path: BundlePath, request: Request, asker: Asker, node: OpenNode) -> Response:
    """Return a bundle of records, exact bytes: ``tile/entries/<N>[.p/<W>]``. Needs a token that may read records.

    Recorded with the first of a token's requests in ten minutes, naming that one: a log is read in thousands.
    """
    wanted = _tile(node, stream, f"tile/entries/{path}")
    fetches: Fetches = request.app.state.fetches
    if fetches.begins(asker.bearer.token_id, stream):
        node.asking.record(asked("record.tile", asker, request))
        fetches.began(asker.bearer.token_id, stream)
    first = wanted.index * WIDTH
    bundle = entry_bundle(record for _, record in node.records(stream, first, first + wanted.width))
    return Response(bundle, media_type="application/octet-stream", headers=NO_STORE)


@router.get("/{stream}/{path:path}", response_class=Response, responses=_TILE)
def tile(stream: StreamName, path: TilePath, node: OpenNode) -> Response:
    """Return a hash tile: ``tile/<L>/<N>[.p/<W>]``. Open to everybody."""
    _tile(node, stream, path)
    return Response(node.tile(stream, path), media_type="application/octet-stream", headers=_IMMUTABLE)


def _tile(node: Node, stream: str, path: str) -> Tile:
    """A tile that the published tree has."""
    wanted = Tile.parse(path)
    size = Checkpoint.parse(parse_note(_published(node, stream)).text).size
    if wanted.index * WIDTH + wanted.width > size >> (HEIGHT * max(wanted.level, 0)):
        raise TileNotFound(f"the published tree of {size} records has no such tile")
    return wanted


def _published(node: Node, stream: str) -> bytes:
    if stream not in node.identity.streams:
        raise LogNotFound("there is no such log; /v1/log lists them")
    note = node.checkpoint(stream)
    if note is None:
        raise LogNotFound("this log has published nothing yet; ask again in a second")
    return note
