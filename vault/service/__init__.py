"""The vault's operations: what the wire layer asks for, done and recorded.

Every method of ``Buckets``, ``Objects``, ``Locks`` and ``Uploads`` makes exactly one durable record, for refusals too,
before anything that it decided becomes visible; ``Extraction`` makes one of each member. Nothing is decided here: the
committer decides
(``vault.state.decide``); this package digests, encrypts, stores and reads, and refuses early only what the committer
could not allow either.

**Reads.** The record comes first, then the bytes. A read's record says *release authorised*. What depends on sealed
data is therefore found only after it: a condition that does not hold (304, 412) or a range outside the object (416)
refuses a request whose record says success, and releases nothing but metadata. A read that is recorded and then
breaks off, because stored bytes do not authenticate or because the client left, gets a second record,
``object.read.failed``, that names the first; its reason says which (``integrity``, ``aborted``).

**ETags** are sealed, so the committer cannot compare them. A write with ``If-Match`` is resolved here to the ordinal of
the version that has that ETag, and the committer checks that this ordinal is still the current one; parts of a
completion are resolved to the records that stored them, in the same way.

Use, in an event loop::

    core = assemble(journal=…, state=…, bodies=…, blobs=…, keyring=…, pool=…)
    service = Service.of(core, secrets)
    result = await service.objects.put(caller, PutSpec(…), body)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vault.errors import Unavailable
from vault.record import ObjectRef
from vault.service.buckets import Buckets
from vault.service.commit import reference
from vault.service.core import Core, assemble, intent
from vault.service.extraction import Extraction
from vault.service.locks import Locks
from vault.service.objects import Objects
from vault.service.principals import Principals
from vault.service.uploads import Uploads
from vault.service.windows import Windows

if TYPE_CHECKING:
    from vault.crypto.secrets import SecretStore
    from vault.errors import S3Error
    from vault.service.context import Caller

__all__ = ["Core", "Service", "assemble"]


@dataclass(frozen=True, slots=True)
class Service:
    """All operations, for one event loop.

    Attributes:
        core: What they share.
        buckets: On buckets.
        objects: On objects, listings included.
        locks: On retention and legal holds.
        uploads: On multipart uploads.
        extraction: On archives whose members become objects.
        principals: Who an access key belongs to.
        windows: Counts requests without a valid signature; its ``run`` belongs to whoever owns the loop.
    """

    core: Core
    buckets: Buckets
    objects: Objects
    locks: Locks
    uploads: Uploads
    extraction: Extraction
    principals: Principals
    windows: Windows

    @classmethod
    def of(cls, core: Core, secrets: SecretStore) -> Self:
        """Build the service on a core."""
        return cls(
            core,
            Buckets(core),
            Objects(core),
            Locks(core),
            Uploads(core),
            Extraction(core),
            Principals(core.state, secrets),
            Windows(core.commit),
        )

    async def refuse(self, caller: Caller, op: str, bucket: str, key: str, error: S3Error) -> str:
        """Record a request that was refused before the service was asked for its operation.

        Args:
            caller: Who asked.
            op: The operation, or ``request.refused`` where none could be told.
            bucket: What it named; may be empty.
            key: What it named; may be empty.
            error: The refusal.

        Returns:
            The record's reference, which ``error.record`` holds too.

        Raises:
            Unavailable: Nothing was written.
            OutcomeUnknown: The record's fate is not known.
        """
        named = ObjectRef(bucket, key) if bucket else None
        (outcome,) = await self.core.commits.commit_all([intent(caller, op, named, refused=error)])
        if isinstance(outcome, Unavailable):
            raise outcome
        return reference(outcome)

    async def unauthenticated(self, ip: str, reason: str) -> None:
        """Count a request whose signature did not verify; see :meth:`vault.service.windows.Windows.count`."""
        await self.windows.count(ip, reason)
