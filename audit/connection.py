"""One HTTP/1.1 connection: uvicorn's, with bounds where it has none.

- A request's head ends in time and within :data:`MAX_HEAD_BYTES`.
- An answer to a request that was not read to its end is followed by a pause before the connection closes. To close at
  once would reset it, and a client that still sends would lose the answer (RFC 9112 §9.6).
- A connection has one timer, and nothing of a request refers to itself: two new timers for each request, and what only
  the garbage collector could take apart, cost more than uvicorn itself.

Not handled here: the port (``audit.listener``), and a client that stalls in the middle of a body, which holds no more
than its own connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vault.s3.body import ARRIVED

if TYPE_CHECKING:
    import asyncio

#: Of a request's line and headers, in bytes; S3 needs 8 KiB of headers and a key of 3 KiB when escaped.
MAX_HEAD_BYTES: Final = 64 * 1024
#: Trailer fields of one request, in bytes; nobody reads them (those of aws-chunked are part of the body).
MAX_TRAILER_BYTES: Final = 8 * 1024
#: Seconds that a client gets to take an answer that came before it had sent its request.
LINGER_S: Final = 15
#: Seconds that a client gets, when the server stops, to agree that an idle TLS connection ends.
TLS_END_S: Final = 1
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"


class _Arrival:
    """Whether all of a request's body is here."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        self.complete = False

    def __call__(self) -> bool:
        return self.complete


class _Answering:
    """The transport as uvicorn writes answers to it: one that was given early does not close the connection yet."""

    def __init__(self, connection: Connection) -> None:
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing
        self.close = connection.end


class Connection(HttpToolsProtocol):
    """See the module. Made by uvicorn's server; belongs to one event loop."""

    _deadline: float | None = None  # when a head must have ended, or the pause before the end
    _watching: asyncio.TimerHandle | None = None
    _lingers = False
    _in_head = True
    _heads = 0
    _unfinished = 0
    _trailer = 0
    _answering: asyncio.Transport
    _arrival: _Arrival

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin, unless there are too many."""
        super().connection_made(transport)
        self._answering = cast("asyncio.Transport", _Answering(self))
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.write(_BUSY)
            transport.close()
        self._end_within(self.timeout_keep_alive)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; whoever still answers is told."""
        if self._watching is not None:
            self._watching.cancel()
        super().connection_lost(exc)

    def _end_within(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _watch(self) -> None:
        """Close what is overdue; else look again when it may be."""
        now = self.loop.time()
        if self._deadline is not None and self._deadline <= now:
            self.transport.close()
        else:
            self._watching = self.loop.call_at(self._deadline or now + self.timeout_keep_alive, self._watch)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._lingers:
            return
        heads = self._heads
        super().data_received(data)
        if not self._in_head or heads != self._heads:
            self._unfinished = 0
            return
        self._unfinished += len(data)  # all of it belongs to the one head that still has no end
        if self._unfinished > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        """Begin a request: its head must end in time."""
        super().on_message_begin()
        self._in_head, self._trailer = True, 0
        self._end_within(self.timeout_keep_alive)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; what comes after it is a trailer field, which may not join it (RFC 9110 §6.5.1)."""
        if self._in_head:  # as in uvicorn, and without another call for each field
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self._trailer += len(name) + len(value)
        if self._trailer > MAX_TRAILER_BYTES:
            raise ValueError("trailer fields too large")  # the parser makes it its own error, answered 400

    def on_headers_complete(self) -> None:
        """Hand a request to the application, or have it wait for those before it."""
        self._in_head, self._deadline = False, None
        self._heads += 1
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > MAX_HEAD_BYTES:
            raise ValueError("request head too large")  # the parser makes it its own error, answered 400
        self._arrival = arrival = _Arrival()
        scope: dict[str, Any] = cast("dict[str, Any]", self.scope)
        scope["extensions"] = {ARRIVED: {"body": arrival}}
        super().on_headers_complete()
        self.cycle.transport = self._answering

    def on_message_complete(self) -> None:
        """End a request."""
        self._arrival.complete = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self.server_state.total_requests += 1
        if self._lingers or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_head:  # else the next request has begun already, and its time runs
            self._end_within(self.timeout_keep_alive)

    def end(self) -> None:
        """End after an answer, or in the middle of one; the client may still be sending the request."""
        # With others waiting in the pipeline this request was read to its end.
        early = self.cycle.response_complete and self.cycle.more_body and not self.pipeline
        if not early or self._lingers or self.transport.is_closing():
            self.transport.close()
            return
        self._lingers = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._end_within(LINGER_S)
        if self._watching is not None:
            self._watching.cancel()
        self._watch()

    def shutdown(self) -> None:
        """End when nothing is being answered."""
        super().shutdown()
        # TLS waits for the client's own close_notify, and a client with a pool of connections does not listen to it.
        if self.transport.is_closing():
            self.loop.call_later(TLS_END_S, self.transport.abort)
