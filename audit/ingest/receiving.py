"""One request of a source, from its body to the answer: nothing of it is passed over.

A request's events are committed in batches of at most 1 MiB, in order, all queued in one go: a batch is durable as a
whole or not at all. The answer says success only once every event is durable. Where it says anything else, or does not
come, the source sends the whole request again: what is there already is recognised by its name and not kept twice.
Events name themselves by an id or a number, or the request has a name (``Idempotency-Key``) that stays the same when it
is sent again; only events without any of these are kept twice.

Bounded: so many requests of one source at a time, and so many bytes of all together; what is beyond is told to come
again (429, 503). Not handled here: who sends (``audit.api.ingest``).
"""

from __future__ import annotations

from base64 import b64decode
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import AuditError
from audit.ingest import events, unpack
from audit.ingest.events import Large
from audit.ingest.objects import BUCKET
from vault.errors import IntegrityError, S3Error, Unavailable
from vault.foreign import IngestRef
from vault.ports import Intent
from vault.record import Request as Asked
from vault.record import Tail, decode, encode_tail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from audit.ingest.events import Sender
    from audit.ingest.objects import Objects
    from vault.ports import Committed
    from vault.record import Actor, Origin
    from vault.service import Core
    from vault.state.ingest import Member

#: Requests of one source at a time; one more is told to wait.
MAX_REQUESTS: Final = 16
#: Bytes of bodies that are being handled at a time, as they were sent and as they were decoded.
MAX_BYTES: Final = 256 * 1024 * 1024

_LOST: Final = "send the whole request again: what is there is recognised by its id, sequence or Idempotency-Key"


class SourceBusy(AuditError):
    """A source sends more requests at a time than it may."""

    code = "too-many-requests"
    status = 429
    retryable = True


class IngestBusy(AuditError):
    """More is being received than there is memory for."""

    code = "service-unavailable"
    status = 503
    retryable = True


class IngestIncomplete(AuditError):
    """Some of a request's events are durable and others are not; the whole may be sent again."""

    code = "ingest-incomplete"
    status = 503
    retryable = True


class Gap(msgspec.Struct, frozen=True):
    """Numbers that are missing, both inclusive."""

    first: int
    last: int


class Receipt(msgspec.Struct, omit_defaults=True):
    """What became of a request; durable. Members are named by their place in the request, from 0.

    ``records`` are the seqs, (first, last) each, that its records are among: every one in between is of this request.
    """

    source: str
    stream: str
    members: int
    stored: int
    records: list[tuple[int, int]]
    duplicates: list[int] = []
    conflicts: list[int] = []
    late: list[int] = []
    gaps: list[Gap] = []


