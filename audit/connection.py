"""One HTTP/1.1 connection: uvicorn's, with bounds where it has none.

- A request's head ends in time and within :data:`MAX_HEAD_BYTES`, and few requests wait behind the one being answered.
- Every request that was good is answered before the connection ends for one that was not.
- A client that takes nothing of its answer for :data:`STALL_S` is cut off.
- An answer to a request that was not read to its end is followed by a pause before the connection closes. To close at
  once would reset it, and a client that still sends would lose the answer (RFC 9112 §9.6).
- A connection has one timer; two new ones for each request cost more than the parser.

Not handled here: the port (``audit.listener``), single requests (``audit.exchange``), and a client that stalls in the
middle of a body: it holds no more than its own connection.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from audit.exchange import Exchange
from vault.s3.body import READY

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

#: Of a request's line and headers, in bytes; S3 needs 8 KiB of headers and a key of 3 KiB when escaped.
MAX_HEAD_BYTES: Final = 64 * 1024
#: Trailer fields of one request, in bytes; nobody reads them (those of aws-chunked are part of the body).
MAX_TRAILER_BYTES: Final = 8 * 1024
#: Seconds that a client gets to take an answer that came before it had sent its request.
LINGER_S: Final = 15
#: Seconds after which a client that takes nothing of what is sent to it is cut off.
STALL_S: Final = 60
#: Seconds between two looks at how much was taken.
_LOOK_S: Final = 15
#: Requests that may wait behind the one that is being answered (HTTP/1.1 pipelining).
MAX_PIPELINED: Final = 64
#: Seconds that a client gets, when the server stops, to agree that an idle TLS connection ends.
TLS_END_S: Final = 1
_BAD: Final = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%b"
)
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"


class Connection(HttpToolsProtocol):
    """See the module. Made by uvicorn's server; belongs to one event loop."""

    _deadline: float | None = None  # when a head must have ended, or the pause before the end
    _watching: asyncio.TimerHandle | None = None
    _unsent: tuple[int, float] = (0, 0.0)  # bytes that wait for the client, and since when as many
    _lingers = False
    _stopping = False
    _running: Exchange | None = None
    _in_head = True
    _heads = 0
    _unfinished = 0
    _trailer = 0
    _unparsed = 0
    _base: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Begin, unless there are too many."""
        super().connection_made(transport)
        self._base = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
        }
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
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    @property
    def _last(self) -> Exchange | None:
        """The exchange whose request came last, which is where the parser is; others before it may wait."""
        return cast("Exchange | None", self.cycle)

    def _end_within(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _watch(self) -> None:
        """Close what is overdue and cut off who takes nothing; else look again."""
        now = self.loop.time()
        if self._deadline is not None and self._deadline <= now:
            self._deadline = None
            self.transport.close()
        unsent = self._unsent_bytes()
        if unsent != self._unsent[0]:
            self._unsent = unsent, now
        elif unsent and now - self._unsent[1] >= STALL_S:
            self.transport.abort()
            return
        soon = now + (min(_LOOK_S, STALL_S) if unsent else self.timeout_keep_alive)
        self._watching = self.loop.call_at(min(self._deadline or soon, soon), self._watch)

    def _unsent_bytes(self) -> int:
        try:
            return self.transport.get_write_buffer_size()
        except RuntimeError:  # so says uvloop where the connection is closed, and only the news of it still comes
            return 0

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._lingers:
            return
        if self._unparsed:
            data = self._take_unparsed(data)
        began = self._heads if self._in_head else -1
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # It is passed over (RFC 9110 §7.8), but the parser believes that a body is no HTTP any more.
                self._unparsed = int(dict(self.headers).get(b"content-length", 0))
                cast("Exchange", self.cycle).more_body = self._unparsed > 0
                data = self._take_unparsed(data[offer.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                break
        if not self._in_head or began != self._heads:
            self._unfinished = 0
            return
        self._unfinished += len(data)  # all of it belongs to the one head that still has no end
        if self._unfinished > MAX_HEAD_BYTES and not self._lingers:
            self.send_400_response("Request head too large.")

    def _take_unparsed(self, data: bytes) -> bytes:
        """Take the body of a request whose head offered another protocol; what comes after it is returned."""
        body, rest = data[: self._unparsed], data[self._unparsed :]
        self._unparsed -= len(body)
        if body:
            self.on_body(body)
        if not self._unparsed:
            self.on_message_complete()
        return rest

    def on_message_begin(self) -> None:
        """Begin a request: its head must end in time."""
        self.url, self.headers = b"", []
        self.expect_100_continue = False
        self._in_head, self._trailer = True, 0
        last = self._last
        if last is None or last.response_complete:
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
        if self.parser.should_upgrade() and any(name == b"transfer-encoding" for name, _ in self.headers):
            raise ValueError("the parser would take a chunked body for another protocol")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError("too many requests wait for the first one's answer")
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        version = self.parser.get_http_version()
        scope = self._base | {
            "http_version": version,
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
        }
        before = self._last
        exchange = Exchange(self, scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        scope["extensions"] = {READY: {"body": exchange.ready}}
        self.cycle = cast("RequestResponseCycle", exchange)
        limit = self.limit_concurrency
        crowded = limit is not None and (len(self.connections) > limit or len(self.tasks) >= limit)
        app = service_unavailable if crowded else self.app
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, unless nobody wants it any more."""
        exchange = cast("Exchange", self.cycle)
        if not exchange.response_complete:
            exchange.take(body)

    def answered(self, exchange: Exchange) -> None:
        """Go on with the next request, or end with this one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if exchange.keep_alive and self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if not exchange.keep_alive:
            self.end(unread=exchange.more_body or self._lingers)
        else:
            self._end_within(self.timeout_keep_alive)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cast("Exchange", cycle)
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """End for a request that is none. Those before it are answered first; one whose body it breaks learns of it."""
        last = self._last
        if last is None or last.response_complete:
            self.transport.write(_BAD % (len(msg), msg.encode("ascii")))
            self.end(unread=True)
            return
        self._lingers = True
        last.keep_alive = False
        if last.more_body:
            last.broken = True
            last.message_event.set()

    def end(self, *, unread: bool) -> None:
        """End after an answer.

        Args:
            unread: The client may still be sending.
        """
        if unread:
            self._lingers = True
            if self.transport.can_write_eof():
                with suppress(OSError):  # the client is gone, and the news of it still comes
                    self.transport.write_eof()
            self._end_within(LINGER_S)
            if self._watching is not None:
                self._watching.cancel()
            self._watch()
            return
        self.transport.close()
        if self._stopping:
            self.loop.call_later(TLS_END_S, self._abort)

    def shutdown(self) -> None:
        """End when nothing is being answered."""
        self._stopping = True
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(TLS_END_S, self._abort)

    def _abort(self) -> None:
        """Do not wait for TLS, where a client with a pool of connections does not listen to our close_notify."""
        if self not in self.connections:
            return
        if self._unsent_bytes():  # an answer is still on its way
            self.loop.call_later(TLS_END_S, self._abort)
        else:
            self.transport.abort()
