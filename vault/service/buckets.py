"""Operations on buckets. All of it is decided by the committer; what is answered is what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault import policy
from vault.record import BucketConfig, ObjectRef
from vault.service.commit import reference
from vault.service.core import intent
from vault.service.results import BucketResult, BucketsResult, DefaultResult, Done
from vault.state.rows import BucketRow

if TYPE_CHECKING:
    from vault.record import DefaultRetention
    from vault.service.context import Caller
    from vault.service.core import Core


class Buckets:
    """Each method raises S3Error where the committer refuses, Unavailable, or OutcomeUnknown."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, caller: Caller, bucket: str, *, lock: bool, strict: bool) -> Done:
        """CreateBucket.

        Args:
            caller: Its owner from now on.
            bucket: A valid name.
            lock: With Object Lock, and so versioned, for good.
            strict: Refuse delete markers and overwrites, for good.
        """
        config = BucketConfig(owner=caller.actor.id, lock=lock, strict=strict)
        return await self._set(caller, "bucket.create", bucket, config)

    async def delete(self, caller: Caller, bucket: str) -> Done:
        """DeleteBucket."""
        return await self._set(caller, "bucket.delete", bucket, None)

    async def head(self, caller: Caller, bucket: str) -> BucketResult:
        """HeadBucket."""
        return await self._look(caller, "bucket.head", bucket)

    async def location(self, caller: Caller, bucket: str) -> BucketResult:
        """GetBucketLocation."""
        return await self._look(caller, "bucket.location", bucket)

    async def list(self, caller: Caller) -> BucketsResult:
        """ListBuckets: the caller's own, and all where its roles may look into all."""
        committed = await self._core.commit(intent(caller, "bucket.list", None))
        everywhere = policy.allowed(caller.actor.roles, "bucket.head", owns=False)
        rows = [
            row
            for _, row in self._core.state.scan(b"b", b"c")
            if isinstance(row, BucketRow) and (everywhere or row.owner == caller.actor.id)
        ]
        return BucketsResult(rows, reference(committed))

    async def get_versioning(self, caller: Caller, bucket: str) -> BucketResult:
        """GetBucketVersioning: ``row.versioning``."""
        return await self._look(caller, "bucket.versioning.get", bucket)

    async def put_versioning(self, caller: Caller, bucket: str, status: str) -> Done:
        """PutBucketVersioning: Enabled or Suspended."""
        return await self._set(caller, "bucket.versioning.put", bucket, BucketConfig(versioning=status))

    async def get_lock(self, caller: Caller, bucket: str) -> DefaultResult:
        """GetObjectLockConfiguration."""
        found = await self._look(caller, "bucket.lock.get", bucket)
        return DefaultResult(found.row.default, found.record)

    async def put_lock(self, caller: Caller, bucket: str, default: DefaultRetention | None) -> Done:
        """PutObjectLockConfiguration; None is a configuration without a rule."""
        return await self._set(caller, "bucket.lock.put", bucket, BucketConfig(lock=True, default=default))

    async def _set(self, caller: Caller, op: str, bucket: str, config: BucketConfig | None) -> Done:
        committed = await self._core.commit(intent(caller, op, ObjectRef(bucket), config=config))
        return Done(reference(committed))

    async def _look(self, caller: Caller, op: str, bucket: str) -> BucketResult:
        committed = await self._core.commit(intent(caller, op, ObjectRef(bucket)))
        if not isinstance(committed.row, BucketRow):
            raise TypeError(f"the journal answered {op} without a bucket")
        return BucketResult(committed.row, reference(committed))
