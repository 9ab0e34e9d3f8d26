"""The two values a decision is made of: the case and its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.errors import S3Error
from vault.record import ObjectRef, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.ports import State
    from vault.record import LockRef, Tail, VersionRef
    from vault.state.rows import Row
    from vault.times import Now

_NOTHING_ASKED = Request()


@dataclass(slots=True)
class Decision:
    """An outcome.

    Attributes:
        version: What the head's ``version`` says.
        lock: What the head's ``lock`` says: the lock after the operation, or the one that forbids it.
        row: What the caller gets to see.
        error: The refusal, if it is one.
    """

    version: VersionRef | None = None
    lock: LockRef | None = None
    row: Row | None = None
    error: S3Error | None = None


@dataclass(slots=True)
class Case:
    """One operation at its point of order.

    ``bypass`` is set once the caller asked for the GOVERNANCE bypass and may; ``version`` and ``lock`` are filled in
    as soon as they are known, so that a refusal names them too.
    """

    tail: Tail
    state: State
    now: Now
    parts: Sequence[tuple[int, int]] = ()
    bypass: bool = False
    version: VersionRef | None = None
    lock: LockRef | None = None

    @property
    def object(self) -> ObjectRef:
        """What the request names; an operation on objects without one is malformed."""
        if self.tail.object is None:
            raise S3Error("InvalidRequest")
        return self.tail.object

    @property
    def asked(self) -> Request:
        """What the request asked for."""
        return self.tail.request or _NOTHING_ASKED
