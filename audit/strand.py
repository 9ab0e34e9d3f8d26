"""The streams of one vault, one after the other: the last one is written, those before it were taken over.

Nearly every vault has one. ``strongroom recover`` opens another (``audit.takeover``), and from then on the bytes of
both are read: records from commit log and settled ledger, small bodies from commit log and packs. What spans them,
index, leases and erasure, knows a record by its *position*: its seq, and the number of records in all streams before
its own more.

Not handled here: large bodies, which have names of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from audit.errors import LedgerCorrupt
from audit.feed import Feed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger
    from vault.storage.packs import PackStore

_BASE: Final = attrgetter("base")


@dataclass(frozen=True, slots=True)
class Strand:
    """One stream: ``base`` is the position of its first record."""

    name: str
    base: int
    log: CommitLog
    settled: SettledLedger
    packs: PackStore

    @property
    def end(self) -> int:
        """Position after its last durable record."""
        return self.base + self.log.durable_end

    @property
    def feed(self) -> Feed:
        """Its records, settled or not."""
        return Feed(self.settled, self.log)

    def read(self, seq: int, offset: int, length: int) -> bytes:
        """Bytes of a small body: the commit log first, then the packs.

        A body that is settled while we look is found in its pack: it is there before it leaves the log.
        """
        data = self.log.read(seq, offset, length)
        return data if data is not None else self.packs.read(seq, offset, length)

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """The first bytes of a small body where the page cache holds them; never blocks."""
        data = self.log.at_hand(seq, length)
        return data if data is not None else self.packs.at_hand(seq, length)


def holding(strands: Sequence[Strand], position: int) -> Strand:
    """The stream of the record at ``position``; positions that are still to come are the last one's."""
    return strands[max(0, bisect_right(strands, position, key=_BASE) - 1)]


class History:
    """Records of all streams by position, each stream's chain checked on the way. Thread-safe.

    Args:
        strands: Oldest first.
    """

    def __init__(self, strands: Sequence[Strand]) -> None:
        self._strands = strands
        self._feeds = {strand.name: strand.feed for strand in strands}

    def record(self, position: int) -> bytes:
        """A durable record's exact bytes.

        Raises:
            RecordPruned: Only its hash is left.
            LedgerCorrupt: It is damaged or missing.
        """
        strand = holding(self._strands, position)
        return self._feeds[strand.name].record(position - strand.base)

    def read(self, first: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Records from position ``first`` on up to ``end`` or the watermark, as :meth:`audit.feed.Feed.read` does.

        Raises:
            LedgerCorrupt: One is missing or damaged.
        """
        if first > self._strands[-1].end:
            raise LedgerCorrupt("history", f"records end at position {self._strands[-1].end}, not at {first}")
        for strand in self._strands:
            if first < strand.end and (end is None or strand.base < end):
                start = max(first - strand.base, 0)
                stop = None if end is None else end - strand.base
                for seq, record in self._feeds[strand.name].read(start, stop):
                    yield strand.base + seq, record
