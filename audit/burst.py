"""Bursts of records: while one lasts, what can wait leaves the processor to the records.

The committer, the view of records and settling share one interpreter. What a burst brings is settled and viewed after
it, in larger steps; how much may wait is bounded, so a burst without an end only has them start later.

Not handled here: what waits, and how much of it may (``audit.background``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Records a second from which on they are a burst: more than single requests bring.
BURST_RECORDS_S: Final = 5_000


class Burst:
    """How fast records come, between one look and the next. Not thread-safe: one for each who looks.

    Args:
        count: How many there are.
        clock: Seconds, monotonic.
    """

    def __init__(self, count: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._last = count()
        self._at = clock()

    def lasts(self) -> bool:
        """Whether records have come faster than :data:`BURST_RECORDS_S` since the last look."""
        count, now = self._count(), self._clock()
        came, took = count - self._last, now - self._at
        self._last, self._at = count, now
        return came > BURST_RECORDS_S * took
