"""What runs beside the committer: sealing, index syncs, spare segments, clock records, settling, erasing, views.

Each job is a loop of its own in a thread. A retryable error is shown in the status and the job tried again at its next
turn; any other error is fatal for the node, because it means that disk, keys or ledger are not what they must be.

Not handled here: the jobs themselves.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from itertools import islice
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from audit.backup.holds import ERASING
from audit.burst import Burst
from audit.eraser import Eraser
from audit.errors import AuditError
from audit.journal.debt import UNSETTLED_BYTES
from audit.pruning import Pruner
from audit.replay import records
from audit.settle import Settler
from audit.status import Work
from vault.durable import NO_DESCRIPTOR
from vault.errors import VaultError
from vault.measures import Counts
from vault.merkle import leaf_hash
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, Origin, Tail, encode_tail
from vault.storage.index import SYNC_ROWS
from vault.storage.room import has_room
from vault.times import NS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.clock import ComplianceClock
    from audit.config import Settings
    from audit.identity import Layout
    from audit.journal.committer import Committer
    from audit.query.view import View
    from audit.relaying.standing import Relaying
    from audit.sealing import Sealer
    from audit.stores import Stores
    from audit.strand import Strand
    from vault.crypto.keyring import Keyring

_log: Final = logging.getLogger(__name__)

#: Seconds between looks at the spare segments; a burst uses them up quickly.
SPARES_SECONDS: Final = 0.1
#: Seconds between settling steps while there is nothing to settle.
SETTLE_SECONDS: Final = 1.0
#: Seconds between looks at the feed while the query view has all of it; a question has it look at once.
VIEW_SECONDS: Final = 2.0
#: Seconds after a question in which the view reads in a burst, too: who asks will ask again.
ASKED_SECONDS: Final = 300.0
#: Records after which a clock record is written before its interval is over: the way back at a start stays short.
CLOCK_RECORDS: Final = 100_000
#: How long a job that was told to end may take, in seconds: its disk, or the anchor, may hang.
STOP_SECONDS: Final = 30
#: How long records may wait for their checkpoint before somebody should look, in seconds.
UNSEALED_SECONDS: Final = 60
#: Leaves read back at once while the tree catches up.
_CATCH_UP: Final = 65_536


class _Loop:
    """A job, again and again in its own thread."""

    def __init__(
        self, name: str, seconds: float, job: Callable[[], bool], on_fatal: Callable[[Exception], None]
    ) -> None:
        self.name = name
        self.trouble = ""
        self.failures = Counts()
        self._seconds = seconds
        self._job = job
        self._on_fatal = on_fatal
        self._stop = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """End it; whether it ended. What it is doing is finished first, for which it gets :data:`STOP_SECONDS`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        busy = False
        while not self._stop.wait(0 if busy else self._seconds):
            try:
                busy = self._job()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - the loop that owns it: what is not retryable ends the node
                busy = False
                if _retryable(error):
                    if not self.trouble:
                        _log.warning("%s: %s", self.name, error)
                    self.trouble = str(error)
                    self.failures[getattr(error, "code", type(error).__name__)] += 1
                    continue
                _log.critical("%s stops", self.name, exc_info=True)
                self._on_fatal(error)
                return


def _retryable(error: Exception) -> bool:
    """Whether a job may simply be tried again: it says so, or this process had no descriptor left for it."""
    if isinstance(error, OSError):
        return error.errno in NO_DESCRIPTOR
    return isinstance(error, VaultError | AuditError) and error.retryable


