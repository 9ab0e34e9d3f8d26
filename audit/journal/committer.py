"""The committer: the stream's one point of order (DESIGN §1, "decide at commit"; §7, steps 3 to 5).

One thread takes operations in the order they were submitted, decides each seeing everything decided before it,
chains and frames its record, and writes whatever is queued as one group: one ``pwritev``, one ``fdatasync``. While
the sync runs the next group gathers, so the group size follows the load and nobody waits for a timer; only where too
much waits to be settled it rests between groups (``audit.journal.debt``).

Three outcomes only. *Not done*: refused before the write (``Unavailable``). *Done*: the record is durable. *Unknown*:
the write was begun and failed; the log is poisoned, the process must stop, and recovery decides by the group.

Not handled here: the rules themselves (``vault.state``), files (``audit.journal.log``).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final

from audit.crash import crash_point
from audit.journal import tiers
from audit.journal.batch import frame_bound, record_batch, records_of, require_fits
from audit.journal.group import Group
from audit.journal.members import record_members
from audit.journal.operation import Place, record_operation
from vault.errors import Behind, NoSpace, OutcomeUnknown, Unavailable, VaultError
from vault.measures import Counts
from vault.state.decide import decide
from vault.state.decision import Decision
from vault.state.ingest import Seen
from vault.state.rows import VersionRow
from vault.storage.room import FreeSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.clock import ComplianceClock
    from audit.journal.log import CommitLog
    from audit.journal.segment_file import Segment
    from vault.ports import Committed, Done, Intent
    from vault.storage.index import Sequenced
    from vault.storage.leases import Leases

    #: What waits to be decided: the operation, who is told, and the most that it can take of a group.
    _Queued = tuple[Intent, Done, int]

_log: Final = logging.getLogger(__name__)

#: Operations waiting to be decided; more are refused with 503.
MAX_QUEUE: Final = 65_536
#: Leaf hashes kept for the sealer; who falls behind further reads the records again.
MAX_LEAVES: Final = 1 << 20
#: Records of one group.
MAX_GROUP_RECORDS: Final = 8_192
#: Payload at which a group is closed, in bytes.
GROUP_BYTES: Final = 4 * 1024 * 1024

#: What has the bytes of ``row`` read after the record is durable.
_READS: Final = frozenset({"object.get", "object.head", "object.retention.get", "object.hold.get"})


class Committer:
    """Implements :class:`vault.ports.Journal`.

    Args:
        log: The commit log, as recovery left it.
        state: The sequenced view.
        clock: The compliance clock.
        stream: The stream's name.
        next_seq: Seq of the next record.
        prev: Leaf hash of the last record, 32 bytes; SHA-256 of nothing at seq 0.
        base: Position of the stream's first record (``vault.state.rows``).
        leases: Leases on bodies.
        reserve_bytes: Disk kept free, see ``audit.journal.tiers``.
        seen: Foreign events that repeats are recognised by, as the records have them; the committer's own from here on.
        behind: Says why no new writes are taken; nothing where they are.
        on_fatal: Called once, in the committer's thread, when the log is poisoned.

    Attributes:
        refused: Durable records of refusals, by outcome and reason with a colon between them.
        turned_away: Operations of which nothing was written, by why.
    """

    def __init__(
        self,
        *,
        log: CommitLog,
        state: Sequenced,
        clock: ComplianceClock,
        stream: str,
        next_seq: int,
        prev: bytes,
        base: int,
        leases: Leases,
        reserve_bytes: int,
        on_fatal: Callable[[VaultError], None],
        seen: Seen | None = None,
        behind: Callable[[], str] = str,
    ) -> None:
        self._journal = log
        self._state = state
        self._clock = clock
        self._seq, self._prev = next_seq, prev
        self._place = Place(stream, state, base)
        self._leases = leases
        self._reserve = reserve_bytes
        self._free = FreeSpace(log.directory)
        self._behind, self._on_fatal = behind, on_fatal
        self._seen = seen if seen is not None else Seen()
        self.refused = Counts()
        self.turned_away = Counts.fromkeys(("queue_full", "stopped", "no_space", "behind", "fault"), 0)
        self._queue: deque[_Queued] = deque()
        self._wake = Condition()
        self._closing = False
        self._poison: VaultError | None = None
        self._leaves: list[bytes] = []
        self._leaves_from = next_seq
        self._thread = Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        """Begin to decide."""
        self._thread.start()

    def stop(self) -> None:
        """Decide what is queued, refuse what comes after, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    @property
    def max_payload(self) -> int:
        """See :class:`vault.ports.Journal`."""
        return self._journal.max_payload

    @property
    def waiting(self) -> int:
        """Operations that wait to be decided."""
        return len(self._queue)

    @property
    def poisoned(self) -> VaultError | None:
        """What stopped the writer, if anything did."""
        return self._poison

    def take_leaves(self) -> tuple[int, list[bytes]]:
        """Leaf hashes of durable records, in order, and the seq of the first; for the sealer alone.

        They go on where the last ones ended, unless more than :data:`MAX_LEAVES` had to wait, and some were dropped.
        """
        with self._wake:
            first, leaves = self._leaves_from, self._leaves
            self._leaves, self._leaves_from = [], first + len(leaves)
        return first, leaves

    def submit(self, intents: Sequence[Intent], done: Sequence[Done]) -> None:
        """See :class:`vault.ports.Journal`."""
        sizes = list(map(frame_bound, intents))
        require_fits(intents, sizes, self._journal.max_payload)
        with self._wake:
            if self._poison is not None or self._closing:
                self.turned_away["stopped"] += len(intents)
                stopped = "the ledger's writer has stopped; the operator must restart the server"
                raise Unavailable(stopped if self._poison is not None else "the server is stopping; try again")
            if len(self._queue) + len(intents) > MAX_QUEUE:
                self.turned_away["queue_full"] += len(intents)
                raise Unavailable("too many operations are waiting; try again later")
            self._queue.extend(zip(intents, done, sizes, strict=True))
            self._wake.notify()

    def _gather(self) -> tuple[list[_Queued], int]:
        """What goes into the next group, with an upper bound of its payload; empty when it is time to end."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing)
            taken: list[_Queued] = []
            limit = min(GROUP_BYTES, self._journal.max_payload)
            size, records, queue = 0, 0, self._queue
            while queue and records < MAX_GROUP_RECORDS:
                intent, _, need = queue[0]
                if taken and size + need > limit:
                    break
                size += need
                records += records_of(intent)
                taken.append(queue.popleft())
            return taken, size

    def _run(self) -> None:
        while True:
            batch, bound = self._gather()
            if not batch:
                return
            group = Group(self._seq, self._prev, [done for _, done, _ in batch])
            began = time.monotonic()
            try:
                self._commit([intent for intent, _, _ in batch], bound, group)
                if not self._closing:  # while it stops, all that wait are to be answered soon
                    self._journal.debt.rest(time.monotonic() - began)
            except Exception as error:  # noqa: BLE001 - the loop that owns it: whatever it is, this writer writes no more
                poison = error if isinstance(error, VaultError) else VaultError(f"unexpected {type(error).__name__}")
                _log.critical("the ledger's writer stops: %s", poison, exc_info=None if poison is error else error)
                self._fail(poison, group)
                return

    def _fail(self, poison: VaultError, group: Group) -> None:
        with self._wake:
            self._poison = poison
            left = [done for _, done, _ in self._queue]
            self._queue.clear()
        for done, committed in group.unanswered():
            if committed is not None:
                committed.release()
            if group.begun:
                done(OutcomeUnknown("the write to the ledger failed; recovery decides at the next start"))
            else:
                left.append(done)
        for done in left:
            done(Unavailable("the ledger's writer has stopped; nothing was written"))
        self._on_fatal(poison)

    def _commit(self, intents: list[Intent], bound: int, group: Group) -> None:
        """Decide, write and answer one group."""
        free = self._free.bytes()
        # Before anything is sequenced: without room nothing is done.
        target, admitted = self._room(list(enumerate(intents)), bound, group, free)
        if target is None:
            return
        for number, intent in admitted:
            try:
                committed = self._decide(intent, group, free)
            except Exception as error:  # noqa: BLE001 - one request that trips over a fault must not stop the ledger
                # Nothing was sequenced for it: decide and apply are pure, and what they made is added at their end.
                told = {"request_id": intent.tail.origin.request_id}
                _log.exception("operation %s could not be decided", intent.tail.op, extra=told)
                problem = f"the operation could not be decided and nothing was written: {type(error).__name__}"
                self._turn_away(group, number, Unavailable(problem), "fault")
                continue
            if committed is None:
                self._turn_away(group, number, NoSpace())
                continue
            group.committed[number] = committed
        if not group.records:
            return
        crash_point("commit.before-write")
        group.begun = True
        self._journal.append(target, self._seq, group.records)
        crash_point("commit.after-write")
        self._seq, self._prev = group.seq, group.prev
        if group.clock_state is not None:
            self._clock.take(group.clock_state)
        with self._wake:
            if len(self._leaves) >= MAX_LEAVES:
                self._leaves_from, self._leaves = self._leaves_from + len(self._leaves), []
            self._leaves += group.leaves
        self._state.settle(self._place.base + self._seq)
        group.count_refusals(self.refused)
        for number, committed in group.committed.items():
            group.answer(number, committed)

    def _turn_away(self, group: Group, number: int, error: Unavailable, why: str = "no_space") -> None:
        self.turned_away["behind" if isinstance(error, Behind) else why] += 1
        group.answer(number, error)

    def _room(
        self, waiting: list[tuple[int, Intent]], bound: int, group: Group, free: int
    ) -> tuple[Segment | None, list[tuple[int, Intent]]]:
        """A segment for those operations that the disk's tiers admit; the others are answered.

        Where all together do not fit, those of the last tier still may.
        """
        admitted: list[tuple[int, Intent]] = []
        behind = self._behind()
        for number, intent in waiting:
            op, refused = intent.tail.op, intent.refused is not None
            if (error := tiers.refusal(op, free, self._reserve, behind, refused=refused)) is None:
                admitted.append((number, intent))
            else:
                self._turn_away(group, number, error)
        last = [item for item in admitted if tiers.tier(item[1].tail.op, refused=False) == 0]
        try:
            only = len(last) == len(admitted)
            return (self._journal.room(bound, last=only), admitted) if admitted else (None, [])
        except Unavailable as error:
            if 0 < len(last) < len(admitted):
                kept = {number for number, _ in last}
                for number in (number for number, _ in admitted if number not in kept):
                    self._turn_away(group, number, error)
                return self._room(last, sum(frame_bound(intent) for _, intent in last), group, free)
            for number, _ in admitted:
                self._turn_away(group, number, error)
            return None, []

    def _decide(self, intent: Intent, group: Group, free: int) -> Committed | None:
        tail = intent.tail
        now = self._clock.now()
        if intent.members:
            denials = tiers.admitted(tail.op, free, self._reserve, refused=True)
            return record_members(intent, now, group, self._place, denials=denials)
        if intent.refused is not None:
            decision = Decision(error=intent.refused)
        else:
            decision = decide(tail, self._state, now, intent.parts)
        error = decision.error
        if error is not None and not tiers.admitted(tail.op, free, self._reserve, refused=True):
            return None
        if error is None and intent.batch is not None:
            return record_batch(intent.batch, tail, self._place.head(now), group, self._place, seen=self._seen)
        committed = record_operation(intent, decision, self._place.head(now), group, self._place)
        if error is None and tail.op in _READS and isinstance(committed.row, VersionRow):
            committed.release = self._leases.take(committed.row.seq)
        if error is None and tail.clock_state is not None:
            group.clock_state = tail.clock_state
        return committed
