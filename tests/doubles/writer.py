"""A stream's writer without servers, keys or seals: real committer, commit log and index, and clocks that obey."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from audit.clock import ComplianceClock
from audit.discipline import Discipline
from audit.journal.committer import Committer
from audit.journal.log import CommitLog
from audit.journal.recovery import recover
from tests.doubles.commitlog import STREAM
from vault import durable
from vault.errors import VaultError
from vault.merkle import EMPTY_ROOT
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, Origin, Tail, encode_tail
from vault.storage.index import Index, Sequenced
from vault.storage.leases import Leases
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.journal.segment_file import Segment
    from vault.errors import S3Error

START = parse_rfc3339("2026-11-22T12:00:00Z")
SEGMENT_BYTES = 128 * 1024
SERVER = Actor(SYSTEM)

Outcome = Committed | VaultError


class Clocks:
    """Wall and monotonic time that go only when told."""

    def __init__(self) -> None:
        self.now = START
        self.ticks = 0

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> int:
        return self.ticks

    def discipline(self) -> Discipline:
        return Discipline("kernel", -1_200, 40_000, synchronised=True)


class WatchedLog(CommitLog):
    """Notes how many records each group has."""

    groups: list[int]

    def append(self, target: Segment, first_seq: int, records: Sequence[tuple[bytes, Sequence[bytes]]]) -> None:
        self.groups.append(len(records))
        super().append(target, first_seq, records)


class Writer:
    """A fresh stream under ``root``. It decides from :meth:`start` on; what is sent before is one queue.

    Attributes:
        groups: Number of records of each group that was handed to the log.
        fatal: What :class:`Committer` called fatal.
    """

    def __init__(self, root: Path, reserve_bytes: int = 0) -> None:
        for name in ("commit", "spare", "quarantine"):
            durable.make_dirs(root / name)
        self.groups: list[int] = []
        self.log = WatchedLog(root / "commit", root / "spare", STREAM, SEGMENT_BYTES)
        self.log.groups = self.groups
        found = recover(self.log, root / "quarantine", STREAM, settled=(0, EMPTY_ROOT), covered=0)
        self.index = Index(root / "index")
        self.leases = Leases()
        self.clocks = Clocks()
        self.clock = ComplianceClock(self.clocks)
        self.fatal: list[VaultError] = []
        self.committer = Committer(
            log=self.log,
            state=Sequenced(self.index),
            clock=self.clock,
            stream="site-a.node-1",
            next_seq=found.next_seq,
            base=0,
            prev=found.prev,
            leases=self.leases,
            reserve_bytes=reserve_bytes,
            on_fatal=self.fatal.append,
        )

    def start(self) -> None:
        """Begin to decide."""
        self.committer.start()

    def send(
        self,
        op: str,
        body: bytes = b"",
        *,
        actor: Actor = SERVER,
        parts: Sequence[tuple[int, int]] = (),
        refused: S3Error | None = None,
        **fields: Any,
    ) -> Future[Outcome]:
        """Submit one operation; its outcome is told in the future."""
        tail = Tail(op=op, actor=actor, origin=Origin("s3"), **fields)
        answer: Future[Outcome] = Future()
        intent = Intent(tail, encode_tail(tail), (body,) if body else (), parts, refused)
        self.committer.submit([intent], [answer.set_result])
        return answer

    def do(self, op: str, body: bytes = b"", **fields: Any) -> Committed:
        """Commit one operation, refused or not."""
        outcome = self.send(op, body, **fields).result(30)
        if not isinstance(outcome, Committed):
            raise outcome
        return outcome

    def records(self) -> list[bytes]:
        """All durable records."""
        return [data for _, data in self.log.tail(0)]

    def close(self) -> None:
        """Decide what was sent, and let go."""
        self.committer.stop()
        self.index.close()
        self.log.close()
