"""Who is asking: bearer tokens (RFC 6750), counted where they are not accepted, and bounded per principal.

A request without a token that counts is one without a valid signature: it is counted in a window whose opening record
is durable before the answer (DESIGN §3), like a request to the S3 port that nobody signed.

Not handled here: what they may do. The committer decides that, and records it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, NamedTuple

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from audit.api.problems import Unauthenticated
from audit.errors import AuditError
from audit.log_lines import request_id
from audit.node import Node
from audit.query.filter import QueryInvalid
from audit.query.records import MAX_TEXT
from audit.tokens import Bearer
from vault.record import MAX_AGENT, Actor, Origin, Tail
from vault.record import Request as Asked

#: How long one record stands for all entries of a log that one token reads, in seconds.
WINDOW_S: Final = 600
#: Principals whose rate is remembered, and tokens that read entries.
MAX_RATES: Final = 4096

Count = Callable[[str, str], Awaitable[None]]

#: For the description alone: what a header says is judged below, where it is counted too.
_described: Final = HTTPBearer(scheme_name="token", description="From `strongroom token add`.", auto_error=False)

_WHY: Final = {
    "missing_token": "this needs a bearer token: `strongroom token add` makes one",
    "unknown_token": "the bearer token is none of this vault",
    "revoked_token": "the bearer token was revoked, or its principal disabled",
    "expired_token": "the bearer token has expired: `strongroom token add` makes another",
}


class TooManyRequests(AuditError):
    """A principal asks more often than ``audit.requests_per_minute``."""

    code = "too-many-requests"
    status = 429
    retryable = True


class Client(NamedTuple):
    """Who sent a request, as the record of it names them."""

    bearer: Bearer
    origin: Origin

    @property
    def actor(self) -> Actor:
        """The principal, with the roles that the token carries."""
        return self.bearer.actor()


class Rates:
    """A token bucket for each principal: a minute's worth at once, refilled evenly. For one event loop.

    Args:
        per_minute: Requests of one principal.
        clock: Seconds, monotonic.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, principal: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: It is one too many.
        """
        now = self._clock()
        left, since = self._left.pop(principal, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
        if len(self._left) >= MAX_RATES:
            del self._left[next(iter(self._left))]  # whoever was not heard of for longest
        self._left[principal] = (left - 1 if left >= 1 else left), now
        if left < 1:
            raise TooManyRequests(f"more than {self._per_minute} requests a minute; wait a little")


class Fetches:
    """When each token last began to read a log's entries: one record stands for :data:`WINDOW_S` of them. Thread-safe.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}

    def begins(self, token_id: str, stream: str) -> bool:
        """Whether a request has to be recorded."""
        since = self._since.get((token_id, stream))
        return since is None or self._clock() - since >= WINDOW_S

    def began(self, token_id: str, stream: str) -> None:
        """A request was recorded: those that follow are of its window."""
        if len(self._since) >= MAX_RATES:
            self._since.clear()  # what is forgotten is recorded once more
        self._since[token_id, stream] = self._clock()


def asked(op: str, client: Client, request: Request, ref: int = -1) -> Tail:
    """What is recorded of a request that shows records: with its text as it was sent."""
    return Tail(op=op, actor=client.actor, origin=client.origin, request=Asked(http=text_of(request)), ref=ref)


def text_of(request: Request) -> str:
    """A request as it was sent.

    Raises:
        QueryInvalid: It is longer than a record shall hold.
    """
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    text = f"{request.method} {raw.decode('latin-1')}{'?' if query else ''}{query.decode('latin-1')}"
    if len(text) > MAX_TEXT:
        raise QueryInvalid(f"path and query are longer than {MAX_TEXT} characters")
    return text


async def _client(request: Request, _: Annotated[object, Security(_described)]) -> Client:
    state = request.app.state
    node: Node = state.node
    ip = request.client.host if request.client is not None else ""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = node.tokens.recognise(token.strip()) if scheme.lower() == "bearer" else "missing_token"
    if not isinstance(found, Bearer):
        count: Count = state.count
        await count(ip, found)
        raise Unauthenticated(_WHY[found])
    return Client(found, Origin("audit", request_id.get(), ip, request.headers.get("user-agent", "")[:MAX_AGENT]))


async def _asker(request: Request, client: Annotated[Client, Depends(_client)]) -> Client:
    """Somebody who asks: at a bounded rate; and the token of a source is good for no question, whoever holds it."""
    rates: Rates = request.app.state.rates
    rates.take(client.bearer.principal.id)
    return client._replace(bearer=client.bearer._replace(roles=())) if client.bearer.source else client


Asker = Annotated[Client, Depends(_asker)]
#: Whoever brings something: a source, whose requests are bounded otherwise (``audit.ingest.receiving``).
Bringer = Annotated[Client, Depends(_client)]
