"""How much of the commit log waits to be settled, and how that stays within bounds (DESIGN §4).

A start reads all that the commit log holds. Where records come faster than they are settled, the committer rests after
each group, the longer the more waits: settling gets the processor, and who asks for anything that is recorded waits
longer for the answer. Rests grow with what waits, so that the rate comes down to what can be settled beside it instead
of stopping and going, but to no less than a ninth, however much waits.

What is settled and not given back is nothing to rest for: it waits for a checkpoint, a backup or a reader.

Not handled here: settling (``audit.settle``), and when it may wait for a burst to be over (``audit.background``).
"""

from __future__ import annotations

import time
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.journal.segment_file import Segment

#: So many bytes of segments may wait before anybody rests: some 1.3 million events of 400 bytes, ten seconds' reading.
UNSETTLED_BYTES: Final = 1 << 30
#: For each so many bytes more, a rest becomes longer by what the group took.
STEP_BYTES: Final = UNSETTLED_BYTES // 8
#: The longest rest: so many times what the group took, and so many seconds.
REST_TIMES: Final = 8
REST_SECONDS: Final = 1.0
_END_SEQ: Final = attrgetter("end_seq")


class Debt:
    """What waits to be settled. One thread settles, another rests; anybody may look.

    Args:
        look: All segments, oldest first, and the one that is written.
        sleep: Rests for some seconds.

    Attributes:
        settled: Records that are settled, from the first on; the settler keeps it up to date.
        rested: How long was rested, in seconds.
    """

    def __init__(
        self,
        look: Callable[[], tuple[Sequence[Segment], Segment | None]],
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.settled = 0
        self.rested = 0.0
        self._look = look
        self._sleep = sleep

    @property
    def bytes(self) -> int:
        """Lengths of the segments that are written no more and hold records that are not settled."""
        segments, active = self._look()
        owed = segments[bisect_right(segments, self.settled, key=_END_SEQ) :]
        return sum(item.header.length for item in owed if item is not active)

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
            seconds = min(took * min(over / STEP_BYTES, REST_TIMES), REST_SECONDS)
            self._sleep(seconds)
            self.rested += seconds
