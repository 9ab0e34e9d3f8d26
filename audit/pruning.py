"""Pruning: records whose time is over lose their bytes; place and leaf hash stay (DESIGN §4).

What goes is what changed nothing: looks, listings, refusals, other systems' events, readings of the clock. What made
the vault as it is stays for good: every lock is computed again from these records, by the index, the eraser and the
verifier, and a removal that nobody can judge any more would be no evidence. (The design says whole segments. One
object that is still there would hold a segment, and with it all that was ever read or tried; so a segment's age is
asked as a whole, and its records one by one.)

A record goes when all of this holds, which one pass a day looks for, a settled segment at a time:

 1. It is of a kind that may go, and neither the last of its segment, by which the verifier knows the segment's age,
    nor in the newest segment of its stream, nor one by which a repeated event would be recognised.
 2. The gate allows it (``vault.retention.decide_pruning``): it is old enough, no version of the key it names is locked
    or held now, and no open matter describes its bucket and key; one on the whole vault holds everything. A lock that
    was lifted by an authorised bypass has ended.
 3. ``ledger.pruned`` names it: durable, and under a published checkpoint, before anything goes.
 4. The gate allows it still: whatever was locked or held before that record counts. What is held later was gone.

Then the segment's file is replaced by one in which the line of each such record is empty, and the view of records
forgets them. A crash anywhere in between leaves a segment that a later pass judges again; which records are gone is
always what a ``ledger.pruned`` says, or less.

Locks are asked of the index, not computed again from the ledger, as the eraser does: no version depends on what goes.

Not handled here: the thread (``audit.background``), and how a verifier reads what is left (``audit.verify.pruned``).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Final

from audit.backup.holds import ERASING
from audit.commit import commit_all
from audit.crash import crash_point
from audit.errors import LedgerCorrupt
from vault.errors import S3Error, Unavailable
from vault.policy import SYSTEM
from vault.record import SUCCESS, Actor, Origin, PrunedRef, Tail, decode
from vault.retention import Lock, decide_pruning
from vault.state import lookup
from vault.state.apply import changes_nothing
from vault.state.ingest import GENERATION
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit.query.view import View
    from audit.stores import Stores
    from audit.strand import Strand
    from vault.ports import Journal
    from vault.record import Head, ObjectRef
    from vault.times import Now

_log: Final = logging.getLogger(__name__)

#: From one look at all segments to the next, in seconds.
PASS_SECONDS: Final = 86_400.0
#: A segment is written again when at least one of so many records that it holds may go.
_WORTH: Final = 16
#: Records after which other threads get a turn, and for how long: without it a commit could wait for all of a segment.
_TURN: Final = 128
_TURN_SECONDS: Final = 0.000_05
#: Versions of one key that are looked at; where there are more, they are taken to hold what names them.
_MAX_VERSIONS: Final = 1_000
#: Of what changes nothing, what stays: the ledger's own account, what was asked for and handed over, how the server was
#: set up. Beginnings of operations' names.
_STAYS: Final = (
    "ledger.", "server.", "production.create", "production.complete", "production.cancel", "production.read",
)  # fmt: skip
_MANY: Final = Lock(hold=True)


@dataclass(frozen=True, slots=True)
class _Token:
    """Leave to destroy some records of one segment. Made in this module only: see ``vault.storage.token``."""

    strand: Strand
    first: int
    end: int
    seqs: frozenset[int]
    by: int

    def covers(self, seq: int) -> bool:
        return seq in self.seqs


class Pruner:
    """Prunes every stream of a vault. Not thread-safe: one thread calls :meth:`step`.

    Args:
        stores: The streams; the index says what is locked.
        journal: Takes the records.
        now: The two clocks.
        published: Position up to which records are under the last anchored and published checkpoint.
        view: Forgets what is gone.
        days: For how long records are kept; 0 keeps all.
        pass_seconds: See :data:`PASS_SECONDS`.

    Attributes:
        pruned: Records pruned by this process.
        stopping: Set by whoever wants the step at hand to end early; nothing is lost.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        journal: Journal,
        now: Callable[[], Now],
        published: Callable[[], int],
        view: View,
        days: int,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        self.pruned = 0
        self.stopping = Event()
        self._stores = stores
        self._journal = journal
        self._now = now
        self._published = published
        self._view = view
        self._days = days
        self._pass_seconds = pass_seconds
        self._due = 0.0
        self._ahead: Iterator[tuple[Strand, int, int]] = iter(())
        self._token: _Token | None = None

    def step(self) -> bool:
        """Look at one segment, or prune the one that was looked at.

        Returns:
            Whether there is more to do at once.

        Raises:
            LedgerCorrupt: A record cannot be read.
            Unavailable: The journal takes no records or the disk is full; the next call goes on.
            ViewFailed: The view could not forget; it is mended by the next pass of this process.
            DurabilityError: The file system failed.
        """
        if not self._days:
            return False
        if self._token is not None:
            return self._destroy(self._token)
        found = next(self._ahead, None)
        if found is None:
            if time.monotonic() < self._due:
                return False
            self._due = time.monotonic() + self._pass_seconds
            self._ahead = iter(self._segments())
            return True
        self._token = self._judge(*found)
        return True

    def _segments(self) -> list[tuple[Strand, int, int]]:
        """All that may have something to prune: each but the newest of its stream."""
        return [(strand, first, end) for strand in self._stores.strands for first, end in strand.settled.spans[:-1]]

    def _destroy(self, token: _Token) -> bool:
        if self._published() <= token.by:
            return False
        strand, base = token.strand, token.strand.base
        with self._stores.holds.passing(ERASING) as free:
            if not free:
                return False
            self._token = None
            gone, may_go = self._look(strand, token.first, token.end)
            if not token.seqs <= gone | may_go:
                _log.warning("%s: records before %d are held now, and stay", strand.name, token.end)
                return True
            crash_point("prune.recorded")
            strand.settled.thin(token)
        crash_point("prune.thinned")
        self.pruned += len(token.seqs - gone)
        self._view.forget(base + token.first, base + token.end, [base + seq for seq in sorted(token.seqs)])
        _log.info("%s: %d records before %d pruned", strand.name, len(token.seqs - gone), token.end)
        return True

    def _judge(self, strand: Strand, first: int, end: int) -> _Token | None:
        """What of a segment may go, recorded; None where that is nothing, or not enough to write it again."""
        if not self._old(strand, end - 1):
            return None
        gone, may_go = self._look(strand, first, end)
        if gone:  # a crash may have kept the view from being told
            self._view.forget(strand.base + first, strand.base + end, [strand.base + seq for seq in sorted(gone)])
        if len(may_go) * _WORTH < end - first - len(gone) or not may_go:
            return None
        seqs = gone | may_go
        ref = PrunedRef(strand.name, first, end, len(seqs), digest(seqs, first, end))
        tail = Tail(op="ledger.pruned", actor=Actor(SYSTEM), origin=Origin("server"), pruned=ref)
        (recorded,) = commit_all(self._journal, [tail])
        return _Token(strand, first, end, seqs, recorded.position)

    def _look(self, strand: Strand, first: int, end: int) -> tuple[frozenset[int], frozenset[int]]:
        """Which records of a segment are gone, and which may go now."""
        gone, may_go = set(), set()
        now, locks = self._now(), self._asker()
        for seq, record in strand.settled.iterate(first, end - 1):
            if seq % _TURN == 0 and self.stopping.wait(_TURN_SECONDS):
                raise Unavailable("the server is stopping")
            if not record:
                gone.add(seq)
            elif self._may_go(strand, seq, record, now, locks):
                may_go.add(seq)
        return frozenset(gone), frozenset(may_go)

    def _old(self, strand: Strand, seq: int) -> bool:
        """Whether a segment's last record is old enough: no clock runs backwards, so all of them are."""
        (record,) = (record for _, record in strand.settled.iterate(seq, seq + 1))
        head, _ = _decoded(seq, record)
        return self._allowed(parse_rfc3339(head.clock), (), self._now())

    def _may_go(
        self, strand: Strand, seq: int, record: bytes, now: Now, locks: Callable[[str, str], tuple[Lock, ...]]
    ) -> bool:
        head, tail = _decoded(seq, record)
        if tail.op.startswith(_STAYS) or (head.outcome == SUCCESS and not changes_nothing(record)):
            return False
        if tail.op == "ingest.event" and self._stores.current.end - strand.base - seq < 2 * GENERATION:
            return False
        named = tail.object
        made = max(parse_rfc3339(head.time), parse_rfc3339(head.clock))
        return self._allowed(made, locks(*_name(named)), now)

    def _allowed(self, made: int, locks: tuple[Lock, ...], now: Now) -> bool:
        """Whether the gate lets a record go."""
        try:
            decide_pruning(made, self._days, locks, now)
        except S3Error:
            return False
        return True

    def _asker(self) -> Callable[[str, str], tuple[Lock, ...]]:
        """Tells what holds the records that name a key, as of one moment: the locks of its versions, and matters."""
        state = self._stores.index
        matters = lookup.open_matters(state)

        @lru_cache(4096)
        def locks(bucket: str, key: str) -> tuple[Lock, ...]:
            about = tuple(
                matter.id
                for matter in matters
                if not matter.bucket or (matter.bucket == bucket and key.startswith(matter.prefix))
            )
            rows = list(islice(lookup.versions(state, bucket, key), _MAX_VERSIONS + 1)) if key else []
            found = tuple(lookup.lock_of(state, bucket, key, row) for row in rows)
            return (Lock(matters=about), *found, *[_MANY] * (len(rows) > _MAX_VERSIONS))

        return locks


def digest(seqs: frozenset[int], first: int, end: int) -> str:
    """How a record says which ones of ``first`` to ``end`` are pruned (:class:`vault.record.PrunedRef`)."""
    bits = bytearray(-(-(end - first) // 8))
    for seq in seqs:
        bits[(seq - first) // 8] |= 1 << (seq - first) % 8
    return sha256(bits).hexdigest()


def _name(named: ObjectRef | None) -> tuple[str, str]:
    return (named.bucket, named.key) if named is not None else ("", "")


def _decoded(seq: int, record: bytes) -> tuple[Head, Tail]:
    try:
        return decode(record)
    except ValueError as error:
        raise LedgerCorrupt(f"record {seq}", str(error)) from error
