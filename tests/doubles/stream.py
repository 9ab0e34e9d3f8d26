"""One stream on disk, from commit log to settled ledger and packs, started and stopped at will; no index, no keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.feed import Feed
from audit.journal.log import CommitLog
from audit.journal.recovery import recover
from audit.journal.segment import stream_hash
from audit.ledger import SettledLedger
from audit.settle import Settler
from tests.doubles.traffic import STREAM
from vault import durable
from vault.merkle import EMPTY_ROOT, leaf_hash
from vault.storage.leases import Leases
from vault.storage.packs import PackStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.doubles.traffic import Entry

ORIGIN = stream_hash(f"strongroom/0000000000000000/{STREAM}")
SEGMENT_BYTES = 256 * 1024


class Stream:
    """A stream under ``root``; every start recovers, as the product does.

    Attributes:
        published: What the last checkpoint is said to cover.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.published = 1 << 40
        self.leases = Leases()
        for name in ("commit", "spare", "quarantine", "ledger", "packs"):
            durable.make_dirs(root / name)
        self.ledger = SettledLedger(root / "ledger")
        self.packs = PackStore(root / "packs", STREAM)
        self.log = CommitLog(root / "commit", root / "spare", ORIGIN, SEGMENT_BYTES)
        end = self.ledger.end
        settled = (end, leaf_hash(self.ledger.record(end - 1)) if end else EMPTY_ROOT)
        self.recovered = recover(self.log, root / "quarantine", ORIGIN, settled=settled, covered=end)
        self.feed = Feed(self.ledger, self.log)
        self.settler = Settler(
            log=self.log,
            ledger=self.ledger,
            packs=self.packs,
            leases=self.leases,
            spares=root / "spare",
            published=lambda: self.published,
        )

    def append(self, entries: Sequence[Entry], group: int = 40) -> None:
        """Commit entries, ``group`` at once."""
        for start in range(0, len(entries), group):
            some = [(entry.record, (entry.body,)) for entry in entries[start : start + group]]
            payload = sum(len(record) + len(body[0]) + 8 for record, body in some)
            self.log.append(self.log.room(payload), self.log.durable_end, some)

    def roll(self) -> None:
        """Close the segment that is written."""
        self.log.open_segment(self.log.durable_end)

    def settle(self) -> int:
        """Settle all there is; in how many steps."""
        steps = 0
        while self.settler.step():
            steps += 1
        return steps

    def body(self, seq: int, length: int) -> bytes:
        """A body, wherever it is."""
        data = self.log.read(seq, 0, length)
        return data if data is not None else self.packs.read(seq, 0, length)

    def check(self, entries: Sequence[Entry]) -> None:
        """Every record is there exactly once, and every body."""
        assert list(self.feed.read(0)) == list(enumerate(entry.record for entry in entries))
        for seq, entry in enumerate(entries):
            if entry.body:
                assert self.body(seq, len(entry.body)) == entry.body, seq

    def stop(self) -> None:
        """Give the files back."""
        self.log.close()
