"""Verifications of one node: when they are due and when somebody asks, one at a time, each recorded.

    run ends → ``ledger.verified`` is durable → the next share is next

One that was cut short, by a stop or a crash, is not recorded, and the next start does it again. One that could not be
done is recorded too: a day without verification is to be seen.

Not handled here: the process (``run``), the plan (``plan``).
"""

from __future__ import annotations

import logging
import time
from functools import partial
from threading import Condition, Thread
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from audit.errors import AuditError
from audit.scrub import plan
from audit.scrub.outside import NOBODY, ask_anchor
from audit.scrub.run import Outcome, Run
from audit.scrub.standing import ScrubStanding, standing, warnings
from vault.errors import VaultError
from vault.policy import SYSTEM
from vault.record import Actor, Origin, Tail
from vault.state import verified
from vault.state.verified import GOOD, UNCHECKED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.config import ScrubSection
    from audit.node import Node
    from audit.scrub.outside import Voucher
    from vault.ports import State
    from vault.state.other_rows import VerifiedRow

#: Seconds between attempts to record what was found, where the disk has no room for it.
_RECORD_SECONDS: Final = 10

_log: Final = logging.getLogger(__name__)


class ScrubBusy(AuditError):
    """A verification is under way, or the server stops."""

    code = "scrub-busy"
    status = 503
    retryable = True


class _Asked(NamedTuple):
    actor: Actor
    origin: Origin
    whole: bool


_ITSELF: Final = _Asked(Actor(SYSTEM), Origin("server"), whole=False)


