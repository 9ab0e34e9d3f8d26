"""The compliance clock: time credited only as far as it was measured (DESIGN §5).

While the process runs, CLOCK_MONOTONIC measures. What nobody measured (wall minus clock at a start, or after the
machine slept) is taken only from a budget of 15 minutes per 30 credited days; what is not taken leaves the clock
behind the wall: everything expires late, nothing early. The wall may jump as it likes.

Its state is :class:`vault.record.ClockState` in ``ledger.start`` and ``clock.status`` records: it is derived from
the ledger, not from a file one can edit. An advance is *charged* in such a record first, and *taken* only when that
record is durable: no record, and no erasure, ever goes by an advance that a crash could leave unaccounted. A crash in
between leaves it charged and not taken: late, never early.

Not handled here: signed times, which will let a lag be made up.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Final, NamedTuple, Protocol

from audit.discipline import Discipline, host_discipline
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

    def discipline(self) -> Discipline:
        """How the wall clock is kept right."""


class HostSource:
    """The host's own clocks."""

    def wall(self) -> int:
        """CLOCK_REALTIME."""
        return time.time_ns()

    def monotonic(self) -> int:
        """CLOCK_MONOTONIC."""
        return time.monotonic_ns()

    def discipline(self) -> Discipline:
        """What the kernel says."""
        return host_discipline()


class _Charge(NamedTuple):
    """An advance that a record is to account for: its grants with the advance among them, and the advance in ns."""

    grants: tuple[tuple[int, int], ...]
    advance: int


class ComplianceClock:
    """The clock of one stream. Thread-safe.

    Args:
        source: The host's clocks.
        state: From the ledger's newest clock record; None for a stream that has none yet, and so nothing to protect.
        last: The newest record's clock in ns; the clock goes on from there, or from the wall in a stream with no state.
    """

    def __init__(self, source: Source, state: ClockState | None = None, last: int = 0) -> None:
        self._source = source
        self._lock = Lock()
        self._credited = state.credited if state is not None else 0
        self._grants = state.grants if state is not None else ()
        self._charge: _Charge | None = None
        self._mark = source.monotonic()
        self._clock = last if state is not None else max(source.wall(), last)

    def now(self) -> Now:
        """Both clocks. The compliance clock never goes backwards; only grants take it past what was measured."""
        with self._lock:
            self._tick()
            return Now(self._source.wall(), self._clock)

    def _tick(self) -> None:
        mark = self._source.monotonic()
        elapsed = max(mark - self._mark, 0)
        self._mark = mark
        self._clock += elapsed
        self._credited += elapsed

    def status(self) -> ClockState:
        """How the account stands, with the advance charged that the budget allows now. Changes nothing yet.

        Returns:
            What a record is to hold; :meth:`take` once that record is durable. Only the newest one can be taken.
        """
        with self._lock:
            self._tick()
            advance = self._source.wall() - self._clock
            self._charge = _charge(self._grants, self._credited // DAY_NS, advance)
            kept = self._source.discipline()
            return ClockState(
                credited=self._credited,
                lag=advance - self._charge.advance,
                grants=self._charge.grants,
                source=kept.source,
                offset=kept.offset,
                max_error=kept.max_error,
                synchronised=kept.synchronised,
            )

    def take(self, state: ClockState) -> None:
        """The record with this account is durable: the advance that it charges is taken."""
        with self._lock:
            if self._charge is not None and self._charge.grants == state.grants:
                self._clock += self._charge.advance
                self._grants, self._charge = self._charge.grants, None


def _charge(grants: tuple[tuple[int, int], ...], today: int, advance: int) -> _Charge:
    """What may be taken of an unmeasured advance.

    Grants are kept by credited day and count until 30 whole credited days lie between: never early.

    Args:
        grants: (credited day, ns), ascending.
        today: Credited day.
        advance: Wall minus clock, ns.
    """
    counting = [(day, spent) for day, spent in grants if today - day <= WINDOW_DAYS]
    taken = min(advance, BUDGET_NS - sum(spent for _, spent in counting))
    if advance <= TOLERANCE_NS or taken <= 0:
        return _Charge(tuple(counting), 0)
    earlier = counting.pop()[1] if counting and counting[-1][0] == today else 0
    return _Charge((*counting, (today, earlier + taken)), taken)
