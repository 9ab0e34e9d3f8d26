"""Answers: the value a handler returns, errors, and the one place where both become ASGI messages.

Not handled here: ``Date`` and ``Connection: keep-alive``, which the HTTP server writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vault.errors import S3_ERRORS, S3Error, Unavailable, VaultError
from vault.s3 import xml

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]
    Headers = list[tuple[bytes, bytes]]

#: A reader that takes nothing for this long is cut off, so that it does not hold its lease on the bytes, seconds.
STALL_SECONDS: Final = 60.0
#: What a client is told to wait before it asks again, seconds.
RETRY_AFTER: Final = b"1"

_XML: Final = (b"content-type", xml.CONTENT_TYPE.encode())
_CLOSE: Final = (b"connection", b"close")
_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Response:
    """What a handler answers.

    Attributes:
        record: ``stream/seq/leaf`` of the operation's record.
        status: HTTP status.
        headers: Beside those that every answer has.
        body: All of the body, or its first piece.
        stream: The rest of it, piece by piece; closed in every case.
        length: Bytes of the whole body where that is not ``len(body)``: it is streamed, or a HEAD leaves it out.
    """

    record: str = ""
    status: int = 200
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    stream: AsyncGenerator[bytes, None] | None = None
    length: int | None = None


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header field; the value is Latin-1, as :func:`vault.s3.headers.collect` read it."""
    return name.encode("latin-1"), value.encode("latin-1")


def document(record: str, body: bytes) -> Response:
    """An answer that is an XML document."""
    return Response(record, headers=[_XML], body=body)


def of_error(error: Exception, resource: str, request_id: str) -> Response:
    """The answer to a request that failed.

    Args:
        error: An :class:`~vault.errors.S3Error` is told in full; of everything else only the kind, since its message
            may name places inside the vault.
        resource: The path as sent.
        request_id: As in ``x-amz-request-id``.
    """
    if isinstance(error, S3Error):
        headers = [_XML, *(header(name, value) for name, value in error.headers.items())]
        if error.http_status == 304:
            return Response(error.record, 304, headers[1:])
        body = xml.error_document(error.s3_code, error.message, error.fields, resource, request_id)
        return Response(error.record, error.http_status, headers, body)
    code = error.code if isinstance(error, VaultError) and error.code in S3_ERRORS else "InternalError"
    status, message = S3_ERRORS[code]
    if isinstance(error, Unavailable):
        message = error.told or message
    headers = [_XML, (b"retry-after", RETRY_AFTER)] if isinstance(error, Unavailable) else [_XML]
    return Response("", status, headers, xml.error_document(code, message, {}, resource, request_id))


async def send_response(
    response: Response, receive: Receive, send: Send, *, request_id: str, head: bool, close: bool
) -> int:
    """Send an answer; honours back-pressure and ends a stream whose reader left.

    Args:
        response: What to send.
        receive: To learn that the reader left; only while streaming, when the request has been read.
        send: Waits while the reader is slower than we are.
        request_id: Of this request.
        head: The request was HEAD: no body.
        close: Tell the client that this connection ends.

    Returns:
        Bytes of the body that were sent.
    """
    headers = [(b"x-amz-request-id", request_id.encode()), *response.headers]
    if response.record:
        headers.append((b"x-strongroom-record", response.record.encode()))
    if close:
        headers.append(_CLOSE)
    if response.status not in {204, 304}:
        length = len(response.body) if response.length is None else response.length
        headers.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is not None:
        return await _send_stream(response.body, response.stream, receive, send, request_id)
    body = b"" if head else response.body
    await send({"type": "http.response.body", "body": body})
    return len(body)


async def _send_stream(
    first: bytes, rest: AsyncGenerator[bytes, None], receive: Receive, send: Send, request_id: str
) -> int:
    """Send a body. Whatever ends it early leaves the answer incomplete: the server then cuts the connection."""
    gone = asyncio.ensure_future(_left(receive))
    piece: bytes | None = first
    sent = 0
    try:
        async with contextlib.aclosing(rest):
            while piece is not None:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if gone.done():
                    return sent
                sent += len(piece)
                piece = await anext(rest, None)
        await send({"type": "http.response.body", "body": b""})
    except (TimeoutError, VaultError) as error:
        _log.warning("answer cut short: %s %s", type(error).__name__, error, extra={"request_id": request_id})
    finally:
        gone.cancel()
    return sent


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