class Scrubber:
    """See the module. Thread-safe; :meth:`stop` once.

    Args:
        root: The data directory.
        settings: When, and how fast.
        commit: Makes a record durable.
        state: The durable view.
        wall: The wall clock, in ns since the epoch.
        outside: Asks for what vouches from outside, before each.
    """

    def __init__(
        self,
        root: Path,
        settings: ScrubSection,
        commit: Callable[[Tail], object],
        state: State,
        wall: Callable[[], int],
        *,
        outside: Callable[[], Voucher] = lambda: NOBODY,
    ) -> None:
        self._root, self._settings = root, settings
        self._commit, self._state, self._wall, self._outside = commit, state, wall, outside
        self._changed = Condition()
        self._asked: _Asked | None = None
        self._run: Run | None = None
        self._due: float | None = None
        self._thread: Thread | None = None
        self._stopping = False
        self._runs = 0
        self._why = self._unanchored = ""

    @classmethod
    def of(cls, node: Node) -> Self:
        """Verifications of a node, each held against its anchor."""
        outside = partial(ask_anchor, node.layout, node.identity, node.settings)
        return cls(
            node.layout.root,
            node.settings.scrub,
            node.commit,
            node.stores.index,
            lambda: node.clock.now().wall,  # which it has by then
            outside=outside,
        )

    def keep(self) -> None:
        """Verify from now on whenever it is due, unless it is switched off."""
        if self._settings.interval_hours:
            with self._changed:
                self._due = time.monotonic() + plan.first_wait(self._row, self._settings, self._wall())
                self._wake()

    def begin(self, actor: Actor, origin: Origin, *, whole: bool) -> int:
        """Begin one now.

        Args:
            actor: Who asks; the record names them.
            origin: From where.
            whole: All bodies, and not only the next share of them.

        Returns:
            How many ended here before it: it has ended when :meth:`standing` shows more.

        Raises:
            ScrubBusy: One is under way.
        """
        with self._changed:
            if self._asked is not None or self._run is not None or self._stopping:
                raise ScrubBusy("the vault is being verified already; `strongroom scrub --last` shows what came of it")
            self._asked = _Asked(actor, origin, whole)
            self._wake()
            return self._runs

    def standing(self) -> ScrubStanding:
        """How it stands."""
        with self._changed:
            running = self._asked is not None or self._run is not None
            return standing(self._row, running=running, runs=self._runs, why=self._why, unanchored=self._unanchored)

    def warnings(self) -> list[str]:
        """What somebody should look at, worst first."""
        return warnings(self._row, self._wall(), self._settings.interval_hours, self._why, self._unanchored)

    def stop(self) -> None:
        """End what runs, at once, and wait for its end."""
        with self._changed:
            self._stopping = True
            if self._run is not None:
                self._run.stop()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    @property
    def _row(self) -> VerifiedRow:
        return verified.found(self._state)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._loop, name="scrubber", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _loop(self) -> None:
        try:
            while (asked := self._next()) is not None:
                self._verify(asked)
        except Exception:  # noqa: BLE001 - the loop that owns it: the vault goes on, and the status says that this does not
            _log.exception("the vault is not verified any more")
            with self._changed:
                self._why = "it has stopped by an internal error: see the log, then restart"
                self._run = self._asked = None
                self._runs += 1

    def _next(self) -> _Asked | None:
        """Wait until one is due or asked for; None at the stop. What is returned has :attr:`_run`, not begun."""
        with self._changed:
            while not self._stopping:
                due = self._due is not None and time.monotonic() >= self._due
                if due or self._asked is not None:
                    asked, self._asked = self._asked or _ITSELF, None
                    count = plan.shares(self._settings)
                    share, shares = (1, 1) if asked.whole else (plan.next_share(self._row, count), count)
                    self._run = Run(self._root, share, shares, self._settings.rate_mib_s)
                    return asked
                self._changed.wait(None if self._due is None else self._due - time.monotonic())
        return None

    def _verify(self, asked: _Asked) -> None:
        run, began = self._run, time.monotonic()
        if run is None:
            raise AssertionError
        _log.info("verification begins: share %d of %d", run.share, run.shares)
        voucher = self._outside()
        outcome = run.wait(voucher)
        if outcome is None:
            return  # stopped
        if voucher.why:
            _log.warning("verification: not held against the anchor: %s", voucher.why)
        _tell(outcome)
        tail = Tail(op="ledger.verified", actor=asked.actor, origin=asked.origin, verified=outcome.verified)
        why = self._record(tail)
        with self._changed:
            self._why, self._run = why or outcome.why, None
            self._unanchored = f"{voucher.anchor}: {voucher.why}" if voucher.why else ""
            self._runs += 1
            if self._due is not None:
                done = outcome.verified.result != UNCHECKED
                took = time.monotonic() - began
                self._due = time.monotonic() + plan.next_wait(self._settings, took, done=done)

    def _record(self, tail: Tail) -> str:
        """Record it, as soon as there is room; why it could not be, where it could not."""
        while True:
            try:
                self._commit(tail)
            except VaultError as error:
                why = f"what was found cannot be recorded: {error}"
                if not error.retryable:
                    _log.error("%s", why)
                    return why
            except TimeoutError:
                return "what was found may not be recorded: the ledger's writer did not answer"
            else:
                return ""
            with self._changed:
                if not self._why:
                    _log.warning("%s", why)
                self._why = why
                if self._changed.wait_for(lambda: self._stopping, _RECORD_SECONDS):
                    return why


def _tell(outcome: Outcome) -> None:
    """Say in the server's log what was found, without names of objects."""
    said = outcome.verified
    read = f"{said.records} records, {said.bodies} bodies, {said.bytes >> 20} MiB in {said.seconds} s"
    if said.findings:
        record = f", record {said.seq}" if said.seq >= 0 else ""
        _log.error("verification: BAD, %d findings, the first at %s%s; %s", said.findings, said.place, record, read)
    elif said.result == GOOD:
        vouched = f"{said.anchored} records vouched for by {said.anchor}" if said.anchored else "not anchored"
        _log.info("verification: good; %s; %s", read, vouched)
    else:
        _log.error("verification: could not be done: %s", outcome.why)
