"""Reads that were recorded and then break off: a second record says so (package docstring, *Reads*)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, TypeVar

from vault.errors import CorruptError, IntegrityError, KeyringError, S3Error
from vault.service.core import intent

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.ports import Committed
    from vault.record import ObjectRef
    from vault.service.context import Caller
    from vault.service.core import Core

T = TypeVar("T")

#: What reading stored bytes can end in; clients learn of all of them as one.
BROKEN: Final = (IntegrityError, CorruptError, KeyringError)


async def released(
    core: Core, caller: Caller, named: ObjectRef, read: Committed, work: Callable[[], T], *, here: bool = False
) -> T:
    """Read what a record has released.

    Args:
        core: Threads and the journal.
        caller: Who reads.
        named: What the read's record names.
        read: The read's record.
        work: Reads; may block.
        here: It does not, and takes less time than a thread would to begin with it.

    Raises:
        IntegrityError: What is stored is not what was stored; recorded.
        S3Error: From ``work``.
    """
    try:
        return work() if here else await core.run(work)
    except BROKEN as error:
        await record_failure(core, caller, named, read, "integrity")
        raise IntegrityError(f"what record {read.head.seq} released cannot be read: {error}") from error


async def record_failure(core: Core, caller: Caller, named: ObjectRef, read: Committed, reason: str) -> None:
    """Record that a read which was recorded broke off.

    Args:
        core: The journal.
        caller: Who read.
        named: What the read's record names.
        read: The read's record.
        reason: ``integrity`` or ``aborted``.

    Raises:
        Unavailable: Nothing was written.
        OutcomeUnknown: The record's fate is not known.
    """
    refused = S3Error("InternalError", reason=reason)
    with contextlib.suppress(S3Error):  # which is how a refusal that was recorded comes back
        await core.commit(intent(caller, "object.read.failed", named, ref=read.position, refused=refused))
