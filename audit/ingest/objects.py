"""Events that no record holds: kept as locked objects, which their records name by the manifest digest (DESIGN §3).

They stand in the bucket :data:`BUCKET`, made when the first one comes, under ``SOURCE/SHA-256``. Whoever may read
records reads them, by the record (``/v1/records/STREAM/SEQ/event``); over S3 nobody does.

Each is locked as all objects of the server's own are (``audit.own_objects``). What the record says of an event is kept
for as long as the ledger is, so the bytes must not be gone while somebody may still have to show them.

An object is durable before the record that names it. Where a crash comes between, the object is found again by the
source's next attempt; where there is none, it stands there unnamed until its lock ends.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from audit.own_objects import acting_for, have_bucket, lock_from, locked_enough
from vault.checksums import BodyDigests
from vault.errors import S3Error, Unavailable
from vault.record import ObjectRef
from vault.service.context import PutSpec
from vault.service.reading import Wanted
from vault.state import lookup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from audit.ingest.events import Large, Sender
    from vault.record import Actor, Origin
    from vault.service import Service
    from vault.state.rows import VersionRow

#: Where they stand.
BUCKET: Final = "strongroom-ingest"


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
        row = await self._there(key, large, received)
        if row is None:
            caller = acting_for(sender.actor, sender.origin, f"POST /v1/ingest/{sender.source}", received)
            await have_bucket(self._service, caller, BUCKET)
            spec = PutSpec(
                bucket=BUCKET,
                key=key,
                length=len(large.data),
                checks=_Known(),
                headers={"content-type": "application/octet-stream"},
                lock=lock_from(received),
            )
            result = await self._service.objects.put(caller, spec, _once(large.data))
            row = lookup.version_by_id(self._service.core.state, BUCKET, key, result.version_id)
        if row is None:
            raise Unavailable("an event's object was removed as soon as it was made")
        return ObjectRef(BUCKET, key, row.version_id, size=row.size), row.manifest

    async def _there(self, key: str, large: Large, received: int) -> VersionRow | None:
        """The current version, where it is of these bytes and locked for long enough: nobody is taken at his word."""
        core = self._service.core
        found = lookup.key_row(core.state, BUCKET, key)
        row = found.current if found is not None else None
        if row is None or row.storage is None or not locked_enough(row, received):
            return None
        try:
            document = await core.document(row.seq, row.storage, row.content)
        except S3Error:  # it is damaged: another is made beside it
            return None
        return row if document.sha256 == large.ref.digest and document.size == len(large.data) else None

    async def read(self, actor: Actor, origin: Origin, http: str, named: ObjectRef) -> AsyncGenerator[bytes, None]:
        """An event's bytes, for somebody who may read its record; that they were released is recorded, too.

        Raises:
            S3Error: It is not there any more; recorded.
            IntegrityError: What is stored does not authenticate.
            Unavailable: The read could not be recorded.
        """
        caller = acting_for(actor, origin, http, time.time_ns())
        got = await self._service.objects.get(
            caller, Wanted(bucket=named.bucket, key=named.key, version_id=named.version_id)
        )
        if got.body is None:
            raise Unavailable("an event's object has no bytes")
        return got.body


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
