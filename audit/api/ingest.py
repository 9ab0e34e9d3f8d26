"""``POST /v1/ingest/SOURCE``: another system brings its audit events, and is answered once they are durable.

Not handled here: taking a request apart, repeats and gaps (``audit.ingest``).
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from audit.api.access import Asker, Bringer, text_of
from audit.api.answers import NO_STORE, as_json
from audit.api.description import StreamName, bytes_of, problems
from audit.api.node import OpenNode
from audit.api.records import RecordNotFound, Seq, position_of
from audit.ingest.events import Sender
from audit.ingest.receiving import Receiver
from audit.ingest.unpack import LINES, MAX_BODY_BYTES, BodyInvalid, BodyTooLarge
from vault.errors import S3Error

#: Of a request's own name (``Idempotency-Key``), in characters.
MAX_KEY: Final = 128
#: How long a body may pause, in seconds.
STALL_SECONDS: Final = 60.0
_ANOTHERS: Final = (
    "This token is not for this source: `strongroom token add ACCESS_KEY --source NAME` makes one that is."
)

router: Final = APIRouter(prefix="/v1", tags=["ingest"])


class ReceiptModel(BaseModel):
    """What became of a request; all of it is durable.

    Members are named by their place in the request, from 0. ``records`` are (first, last) seqs in ``stream``, between
    which all records are of this request. ``duplicates`` were there already; ``conflicts`` were kept though an event of
    their name is there with other bytes; ``late`` were kept though they had been taken for missing; ``gaps`` are the
    sequence numbers that did not come.
    """

    source: str
    stream: str
    members: int
    stored: int
    records: list[Annotated[list[int], Field(min_length=2, max_length=2)]]
    duplicates: list[int] = []
    conflicts: list[int] = []
    late: list[int] = []
    gaps: list[dict[str, int]] = []


class EventNotFound(RecordNotFound):
    """The record holds no event of another system."""

    code = "event-not-found"


async def _receiver(request: Request) -> Receiver:  # a coroutine: FastAPI sends anything else to a thread
    return cast("Receiver", request.app.state.receiver)


Receives = Annotated[Receiver, Depends(_receiver)]
#: What a body may be (``audit.ingest.unpack``).
_BODY: Final = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Names the request, where events have neither id nor number.",
            "schema": {"type": "string", "maxLength": MAX_KEY, "pattern": "^[ -~]*$"},
        },
        {
            "name": "Content-Encoding",
            "in": "header",
            "schema": {"type": "string", "enum": ["identity", "gzip", "x-gzip", "zstd"]},
        },
    ],
    "requestBody": {
        "required": False,  # none has no events, which is an answer too: so senders try out an address
        "content": {
            "application/json": {"schema": {"description": "Events; whatever is none of the format is kept too."}},
            **{lines: {"schema": {"type": "string"}} for lines in sorted(LINES)},
        },
    },
}


@router.post("/ingest/{source}", response_model=ReceiptModel, responses=problems(413, 415), openapi_extra=_BODY)
async def ingest(
    source: Annotated[str, Path(examples=["app-a"])], request: Request, bringer: Bringer, receiver: Receives
) -> Response:
    """Bring events of a source, with that source's token; 200 once all are durable.

    Send the whole request again where there was any other answer than 200 or 4xx, or none: what is there already is
    recognised.
    """
    http, bearer = text_of(request), bringer.bearer
    name = request.headers.get("idempotency-key", "")
    sender = Sender(bringer.actor, bringer.origin, bearer.source, bearer.format, name)
    if bearer.source != source:
        # The name in the path may be anything: it is in the text of the request alone.
        denied = S3Error("AccessDenied", _ANOTHERS, reason="source")
        await receiver.refuse(sender._replace(source=bearer.source or "none"), http, denied)
        raise denied
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isdecimal() and len(length) < 20 else MAX_BODY_BYTES

    async def read() -> bytes:
        if len(name) > MAX_KEY or not (name.isascii() and name.isprintable()):
            raise BodyInvalid(f"an Idempotency-Key is at most {MAX_KEY} printable ASCII characters")
        return await _body(request, declared)

    with receiver.admitted(source, min(declared, MAX_BODY_BYTES)):
        types = request.headers.get("content-type", ""), request.headers.get("content-encoding", "")
        receipt = await receiver.receive(sender, http, read, *types)
    return as_json(receipt)


async def _body(request: Request, declared: int) -> bytes:
    """All of a body, of which ``declared`` bytes are announced.

    Raises:
        BodyTooLarge: It is too long.
        BodyInvalid: It did not come whole.
    """
    pieces: list[bytes] = []
    left = MAX_BODY_BYTES
    stream = aiter(request.stream())
    try:
        while declared <= MAX_BODY_BYTES and left >= 0:
            async with asyncio.timeout(STALL_SECONDS):
                piece = await anext(stream, None)
            if piece is None:
                return b"".join(pieces)
            pieces.append(piece)
            left -= len(piece)
    except (TimeoutError, ClientDisconnect) as error:
        raise BodyInvalid("the body did not come whole") from error
    raise BodyTooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes; send less at once")


@router.get(
    "/records/{stream}/{seq}/event",
    response_class=Response,
    responses={**problems(404, 410), **bytes_of("application/octet-stream")},
)
async def event(
    stream: StreamName, seq: Seq, request: Request, asker: Asker, *, node: OpenNode, receiver: Receives
) -> Response:
    """Return the bytes of another system's event, as they came. Needs a token that may read records."""
    position = await asyncio.to_thread(position_of, node, asker, request, stream, seq)
    found = await asyncio.to_thread(node.asking.found, position)
    data = await receiver.bytes_of(asker.actor, asker.origin, text_of(request), bytes(found.record))
    if data is None:
        raise EventNotFound("this record holds no event of another system")
    return Response(data, media_type="application/octet-stream", headers=NO_STORE)
