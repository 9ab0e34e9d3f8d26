"""Small commit logs for tests: real files, chained records, nothing decided."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.journal.log import CommitLog
from audit.journal.recovery import Recovered, recover
from audit.journal.segment import stream_hash
from vault import durable
from vault.merkle import EMPTY_ROOT
from vault.record import Actor, Head, LedgerRef, Origin, Tail, encode_tail, splice
from vault.times import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from audit.journal.recovery import Torn

ORIGIN = "strongroom/0000000000000000/site-a.node-1"
STREAM = stream_hash(ORIGIN)
SEGMENT_BYTES = 128 * 1024


def record(seq: int, prev: bytes, op: str = "clock.status", agent: str = "", ledger: LedgerRef | None = None) -> bytes:
    """A record's exact bytes."""
    instant = rfc3339(1_800_000_000_000_000_000 + seq)
    head = Head(v=1, stream="site-a.node-1", seq=seq, prev=prev.hex(), time=instant, clock=instant, outcome="success")
    tail = Tail(op=op, actor=Actor("system"), origin=Origin("server", agent=agent), ledger=ledger)
    return splice(head, encode_tail(tail))


def leaf(data: bytes) -> bytes:
    """A record's leaf hash."""
    return hashlib.sha256(b"\0" + data).digest()


@dataclass
class Builder:
    """Appends groups of records to the commit log under ``root``."""

    root: Path
    records: list[bytes] = field(default_factory=list)
    prev: bytes = EMPTY_ROOT
    log: CommitLog = field(init=False)
    found: Recovered = field(init=False)

    def open(self, covered: int = 0) -> Recovered:
        """Recover, as every start does."""
        for name in ("commit", "spare", "quarantine"):
            durable.make_dirs(self.root / name)
        self.log = CommitLog(self.root / "commit", self.root / "spare", STREAM, SEGMENT_BYTES)
        self.found = recover(self.log, self.root / "quarantine", STREAM, settled=(0, EMPTY_ROOT), covered=covered)
        self.prev = self.found.prev
        return self.found

    def group(self, count: int, body: bytes = b"", agent: str = "") -> int:
        """Append one group; the offset at which it begins."""
        first = self.log.durable_end
        entries: list[tuple[bytes, tuple[bytes, ...]]] = []
        for seq in range(first, first + count):
            data = record(seq, self.prev, agent=agent)
            self.prev = leaf(data)
            entries.append((data, (body,)))
        target = self.log.room(sum(len(data) + len(body) + 8 for data, _ in entries))
        start = target.end_offset
        self.log.append(target, first, entries)
        self.records += [data for data, _ in entries]
        return start

    def name(self, torn: Torn) -> None:
        """Append the record that a start writes of what it cut."""
        data = record(
            self.log.durable_end,
            self.prev,
            "ledger.recover",
            ledger=LedgerRef(quarantined=torn.file, digest=torn.digest),
        )
        self.prev = leaf(data)
        self.log.append(self.log.room(len(data) + 8), self.log.durable_end, [(data, ())])
        self.records.append(data)

    def contents(self) -> list[bytes]:
        """All records that can be read."""
        return [data for _, data in self.log.tail(0)]
