"""How fast a verification reads, where it must leave the disk to others: bytes a second, in one process.

Not handled here: the reading (``files``), and who else uses the disk.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: A debt shorter than this is not slept off by itself, in seconds: sleeps that short take longer than they say.
_LEAST_SECONDS: Final = 0.01


class Pace:
    """Counts bytes and sleeps until they are due; time that was not used is not saved up.

    Args:
        rate: Bytes a second.
        now: A clock, in seconds.
        sleep: Waits some seconds.

    Attributes:
        taken: Bytes so far.
    """

    def __init__(
        self, rate: int, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate, self._now, self._sleep = rate, now, sleep
        self._due = now()
        self.taken = 0

    def take(self, count: int) -> None:
        """Account for bytes that were read, and wait until the next may be."""
        self.taken += count
        self._due = max(self._due, self._now() - _LEAST_SECONDS) + count / self._rate
        ahead = self._due - self._now()
        if ahead > _LEAST_SECONDS:
            self._sleep(ahead)


_set: list[Pace] = []


def keep(pace: Pace | None) -> None:
    """Have this process read at a pace from now on, and do all itself; None: as fast as it can, in many."""
    _set[:] = [pace] if pace is not None else []


def kept() -> Pace | None:
    """The pace of this process, if it has one."""
    return _set[0] if _set else None
