"""One HTTP/1.1 connection: uvicorn's, with bounds where it has none.

- A request's head ends in time and within :data:`MAX_HEAD_BYTES`.
- An answer to a request that was not read to its end is followed by a pause before the connection closes. To close at
  once would reset it, and a client that still sends would lose the answer (RFC 9112 §9.6).
- A connection has one timer, where two new ones for each request cost more than the parser.

Not handled here: the port (``audit.listener``), single requests (``audit.exchange``), and a client that stalls in the
middle of a body: it holds no more than its own connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from audit.exchange import Exchange
from vault.s3.body import READY

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

#: Of a request's line and headers, in bytes; S3 needs 8 KiB of headers and a key of 3 KiB when escaped.
MAX_HEAD_BYTES: Final = 64 * 1024
#: Trailer fields of one request, in bytes; nobody reads them (those of aws-chunked are part of the body).
MAX_TRAILER_BYTES: Final = 8 * 1024
#: Seconds that a client gets to take an answer that came before it had sent its request.
LINGER_S: Final = 15
#: Seconds that a client gets, when the server stops, to agree that an idle TLS connection ends.
TLS_END_S: Final = 1
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"


class Connection(HttpToolsProtocol):
    """See the module. Made by uvicorn's server; belongs to one event loop."""

    _deadline: float | None = None  # when a head must have ended, or the pause before the end
    _watching: asyncio.TimerHandle | None = None
    _lingers = False
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
        if self._unparsed:
            data = self._take_unparsed(data)
        heads = self._heads
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # It is passed over (RFC 9110 §7.8), but the parser believes that a body is no HTTP any more.
                fields = dict(self.headers)
                if b"transfer-encoding" in fields:
                    self.send_400_response("A chunked body cannot come with the offer of another protocol.")
                    return
                self._unparsed = int(fields.get(b"content-length", 0))
                cast("Exchange", self.cycle).more_body = self._unparsed > 0
                data = self._take_unparsed(data[offer.args[0] :])
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            else:
                break
        if not self._in_head or heads != self._heads:
            self._unfinished = 0
            return
        self._unfinished += len(data)  # all of it belongs to the one head that still has no end
        if self._unfinished > MAX_HEAD_BYTES and not self.transport.is_closing():
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
        before: Exchange | None = cast("Exchange", self.cycle)
        exchange = Exchange(self, scope, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        scope["extensions"] = {READY: {"body": exchange.ready}}
        self.cycle = cast("RequestResponseCycle", exchange)
        limit = self.limit_concurrency
        crowded = limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit)
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
        self.flow.resume_reading()
        if not exchange.keep_alive:
            self._end(unread=exchange.more_body)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._in_head:  # else the next request has begun already, and its time runs
            self._end_within(self.timeout_keep_alive)

    def _end(self, *, unread: bool) -> None:
        if not unread:
            self.transport.close()
            return
        self._lingers = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
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
