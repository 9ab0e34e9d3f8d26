"""Operations on the lock of a version: retention and legal hold.

Not handled here: what a lock forbids and who may weaken it (``vault.retention``, asked by the committer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.record import LockRef, ObjectRef, Request
from vault.service.commit import reference
from vault.service.core import intent
from vault.service.results import Done, LockResult

if TYPE_CHECKING:
    from vault.ports import Committed
    from vault.service.context import Caller
    from vault.service.core import Core


class Locks:
    """Each method raises S3Error where the committer refuses, Unavailable, or OutcomeUnknown.

    ``version_id`` is an id, ``null``, or empty for the current version.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def get_retention(self, caller: Caller, bucket: str, key: str, version_id: str = "") -> LockResult:
        """GetObjectRetention."""
        return await self._get(caller, "object.retention.get", ObjectRef(bucket, key, version_id))

    async def put_retention(
        self, caller: Caller, bucket: str, key: str, version_id: str = "", *, lock: LockRef | None, bypass: bool = False
    ) -> Done:
        """PutObjectRetention.

        Args:
            caller: Who asks.
            bucket: The bucket.
            key: The key.
            version_id: The version.
            lock: Mode and date; None removes the retention.
            bypass: Asks for the GOVERNANCE bypass.
        """
        asked = Request(
            mode=lock.mode if lock is not None else "",
            until=lock.until if lock is not None else "",
            bypass=bypass,
            remove=lock is None,
            http=caller.http,
        )
        return await self._put(caller, "object.retention.put", ObjectRef(bucket, key, version_id), asked)

    async def get_hold(self, caller: Caller, bucket: str, key: str, version_id: str = "") -> LockResult:
        """GetObjectLegalHold: ``lock.held``."""
        return await self._get(caller, "object.hold.get", ObjectRef(bucket, key, version_id))

    async def put_hold(self, caller: Caller, bucket: str, key: str, version_id: str = "", *, on: bool) -> Done:
        """PutObjectLegalHold."""
        asked = Request(hold=on, http=caller.http)
        return await self._put(caller, "object.hold.put", ObjectRef(bucket, key, version_id), asked)

    async def _get(self, caller: Caller, op: str, named: ObjectRef) -> LockResult:
        committed = await self._commit(caller, op, named, None)
        return LockResult(committed.head.lock or LockRef(), reference(committed))

    async def _put(self, caller: Caller, op: str, named: ObjectRef, asked: Request) -> Done:
        return Done(reference(await self._commit(caller, op, named, asked)))

    async def _commit(self, caller: Caller, op: str, named: ObjectRef, asked: Request | None) -> Committed:
        committed = await self._core.commit(intent(caller, op, named, asked))
        committed.release()  # no bytes are read
        return committed