class Receiver:
    """Takes requests of sources. For one event loop.

    Args:
        core: The vault's.
        objects: Keeps what no record holds.
        max_payload: What the payload of a group can be at most, in bytes.
    """

    def __init__(self, core: Core, objects: Objects, max_payload: int) -> None:
        self._core = core
        self.objects = objects
        self._max_payload = max_payload
        self._requests: dict[str, int] = {}
        self._bytes = 0

    @contextmanager
    def admitted(self, source: str, length: int) -> Iterator[None]:
        """Take a request in, for as long as the block lasts.

        Args:
            source: Whose it is.
            length: Of its body as it is sent, in bytes.

        Raises:
            SourceBusy: The source has too many under way.
            IngestBusy: All have, together.
        """
        under_way = self._requests.get(source, 0)
        if under_way >= MAX_REQUESTS:
            raise SourceBusy(f"source {source} has {under_way} requests under way; wait for some of them")
        self._requests[source] = under_way + 1
        try:
            with self._room(length):
                yield
        finally:
            self._requests[source] -= 1
            if not self._requests[source]:
                del self._requests[source]

    @contextmanager
    def _room(self, length: int) -> Iterator[None]:
        if self._bytes + length > MAX_BYTES:
            raise IngestBusy("more is being received than there is memory for; try again")
        self._bytes += length
        try:
            yield
        finally:
            self._bytes -= length

    async def refuse(self, sender: Sender, http: str, error: S3Error) -> None:
        """Record that a request was refused as a whole, and raise why.

        Raises:
            S3Error: ``error``.
            Unavailable: It could not be recorded.
        """
        tail = _own(sender, http)
        await self._core.commit(Intent(tail, encode_tail(tail), refused=error))

    async def receive(
        self, sender: Sender, http: str, read: Callable[[], Awaitable[bytes]], content_type: str, coding: str
    ) -> Receipt:
        """Keep what a request brings.

        Args:
            sender: Who brings it.
            http: The request as it was sent, for the record.
            read: Reads its body, at most :data:`audit.ingest.unpack.MAX_BODY_BYTES`; may raise what is raised here.
            content_type: Its type.
            coding: Its content coding.

        Returns:
            What became of it; durable.

        Raises:
            BodyUnsupported: Another type or coding. This and the next two are recorded.
            BodyTooLarge: It is too long, or has too many events.
            BodyInvalid: It cannot be decoded or taken apart.
            S3Error: AccessDenied: recorded, nothing was kept.
            Unavailable: Nothing was written.
            IngestIncomplete: Some events are durable and others are not.
            OutcomeUnknown: The ledger decides at the next start.
        """
        try:
            body = await read()
            data = await self._core.run(unpack.decoded, body, coding) if coding else body
            with self._room(len(data) if data is not body else 0):
                prepared = await self._core.run(_prepare, sender, data, content_type)
                members = [await self._kept(sender, each) if isinstance(each, Large) else each for each in prepared]
                return await self._commit(sender, http, members)
        except (unpack.BodyUnsupported, unpack.BodyTooLarge, unpack.BodyInvalid) as error:
            code = "EntityTooLarge" if isinstance(error, unpack.BodyTooLarge) else "InvalidRequest"
            with suppress(S3Error):  # this very refusal, recorded
                await self.refuse(sender, http, S3Error(code, reason=error.code.replace("-", "_")))
            raise

    async def bytes_of(self, actor: Actor, origin: Origin, http: str, record: bytes) -> bytes | None:
        """The bytes of an event, for somebody who may read its record.

        Args:
            actor: Who reads it.
            origin: From where.
            http: The request, for the record of the read where the event is an object.
            record: The event's record.

        Returns:
            As they came; None where the record holds none.

        Raises:
            S3Error: The object is not there any more; recorded.
            IntegrityError: What is stored is not what the record says.
            Unavailable: The read could not be recorded.
        """
        _, tail = decode(record)
        said = tail.ingest
        if said is None or not said.digest:
            return None
        if said.manifest and tail.object is not None:
            data = b"".join([piece async for piece in await self.objects.read(actor, origin, http, tail.object)])
        elif said.event or said.base64:
            data = said.event.encode() if said.event else b64decode(said.base64)
        else:
            return None
        if sha256(data).hexdigest() != said.digest:
            raise IntegrityError("an event's bytes are not those whose digest its record holds")
        return data

    async def _kept(self, sender: Sender, large: Large) -> Member:
        """An event that no record holds: kept before any of the request's, or the whole request is not done."""
        try:
            named, manifest = await self.objects.keep(sender, large)
        except S3Error as error:
            problem = f"an event is too large for a record, and bucket {BUCKET} does not take it: {error.message}"
            raise Unavailable(problem) from error
        return events.stored(sender, large, named, manifest)

    async def _commit(self, sender: Sender, http: str, members: Sequence[Member]) -> Receipt:
        tail = _own(sender, http)
        encoded = encode_tail(tail)
        batches = list(events.batches(sender.source, members, len(encoded), self._max_payload))
        outcomes = await self._core.commits.commit_all([Intent(tail, encoded, batch=batch) for batch in batches])
        receipt = Receipt(sender.source, "", len(members), 0, [])
        at, failed = 0, None
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, Unavailable):
                failed = outcome
            elif outcome.error is not None:
                raise outcome.error
            else:
                _add(receipt, outcome, at)
            at += len(batch.members)
        if failed is not None and receipt.records:
            raise IngestIncomplete(f"{receipt.stored} of {len(members)} events are durable ({failed}); {_LOST}")
        if failed is not None:
            raise failed
        return receipt


def _prepare(sender: Sender, data: bytes, content_type: str) -> list[Member | Large]:
    return events.prepare(sender, unpack.events(data, content_type))


def _own(sender: Sender, http: str) -> Tail:
    ref = IngestRef(sender.source, sender.format)
    return Tail(op="ingest.batch", actor=sender.actor, origin=sender.origin, request=Asked(http=http), ingest=ref)


def _add(receipt: Receipt, done: Committed, at: int) -> None:
    told = done.batch
    if told is None:
        raise TypeError("the journal answered a batch without its outcome")
    receipt.stream = done.head.stream
    receipt.stored += told.stored
    if receipt.records and receipt.records[-1][1] == told.first - 1:
        receipt.records[-1] = (receipt.records[-1][0], told.last)
    else:
        receipt.records.append((told.first, told.last))
    receipt.duplicates += [at + number for number in told.duplicates]
    receipt.conflicts += [at + number for number in told.conflicts]
    receipt.late += [at + number for number in told.late]
    receipt.gaps += [Gap(*gap) for gap in told.gaps]