class Background:
    """The jobs of one node."""

    def __init__(
        self,
        *,
        sealer: Sealer,
        stores: Stores,
        committer: Committer,
        clock: ComplianceClock,
        settings: Settings,
        keyring: Keyring,
        layout: Layout,
        view: View,
        relaying: Relaying,
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._sealer = sealer
        self._stores = stores
        self._committer = committer
        self._clock = clock
        self._settings = settings
        self._synced_at = time.monotonic() - settings.index.sync_interval_s
        self._clock_at = time.monotonic()
        self._clock_seq = stores.log.durable_end
        self._settlers = [self._settler(strand, layout.spares) for strand in stores.strands]
        self._eraser = Eraser(stores=stores, keyring=keyring, journal=committer, now=clock.now, published=self._covered)
        self._pruner = Pruner(
            stores=stores,
            journal=committer,
            now=clock.now,
            published=self._covered,
            view=view,
            days=settings.ledger.keep_days,
        )
        self._keyring = keyring
        self._query = view
        self.relaying = relaying
        self._seen_by_view = Burst(lambda: stores.log.durable_end)
        self._spares = layout.spares
        self._hanging = False
        self._sealed_at = time.monotonic()
        self._loops = [
            _Loop("sealer", settings.checkpoint.interval_s, self._seal, on_fatal),
            _Loop("index sync", min(settings.index.sync_interval_s, 1.0), self._sync_index, on_fatal),
            _Loop("spare segments", SPARES_SECONDS, self._keep_spares, on_fatal),
            _Loop("clock", 1.0, self._tell_clock, on_fatal),
            *(_Loop("settler", SETTLE_SECONDS, self._settle(settler), on_fatal) for settler in self._settlers),
            _Loop("eraser", SETTLE_SECONDS, self._eraser.step, on_fatal),
            _Loop("pruner", SETTLE_SECONDS, self._pruner.step, on_fatal),
            _Loop("relay's cursor", 1.0, relaying.keep, on_fatal),
            _Loop("query view", VIEW_SECONDS, self._view, on_fatal),
        ]

    def _settler(self, strand: Strand, spares: Path) -> Settler:
        """What settles a stream; one that was taken over is covered whole as soon as its successor is sealed."""
        closed = strand is not self._stores.current
        return Settler(
            log=strand.log,
            ledger=strand.settled,
            packs=strand.packs,
            leases=self._stores.leases,
            holds=self._stores.holds,
            base=strand.base,
            spares=spares,
            published=lambda: (strand.log.durable_end if self.sealed else 0) if closed else self.sealed,
            closed=closed,
        )

    def _covered(self) -> int:
        """Position up to which records are under the last published checkpoint."""
        return self._stores.current.base + self.sealed if self.sealed else 0

    @property
    def sealed(self) -> int:
        """Records under the last published checkpoint."""
        last = self._sealer.last
        return last.checkpoint.size if last is not None else 0

    def start(self) -> None:
        """Begin all jobs."""
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """End all jobs; what they were doing is finished first, unless it hangs."""
        self._eraser.stopping.set()
        self._pruner.stopping.set()
        hanging = [loop.name for loop in self._loops if not loop.stop()]
        self._hanging = bool(hanging)
        for name in hanging:
            _log.warning("%s hangs and is left behind; the next start finds out what it did", name)

    def finish(self) -> None:
        """After the committer stopped: seal everything and sync the index, so that the next start is short.

        What has to wait for anchor or disk is left to the next start.
        """
        if self._hanging:
            return
        for step in (self._seal, self._stores.index.sync):
            try:
                step()
            except (VaultError, AuditError) as error:
                if not error.retryable:
                    raise
                _log.warning("at the stop: %s", error)

    def work(self) -> Work:
        """What the jobs have done, and what is left."""
        now = time.monotonic()
        failures = Counter[str]()
        for loop in self._loops:
            failures[loop.name] += sum(loop.failures.copy().values())
        sealing = next(loop.failures.copy() for loop in self._loops if loop.name == "sealer")
        return Work(
            failures=failures,
            failing={loop.name for loop in self._loops if loop.trouble},
            anchor_failures=sum(count for code, count in sealing.items() if code.startswith("anchor-")),
            unsealed_s=now - self._sealed_at,
            unsynced_s=now - self._synced_at,
            recycled=sum(settler.recycled for settler in self._settlers),
            erasable=self._eraser.backlog,
            erased=self._eraser.erased,
            kept=len(self._eraser.locked) + len(self._eraser.refused),
            pruned=self._pruner.pruned,
        )

    def report(self) -> tuple[list[str], list[str]]:
        """What keeps the node from being ready, and what somebody should look at."""
        warnings = [f"{loop.name}: {loop.trouble}" for loop in self._loops if loop.trouble]
        waiting = time.monotonic() - self._sealed_at
        if self.sealed < self._stores.log.durable_end and waiting > UNSEALED_SECONDS:
            warnings.append(f"no checkpoint for {waiting:.0f} s: records are kept, and nothing is signed")
        if (owed := self._stores.log.debt).pressing:
            warnings.append(f"settler: {owed.bytes >> 20} MiB of the commit log wait for it: writes are slowed down")
        now = self._clock.now()
        lag = now.wall - now.clock
        if lag > NS:
            warnings.append(f"clock: {lag // NS} s behind the wall clock; locks expire that much later")
        if self._eraser.refused:
            some = next(iter(self._eraser.refused.values()))
            warnings.append(
                f"eraser: {len(self._eraser.refused)} bodies stay, whose removal the ledger refutes: {some}"
            )
        if self._stores.holds.held(ERASING):
            warnings.append("a backup is under way: nothing is erased until it has its copy")
        if self._keyring.failed:  # what needs no new key goes on
            warnings.append("the keyring: a change could not be written, no new key is made: restart it")
        problems = []
        if self._committer.poisoned is not None:
            problems.append(f"the ledger's writer has stopped: {self._committer.poisoned}")
        return problems, warnings

    def _seal(self) -> bool:
        first, fresh = self._committer.take_leaves()
        while self._sealer.size < first:  # from before this start, or more than the committer keeps
            some = islice(records(self._stores.settled, self._stores.log, self._sealer.size), _CATCH_UP)
            self._sealer.seal([leaf_hash(data) for seq, data in some if seq < first])
        self._sealer.seal(fresh)
        self._sealed_at = time.monotonic()
        return False

    def _settle(self, settler: Settler) -> Callable[[], bool]:
        log = self._stores.log
        burst = Burst(lambda: log.durable_end)

        def step() -> bool:
            owed = log.debt.bytes + log.segment_bytes
            if burst.lasts() and owed <= UNSETTLED_BYTES and has_room(self._spares, 2 * owed):
                return False
            if settler.step():
                return True
            burst.done()
            return False

        return step

    def _view(self) -> bool:
        asked = self._query.asked_within(ASKED_SECONDS)
        if self._seen_by_view.lasts() and self._query.unread is not None and not asked:
            return False
        if self._query.step():
            return True
        self._seen_by_view.done()
        return self._query.merge()

    def _sync_index(self) -> bool:
        due = time.monotonic() - self._synced_at >= self._settings.index.sync_interval_s
        if due or self._stores.index.unsynced_rows >= SYNC_ROWS:
            self._stores.index.sync()
            self._synced_at = time.monotonic()
        return False

    def _keep_spares(self) -> bool:
        self._stores.log.keep_spares()
        return False

    def _tell_clock(self) -> bool:
        due = time.monotonic() - self._clock_at >= self._settings.clock.status_interval_s
        if due or self._stores.log.durable_end - self._clock_seq >= CLOCK_RECORDS:
            self._clock_at, self._clock_seq = time.monotonic(), self._stores.log.durable_end
            state = self._clock.status()

            def charge(outcome: Committed | VaultError) -> None:
                if isinstance(outcome, Committed) and outcome.error is None:
                    self._clock.take(state)

            tail = Tail(op="clock.status", actor=Actor(SYSTEM), origin=Origin("server"), clock_state=state)
            self._committer.submit([Intent(tail, encode_tail(tail))], [charge])
        return False
