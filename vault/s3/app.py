"""The ASGI application: the way of one request, and the one boundary where everything that went wrong is answered.

Order, which is also the order of what may be believed: signature; target, parameters and headers; operation; the
handler. A request whose signature does not verify is counted in a window (``Service.unauthenticated``); every other
one has its own record, made by the service or, where we refuse before the service was asked, by ``Service.refuse``. If
there can be no record, the answer is 503.

Every request is counted (``vault.measures``). One that is refused or fails has a line in the log, which names
operation, code and request and never what it was about: whoever runs the vault need not be somebody who may read its
records. What anybody who reaches the port can cause, as often as he likes, and back-pressure are seen at level debug
only; a request that succeeds has a line where ``vault.s3.access`` is at level info.

Not handled here: what operations do (``vault.s3.routing`` lists them).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from ssl import RAND_bytes  # os.urandom lets go of the interpreter, and so wakes every thread that waits for it
from typing import TYPE_CHECKING, Any, Final

from vault.errors import S3Error, VaultError
from vault.measures import Tallies
from vault.record import MAX_AGENT, Actor, Origin
from vault.s3 import headers
from vault.s3.body import READY, Body
from vault.s3.request import MAX_NAME, Request, described
from vault.s3.responses import Response, of_error, send_response
from vault.s3.routing import route
from vault.s3.sigv4 import verify
from vault.s3.target import check_bucket, parameters, target
from vault.service.context import Caller
from vault.service.limits import check_key
from vault.times import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vault.s3.responses import Receive, Send
    from vault.service import Service
    from vault.state.rows import PrincipalRow

#: What a record says where no operation could be told.
REFUSED: Final = "request.refused"
#: The reason of a fault in this program.
_UNEXPECTED: Final = "unexpected"

_log: Final = logging.getLogger(__name__)
_access: Final = logging.getLogger("vault.s3.access")


@dataclass(slots=True)
class _Exchange:
    """One request and what is known of it so far: as much as a refusal's record can say.

    ``broken``: something happened after which the connection is not used again.
    """

    scope: dict[str, Any]
    request_id: str
    body: Body
    raw: list[tuple[bytes, bytes]]
    fields: dict[str, str]
    caller: Caller | None = None
    op: str = REFUSED
    bucket: str = ""
    key: str = ""
    broken: bool = False

    def told(self, **more: object) -> dict[str, object]:
        """What a line in the log says beside its message."""
        return {"request_id": self.request_id, "op": self.op, **more}


class S3App:
    """S3 over ASGI, for one event loop.

    The HTTP server must hand over the socket's own peer address, never a forwarded one: it becomes evidence.

    Args:
        service: Does and records what is asked.
        region: What this vault calls its region.
        domains: Hosts whose direct subdomains are buckets; none: path style only.
        wall: Wall clock, ns since the epoch: signatures are judged by it.

    Attributes:
        tallies: Requests by operation; :data:`REFUSED` where none could be told.
    """

    def __init__(
        self,
        service: Service,
        *,
        region: str = "us-east-1",
        domains: Sequence[str] = (),
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._service = service
        self._region = region
        self._domains = tuple(domain.lower() for domain in domains)
        self._wall = wall
        self.tallies = Tallies()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            NotImplementedError: It is not HTTP.
        """
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        began = time.perf_counter()
        raw = list(scope["headers"])
        fields = headers.collect(raw)
        ready = scope.get("extensions", {}).get(READY, {})
        body = Body(receive, raw, fields, ready.get("body"))
        exchange = _Exchange(scope, RAND_bytes(8).hex().upper(), body, raw, fields)
        try:
            response = await self._do(exchange)
        except Exception as error:  # noqa: BLE001 - the one boundary: whatever went wrong costs its request only
            response = await self._failed(exchange, error)
        seconds, tally = time.perf_counter() - began, self.tallies[exchange.op]
        tally.answered(response.status, seconds, body.received)
        scope["op"] = exchange.op  # for whoever wraps this application
        sent = await send_response(
            response,
            receive,
            send,
            request_id=exchange.request_id,
            head=scope["method"] == "HEAD",
            close=exchange.broken or body.cuts,
        )
        tally.sent += sent
        if _access.isEnabledFor(logging.INFO):
            figures = {"seconds": round(seconds, 6), "received_bytes": body.received, "sent_bytes": sent}
            _access.info("%s: %d", exchange.op, response.status, extra=exchange.told(status=response.status, **figures))

    async def _do(self, exchange: _Exchange) -> Response:
        scope, fields, raw = exchange.scope, exchange.fields, exchange.raw
        method, raw_path, query = scope["method"], scope["raw_path"], scope["query_string"]
        ip = scope["client"][0] if scope.get("client") else ""
        received = self._wall()
        try:
            verified = verify(method, raw_path, query, raw, now=received / NS, lookup=self._lookup)
        except S3Error as refusal:
            await self._service.unauthenticated(ip, refusal.reason)
            raise
        exchange.body.verified = verified
        principal = verified.principal
        exchange.caller = Caller(
            Actor(principal.id, roles=principal.roles),
            Origin("s3", exchange.request_id, ip, fields.get("user-agent", "")[:MAX_AGENT]),
            described(method, raw_path, query),
            received,
        )
        named = target(raw_path, fields.get("host", ""), self._domains)
        exchange.bucket, exchange.key = named
        asked = parameters(query)
        if asked:
            headers.hoist(asked, fields, raw, presigned=verified.presigned)
        operation = route(method, named, asked)
        exchange.op = operation.op
        headers.check(fields, operation.headers, metadata=operation.metadata, write=operation.write)
        if named.bucket:
            check_bucket(named.bucket)
        if named.key:
            check_key(named.key)
        if not operation.body:
            await exchange.body.unread()
        request = Request(exchange.caller, named.bucket, named.key, asked, fields, raw, exchange.body, self._region)
        return await operation.handle(self._service, request)

    def _lookup(self, access_key: str) -> tuple[bytes, PrincipalRow] | None:
        found = self._service.principals.lookup(access_key)
        return None if found is None else (found[1], found[0])

    async def _failed(self, exchange: _Exchange, error: Exception) -> Response:
        """Record what was not recorded yet, and answer."""
        if not isinstance(error, VaultError):
            # A fault in this program, perhaps after the operation was recorded: the answer gets a record of its own.
            _log.error("unexpected error", exc_info=error, extra=exchange.told(code="InternalError"))
            exchange.broken, exchange.op, error = True, REFUSED, S3Error("InternalError", reason=_UNEXPECTED)
        if isinstance(error, S3Error) and not error.record and exchange.caller is not None:
            names = exchange.bucket[:MAX_NAME], exchange.key[:MAX_NAME]
            try:
                error.record = await self._service.refuse(exchange.caller, exchange.op, *names, error)
            except VaultError as failure:  # no record, so not that answer
                error = failure
        if isinstance(error, VaultError):
            exchange.broken = exchange.broken or error.fatal
            _tell(exchange, error)
        return of_error(error, exchange.scope["raw_path"].decode("ascii", "backslashreplace"), exchange.request_id)


def _tell(exchange: _Exchange, error: VaultError) -> None:
    """Write the line of a request that was refused or failed."""
    if not isinstance(error, S3Error):
        # Back-pressure is no news: it comes with every request while it lasts, and /readyz says why.
        level = logging.DEBUG if error.retryable else logging.ERROR
        _log.log(level, "%s: %s", type(error).__name__, error, extra=exchange.told(code=error.code))
    elif error.reason != _UNEXPECTED:  # which has its line
        level = logging.ERROR if error.http_status == 500 else logging.INFO
        if exchange.caller is None or error.http_status == 304:
            level = logging.DEBUG
        told = exchange.told(code=error.s3_code, status=error.http_status)
        _log.log(level, "refused: %s (%s)", error.s3_code, error.reason, extra=told)
