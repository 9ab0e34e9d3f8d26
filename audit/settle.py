"""Settling: closed commit segments become compressed ledger segments and packs, and are then recycled (DESIGN §4).

    bodies → packs;  records → ledger segment;  (a published checkpoint covers both)  → read back, re-hash → recycle

Records settle in runs of 256, so up to 255 stay behind in their segment until the next one is closed. Bodies settle
with the segment that they are in, grouped by bucket, key domain and month of expiry: what has no lock never lies beside
what has one.

Crash rules. Packs and ledger segments appear whole or not at all, and the directories themselves say how far settling
has come: a body that is in a pack is not written again, and the ledger goes on at its end. So a step that was cut off
is simply done again. A segment stays until everything in it was read back from the new files; there is at least one
verified copy of every byte at every instant.

A body of the commit log cannot have been erased: the eraser waits until the log has forgotten it.

Not handled here: the checks before a segment goes (``audit.recycle``), and the thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit import recycle
from audit.crash import crash_point
from audit.errors import LedgerCorrupt
from audit.ledger.segment import FRAME_RECORDS
from vault.record import LockRef, ObjectRef, Storage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.journal.log import CommitLog, Segment
    from audit.ledger import SettledLedger
    from audit.recycle import RecyclingToken
    from vault.storage.leases import Leases
    from vault.storage.packs import PackStore

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
        leases: Who reads what.
        spares: Where spare segments wait.
        published: How many records the last published checkpoint covers.
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
    ) -> None:
        self._log = log
        self._ledger = ledger
        self._packs = packs
        self._leases = leases
        self._spares = spares
        self._published = published
        self._packed = -1
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
        return self._reuse() or self._retire() or self._settle_bodies() or self._settle_records()

    def _settle_bodies(self) -> bool:
        segment = next((item for item in self._log.closed() if item.header.number > self._packed), None)
        if segment is None:
            return False
        groups: dict[tuple[str, str, str], list[tuple[int, memoryview]]] = {}
        for frame, body in recycle.contents(segment):
            if frame.body_length and frame.seq not in self._packs:
                try:
                    place = _place(frame.record)
                except msgspec.DecodeError as error:
                    raise LedgerCorrupt(str(segment.path), f"record {frame.seq} cannot be read: {error}") from error
                groups.setdefault(place, []).append((frame.seq, body))
        for (bucket, _, until), bodies in groups.items():
            self._packs.add(bucket, until, bodies)
            crash_point("settle.packed")
        self._packed = segment.header.number
        return True

    def _settle_records(self) -> bool:
        segments = self._log.closed()
        whole = (item.end_seq // FRAME_RECORDS * FRAME_RECORDS for item in segments)
        end = next((seq for seq in whole if seq > self._ledger.end), None)
        if end is None:
            return False
        self._ledger.add(_frames(segments, self._ledger.end, end))
        crash_point("settle.settled")
        return True

    def _retire(self) -> bool:
        oldest = next(iter(self._log.closed()), None)
        if oldest is None or oldest.header.number > self._packed:
            return False
        if oldest.end_seq > min(self._ledger.end, self._published()):
            return False
        token = recycle.verify_copies(oldest, self._ledger, self._packs)
        crash_point("settle.verified")
        recycle.retire(token)
        self._log.forget(oldest)
        self._retired.append((token, self._leases.mark()))
        return True

    def _reuse(self) -> bool:
        for item in self._retired:
            token, mark = item
            if not self._leases.any_in(token.first, token.end, before=mark):
                recycle.reuse(token, self._spares, self._log.segment_bytes)
                self._retired.remove(item)
                return True
        return False


def _frames(segments: list[Segment], first: int, end: int) -> Iterator[list[bytes]]:
    """Records ``first`` to ``end`` in runs of 256; what stands twice is taken once."""
    batch: list[bytes] = []
    for segment in segments:
        if segment.end_seq <= first or segment.first_seq >= end:
            continue
        for frame, _ in recycle.contents(segment, first):
            if first == end:
                return
            if frame.seq > first:
                raise LedgerCorrupt(str(segment.path), f"record {first} is missing before {frame.seq}")
            if frame.seq == first:
                batch.append(frame.record)
                first += 1
                if len(batch) == FRAME_RECORDS:
                    yield batch
                    batch = []
    if first != end:
        raise LedgerCorrupt(str(segments[-1].path), f"the commit log ends at record {first}, before {end}")


def _place(record: bytes) -> tuple[str, str, str]:
    """Bucket, key domain and month of expiry of a body; the domain tells the months of parts, which have no lock."""
    filed = _decode(record)
    until = ""
    if filed.lock is not None:
        until = filed.lock.until[:7] or (HELD if filed.lock.hold else "")
    return (
        filed.object.bucket if filed.object is not None else "",
        filed.storage.domain if filed.storage is not None else "",
        until,
    )
