"""The compliance clock: time credited only as far as it was measured (DESIGN §5).

While the process runs, CLOCK_MONOTONIC measures. What nobody measured (wall minus clock at a start, or after the
machine slept) is taken only from a budget of 15 minutes per 30 credited days; what is not taken leaves the clock
behind the wall: everything expires late, nothing early. The wall may jump as it likes.

Its state is :class:`vault.record.ClockState` in ``ledger.start`` and ``clock.status`` records: it is derived from
the ledger, not from a file one can edit.

Not handled here: signed times, which will let a lag be made up (reserved: ``ClockState.source``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

from vault.record import ClockState
from vault.times import DAY_NS, NS, Now

#: Unmeasured advance that is taken at most in any window of :data:`WINDOW_DAYS`, in ns.
BUDGET_NS: Final = 15 * 60 * NS
WINDOW_DAYS: Final = 30
#: Wall minus clock below which nothing is taken from the budget, in ns: the two tick apart by less than that.
TOLERANCE_NS: Final = NS // 2


class Source(Protocol):
    """Where instants come from; drawn as a port so that jumps can be tested without setting a machine's clock."""

    def wall(self) -> int:
        """The wall clock, ns since the epoch, UTC. May jump either way."""

    def monotonic(self) -> int:
        """A clock that never goes backwards while the process runs, ns from any start. Stands still in suspend."""


class HostSource:
    """The host's own clocks."""

    def wall(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()


@dataclass(slots=True)
class _Account:
    credited: int
    grants: tuple[tuple[int, int], ...]


class ComplianceClock:
    """The clock of one stream. Thread-safe.

    Args:
        source: The host's clocks.
        state: From the ledger's newest clock record, None for a new stream.
        last: The newest record's clock in ns; the clock goes on from there.
    """

    def __init__(self, source: Source, state: ClockState | None = None, last: int = 0) -> None:
        self._source = source
        self._lock = Lock()
        self._account = _Account(state.credited, state.grants) if state else _Account(0, ())
        self._mark = source.monotonic()
        self._clock = last if state is not None else source.wall()
        self._take_from_budget()

    def now(self) -> Now:
        """Both clocks. The compliance clock never goes backwards and never runs ahead of what was measured."""
        with self._lock:
            self._tick()
            return Now(self._source.wall(), self._clock)

    def _tick(self) -> None:
        mark = self._source.monotonic()
        elapsed = max(mark - self._mark, 0)
        self._mark = mark
        self._clock += elapsed
        self._account.credited += elapsed

    def status(self) -> ClockState:
        """Take what the budget allows of an unmeasured advance, and say how the account stands.

        Called at a start and with every ``clock.status`` record.
        """
        with self._lock:
            self._tick()
            self._take_from_budget()
            return ClockState(
                credited=self._account.credited,
                lag=self._source.wall() - self._clock,
                grants=self._account.grants,
            )

    def _take_from_budget(self) -> None:
        """Grants are kept by credited day and count until 30 whole credited days lie between: never early."""
        today = self._account.credited // DAY_NS
        counting = [(day, spent) for day, spent in self._account.grants if today - day <= WINDOW_DAYS]
        advance = self._source.wall() - self._clock
        taken = min(advance, BUDGET_NS - sum(spent for _, spent in counting))
        if advance > TOLERANCE_NS and taken > 0:
            self._clock += taken
            if counting and counting[-1][0] == today:
                counting[-1] = (today, counting[-1][1] + taken)
            else:
                counting.append((today, taken))
        self._account.grants = tuple(counting)
