"""Objects that the server itself stores, in buckets of its own: locked for as long as a record may have to be shown.

They are written and read through the vault's service like everybody's, by the actor ``system`` on behalf of whoever
caused it. Each is locked in COMPLIANCE mode for :data:`LOCK_DAYS`: six years, the longest time for which 17 CFR
240.17a-4(a) wants a record kept. The lock can be made longer by whoever may set retention, and shorter by nobody.

Not handled here: what is stored (``audit.ingest.objects``, ``audit.production.keep``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.policy import SYSTEM
from vault.record import Actor, LockRef
from vault.service import Service, assemble
from vault.service.context import Caller
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from audit.node import Node
    from vault.record import Origin
    from vault.state.rows import VersionRow

#: For how long each is locked, in days.
LOCK_DAYS: Final = 2_192
#: An object that is there already is taken where its lock ends at most this much earlier, in days.
_SLACK_DAYS: Final = 31
_COMPLIANCE: Final = "COMPLIANCE"


def service_of(node: Node, pool: Executor) -> Service:
    """The vault's service over an open node, for the event loop that calls.

    Args:
        node: Open for as long as the service is used; ``core.commits.drained`` comes before its end.
        pool: Threads for slow work.
    """
    core = assemble(
        journal=node.committer,
        state=node.stores.index,
        bodies=node.stores,
        blobs=node.stores.blobs,
        keyring=node.keyring,
        pool=pool,
    )
    return Service.of(core, node.secrets)


def acting_for(actor: Actor, origin: Origin, http: str, received: int) -> Caller:
    """The server, acting for somebody whose own roles say nothing of its buckets."""
    system = actor if actor.id == SYSTEM else Actor(SYSTEM, on_behalf_of=actor.id)
    return Caller(system, origin, http, received)


def lock_from(received: int) -> LockRef:
    """The lock of what is stored at a time, in ns since the epoch."""
    return LockRef(_COMPLIANCE, rfc3339(received + LOCK_DAYS * DAY_NS))


def locked_enough(row: VersionRow, received: int) -> bool:
    """Whether a version is locked for about as long as one that was stored now would be."""
    return row.mode == _COMPLIANCE and row.until >= received + (LOCK_DAYS - _SLACK_DAYS) * DAY_NS


async def have_bucket(service: Service, caller: Caller, name: str) -> None:
    """Make a bucket of the server's own, where it is not there.

    Raises:
        S3Error: It was refused; recorded.
        Unavailable: It could not be recorded.
        OutcomeUnknown: Its record's fate is not known.
    """
    if service.core.bucket(name) is not None:
        return
    try:
        await service.buckets.create(caller, name, lock=True, strict=False)
    except S3Error as error:
        if error.s3_code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:  # made by another request
            raise
