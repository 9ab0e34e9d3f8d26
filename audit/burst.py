"""Bursts of records: while one lasts, what can wait leaves the processor to the records.

The committer, the view of records and settling share one interpreter. What a burst brings is settled and viewed after
it, in larger steps. It is a burst for so long only (:data:`BURST_SECONDS`); what lasts longer is a load, and everything
is done at once again, until what waited is done.

Not handled here: what waits, and what else keeps it from waiting (``audit.background``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Records a second from which on they are a burst: more than single requests bring, fewer than can be viewed meanwhile.
BURST_RECORDS_S: Final = 5_000
#: How long a burst's records may wait, in seconds: some ten million of them, a hundred seconds of reading.
BURST_SECONDS: Final = 90.0


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
        self._since: float | None = None

    def lasts(self) -> bool:
        """Whether records have come faster than :data:`BURST_RECORDS_S` since the last look, but not for too long."""
        count, now = self._count(), self._clock()
        came, took = count - self._last, now - self._at
        self._last, self._at = count, now
        if came <= BURST_RECORDS_S * took:
            return False
        if self._since is None:
            self._since = now
        return now - self._since < BURST_SECONDS

    def done(self) -> None:
        """Nothing of it waits any more: what comes may be a burst of its own."""
        self._since = None
