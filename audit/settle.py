"""Settling: closed commit segments become compressed ledger segments and packs, and are then recycled (DESIGN §4).

    records → ledger segment, bodies → packs;  (a published checkpoint covers them)  → read back, re-hash → recycle

Records settle in runs of 256, so up to 255 of a segment wait for the next one to be closed, and it waits with them.
Bodies are grouped by bucket, key domain and month of expiry: what has no lock never lies beside what has one.

Crash rules. Packs and ledger segments appear whole or not at all, and the directories themselves say how far settling
has come: the ledger goes on at its end, and a body that is in a pack is not written again. So a step that was cut off
is simply done again. A segment stays until everything in it was read back from the new files; there is at least one
verified copy of every byte at every instant.

A body of the commit log cannot have been erased: the eraser waits until the log has forgotten it.

Not handled here: the checks before a segment goes (``audit.recycle``), and the thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit import recycle
from audit.backup.holds import RECYCLING, Holds
from audit.crash import crash_point
from audit.errors import LedgerCorrupt
from audit.ledger.segment import FRAME_RECORDS
from vault.record import LockRef, ObjectRef, Storage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger
    from audit.recycle import RecyclingToken
    from vault.storage.leases import Leases
    from vault.storage.packs import PackStore

#: MiB that 256 records and their bodies of at most 128 KiB take, documents included, and what is never taken.
_RUN_MIB: Final = 42
#: What stands for the month of a version that is under a legal hold and has no retention.
HELD: Final = "held"


class _Filed(msgspec.Struct):
    """What decides beside which others a body lies."""

    lock: LockRef | None = None
    object: ObjectRef | None = None
    storage: Storage | None = None


_decode: Final = msgspec.json.Decoder(_Filed).decode


class Settler:
    """Settles one stream. Not thread-safe: one thread calls :meth:`step`.

    Args:
        log: The commit log.
        ledger: Where records go.
        packs: Where bodies go.
        leases: Who reads what, by position.
        holds: Backups that recycling waits for.
        base: Position of the stream's first record.
        spares: Where spare segments wait.
        published: How many records the last published checkpoint covers.
        closed: The stream was taken over and is written no more: its last records settle in a short frame, and its
            segments are removed rather than used again.

    Attributes:
        recycled: Segments given back by this process.
    """

    def __init__(
        self,
        *,
        log: CommitLog,
        ledger: SettledLedger,
        packs: PackStore,
        leases: Leases,
        spares: Path,
        published: Callable[[], int],
        holds: Holds | None = None,
        base: int = 0,
        closed: bool = False,
    ) -> None:
        self.recycled = 0
        self._log = log
        self._ledger = ledger
        self._packs = packs
        self._leases = leases
        self._holds = holds or Holds()
        self._spares = spares
        self._published = published
        self._base = base
        self._closed = closed
        self._settled = -1
        log.debt.settled = ledger.end
        self._left: list[bytes] = []
        self._retired: list[tuple[RecyclingToken, int]] = []

    def step(self) -> bool:
        """Do one thing, if there is one to do. Blocks on disk.

        Returns:
            Whether anything was done; then there may be more.

        Raises:
            LedgerCorrupt: A segment, or a copy of it, is not what it must be; nothing was destroyed.
            CorruptError: A pack is damaged; nothing was destroyed.
            DurabilityError: The file system failed; start again.
        """
        return self._reuse() or self._retire() or self._settle()

    @property
    def _pressed(self) -> bool:
        """Whether so much waits that nobody else goes first; what was taken over grows no more, and can wait."""
        return not self._closed and self._log.debt.pressing

    def _settle(self) -> bool:
        """Copy what is in the oldest segment that was not settled by this process, unless it was by another."""
        segment = next((item for item in self._log.closed() if item.header.number > self._settled), None)
        if segment is None:
            return self._closed and self._end()
        run = list(self._left)
        following = self._ledger.end + len(run)
        groups: dict[tuple[str, str, str], list[tuple[int, memoryview]]] = {}
        for first, records, bodies in recycle.contents(segment, hurry=self._pressed):
            if first > following:
                raise LedgerCorrupt(str(segment.path), f"record {following} is missing before {first}")
            fresh = records[following - first :]
            run += fresh
            following += len(fresh)
            for seq, body in bodies:
                if seq not in self._packs:
                    groups.setdefault(_place(records[seq - first], str(segment.path)), []).append((seq, body))
        whole = len(run) // FRAME_RECORDS * FRAME_RECORDS
        self._ledger.add(run[at : at + FRAME_RECORDS] for at in range(0, whole, FRAME_RECORDS))
        self._left = run[whole:]
        crash_point("settle.records")
        for (bucket, _, until), bodies in groups.items():
            self._packs.add(bucket, until, bodies)
            crash_point("settle.bodies")
        self._settled = segment.header.number
        self._log.debt.settled = self._ledger.end
        return True

    def _end(self) -> bool:
        """Settle the last records of a stream that is closed."""
        last, self._left = self._left, []
        self._ledger.add([last] if last else [])
        return bool(last)

    def _retire(self) -> bool:
        oldest = next(iter(self._log.closed()), None)
        if oldest is None or oldest.header.number > self._settled:
            return False
        if oldest.end_seq > min(self._ledger.end, self._published()):
            return False
        with self._holds.passing(RECYCLING) as free:
            if not free:
                return False
            token = recycle.verify_copies(oldest, self._ledger, self._packs, hurry=self._pressed)
            crash_point("settle.verified")
            recycle.retire(token)
            self._log.forget(oldest)
            self._retired.append((token, self._leases.mark()))
        return True

    def _reuse(self) -> bool:
        for item in self._retired:
            token, mark = item
            if not self._leases.any_in(self._base + token.first, self._base + token.end, before=mark):
                recycle.reuse(token, self._spares, 0 if self._closed else self._log.segment_bytes)
                self._retired.remove(item)
                self.recycled += 1
                return True
        return False


def room_mib(segment_mib: int) -> int:
    """MiB that settling may take of a full disk before it gives any back.

    Until a run of 256 records is whole, their bodies lie in packs and in the commit log; and one segment is being
    copied while the next is begun.

    Args:
        segment_mib: Length of a segment.
    """
    return _RUN_MIB + 2 * segment_mib


def _place(record: bytes, place: str) -> tuple[str, str, str]:
    """Bucket, key domain and month of expiry of a body; the domain tells the months of parts, which have no lock."""
    try:
        filed = _decode(record)
    except msgspec.DecodeError as error:
        raise LedgerCorrupt(place, f"a record with a body cannot be read: {error}") from error
    until = ""
    if filed.lock is not None:
        until = filed.lock.until[:7] or (HELD if filed.lock.hold else "")
    return (
        filed.object.bucket if filed.object is not None else "",
        filed.storage.domain if filed.storage is not None else "",
        until,
    )
