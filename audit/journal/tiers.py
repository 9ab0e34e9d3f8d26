"""Disk reserve in tiers: as space runs out, first reads stop, then writes, then denials (DESIGN §7).

The last tier is for what must always be possible: holds, deletes, and the records of ledger,
server, clock, keys and relay.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.errors import Behind, NoSpace

if TYPE_CHECKING:
    from vault.errors import Unavailable

#: Ops of the last tier, beside everything of ``ledger.``, ``server.``, ``clock.``, ``key.`` and ``relay.``.
_ALWAYS: Final = frozenset(
    {
        "object.hold.put", "matter.open", "matter.close", "object.delete", "object.erased", "multipart.abort",
        "production.cancel", "principal.disable", "token.revoke",
    }
)  # fmt: skip
_WRITES: Final = frozenset(
    {
        "object.put", "object.retention.put", "bucket.create", "bucket.delete", "bucket.versioning.put",
        "bucket.lock.put", "multipart.create", "multipart.part", "multipart.complete",
        "principal.add", "ingest.batch",
    }
)  # fmt: skip


#: The tier of what adds something.
WRITES: Final = 2


def tier(op: str, *, refused: bool) -> int:
    """The tier an operation belongs to: 0 stops last, 3 first."""
    if refused or op == "object.read.failed":  # what a read that was allowed came to
        return 1
    if op in _ALWAYS or op.startswith(("ledger.", "server.", "clock.", "key.", "relay.")):
        return 0
    return WRITES if op in _WRITES else 3


def refused(free: int, reserve: int) -> str:
    """What is refused, in words; empty where nothing is."""
    names = ["reads"] * (free < reserve) + ["writes"] * (free < reserve * 2 // 3) + ["denials"] * (free < reserve // 3)
    return " and ".join(names)


def admitted(op: str, free: int, reserve: int, *, refused: bool) -> bool:
    """Whether there is disk enough for an operation.

    Args:
        op: The operation.
        free: Bytes free on the file system of the data directory.
        reserve: Bytes kept for the tiers below reads; each tier stops at its share of it.
        refused: The record would only tell of a refusal.
    """
    return free >= reserve or free >= reserve * tier(op, refused=refused) // 3  # the first says it nearly always


def refusal(op: str, free: int, reserve: int, behind: str, *, refused: bool) -> Unavailable | None:
    """Why an operation is not taken now; None where it is.

    Args:
        op: The operation; ``free``, ``reserve`` and ``refused`` as above.
        free: See ``op``.
        reserve: See ``op``.
        behind: Why no writes are taken, whatever the disk has; empty where they are.
        refused: See ``op``.
    """
    if not admitted(op, free, reserve, refused=refused):
        return NoSpace()
    return Behind(behind) if behind and tier(op, refused=refused) == WRITES else None
