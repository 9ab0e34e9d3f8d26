"""How much of the commit log waits to be settled, and how that stays within bounds (DESIGN §4).

A start reads all that waits. Where records come faster than they are settled, the committer rests after each group,
the longer the more waits: settling gets the processor, nothing is refused, and who writes waits longer for an answer.
Rests grow with what waits, so that writes slow down to what can be settled beside them instead of stopping and going.

Not handled here: settling (``audit.settle``), and when it may wait for a burst to be over (``audit.background``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.journal.segment_file import Segment

#: So many bytes of segments may wait before anybody rests: some 1.3 million events of 400 bytes, ten seconds' reading.
UNSETTLED_BYTES: Final = 1 << 30
#: For each so many bytes more, a rest becomes longer by what the group took.
STEP_BYTES: Final = UNSETTLED_BYTES // 8
#: The longest rest, in seconds: an answer is late by no more than this for each group before it.
REST_SECONDS: Final = 1.0


class Debt:
    """What waits to be settled. One thread settles, another rests; anybody may look.

    Args:
        closed: The segments that are written no more.
        sleep: Rests for some seconds.

    Attributes:
        settled: Number of the last segment that this process settled, or saw to be; -1 at first.
        rested: How long was rested, in seconds.
    """

    def __init__(self, closed: Callable[[], list[Segment]], sleep: Callable[[float], object] = time.sleep) -> None:
        self.settled = -1
        self.rested = 0.0
        self._closed = closed
        self._sleep = sleep

    @property
    def waiting(self) -> list[Segment]:
        """Segments that are written no more and not settled, oldest first."""
        return [item for item in self._closed() if item.header.number > self.settled]

    @property
    def bytes(self) -> int:
        """What they take of the disk."""
        return sum(item.header.length for item in self.waiting)

    @property
    def pressing(self) -> bool:
        """Whether so much waits that settling must not wait for anybody."""
        return self.bytes > UNSETTLED_BYTES

    def rest(self, took: float) -> None:
        """Rest after a group, where more than :data:`UNSETTLED_BYTES` wait.

        Args:
            took: What deciding and writing it took, in seconds.
        """
        over = self.bytes - UNSETTLED_BYTES
        if over > 0:
            seconds = min(took * over / STEP_BYTES, REST_SECONDS)
            self._sleep(seconds)
            self.rested += seconds
