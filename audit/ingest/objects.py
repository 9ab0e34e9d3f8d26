"""Events that no record holds: kept as locked objects, which their records name by the manifest digest (DESIGN §3).

They stand in the bucket :data:`BUCKET`, made when the first one comes, under ``SOURCE/SHA-256``. Whoever may read
objects reads them over S3; whoever may read records, by the record (``/v1/records/STREAM/SEQ/event``).

Each is locked in COMPLIANCE mode for :data:`LOCK_DAYS`: six years, the longest time for which 17 CFR 240.17a-4(a)
wants a record kept. What the record says of an event is kept for as long as the ledger is, so the bytes must not be
gone while somebody may still have to show them; the lock can be made longer by whoever may set retention, and shorter
by nobody.

An object is durable before the record that names it. Where a crash comes between, the object is found again by the
source's next attempt; where there is none, it stands there unnamed until its lock ends.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from vault.checksums import BodyDigests
from vault.errors import S3Error, Unavailable
from vault.policy import SYSTEM
from vault.record import Actor, LockRef, ObjectRef
from vault.service.context import Caller, PutSpec
from vault.service.reading import Wanted
from vault.state import lookup
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from audit.ingest.events import Large, Sender
    from vault.record import Origin
    from vault.service import Service
    from vault.state.rows import VersionRow

#: Where they stand.
BUCKET: Final = "strongroom-ingest"
#: For how long each is locked, in days.
LOCK_DAYS: Final = 2_192
#: An object that is there already is taken where its lock ends at most this much earlier, in days.
_SLACK_DAYS: Final = 31
_COMPLIANCE: Final = "COMPLIANCE"


class _Known:
    """Nothing is claimed of these bytes: their digest is ours."""

    def __init__(self) -> None:
        self.digests = BodyDigests()

    def verify(self) -> None:
        """Nothing to compare with."""


class Objects:
    """Keeps events as objects. For the event loop of its service.

    Args:
        service: The vault's.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def keep(self, sender: Sender, large: Large) -> tuple[ObjectRef, str]:
        """Have an event's bytes be a locked object, durable on return.

        Returns:
            The version that holds them, and its manifest digest.

        Raises:
            S3Error: It was refused; recorded.
            Unavailable: There is no room.
            OutcomeUnknown: Its record's fate is not known.
            DurabilityError: It could not be written.
        """
        key = f"{sender.source}/{large.ref.digest}"
        received = time.time_ns()
        until = received + LOCK_DAYS * DAY_NS
        row = await self._there(key, large, until - _SLACK_DAYS * DAY_NS)
        if row is None:
            caller = _caller(sender.actor, sender.origin, f"POST /v1/ingest/{sender.source}", received)
            if self._service.core.bucket(BUCKET) is None:
                await self._make_bucket(caller)
            spec = PutSpec(
                bucket=BUCKET,
                key=key,
                length=len(large.data),
                checks=_Known(),
                headers={"content-type": "application/octet-stream"},
                lock=LockRef(_COMPLIANCE, rfc3339(until)),
            )
            result = await self._service.objects.put(caller, spec, _once(large.data))
            row = lookup.version_by_id(self._service.core.state, BUCKET, key, result.version_id)
        if row is None:
            raise Unavailable("an event's object was removed as soon as it was made")
        return ObjectRef(BUCKET, key, row.version_id, size=row.size), row.manifest

    async def _there(self, key: str, large: Large, until: int) -> VersionRow | None:
        """The current version, where it is of these bytes and locked for long enough: nobody is taken at his word."""
        core = self._service.core
        found = lookup.key_row(core.state, BUCKET, key)
        row = found.current if found is not None else None
        if row is None or row.storage is None or row.mode != _COMPLIANCE or row.until < until:
            return None
        try:
            document = await core.document(row.seq, row.storage, row.content)
        except S3Error:  # it is damaged: another is made beside it
            return None
        return row if document.sha256 == large.ref.digest and document.size == len(large.data) else None

    async def _make_bucket(self, caller: Caller) -> None:
        try:
            await self._service.buckets.create(caller, BUCKET, lock=True, strict=False)
        except S3Error as error:
            if error.s3_code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # made by another request
                raise

    async def read(self, actor: Actor, origin: Origin, http: str, named: ObjectRef) -> AsyncGenerator[bytes, None]:
        """An event's bytes, for somebody who may read its record; that they were released is recorded, too.

        Raises:
            S3Error: It is not there any more; recorded.
            IntegrityError: What is stored does not authenticate.
            Unavailable: The read could not be recorded.
        """
        caller = _caller(actor, origin, http, time.time_ns())
        got = await self._service.objects.get(
            caller, Wanted(bucket=named.bucket, key=named.key, version_id=named.version_id)
        )
        if got.body is None:
            raise Unavailable("an event's object has no bytes")
        return got.body


def _caller(actor: Actor, origin: Origin, http: str, received: int) -> Caller:
    """The server, acting for somebody whose own roles say nothing of this bucket."""
    return Caller(Actor(SYSTEM, on_behalf_of=actor.id), origin, http, received)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
