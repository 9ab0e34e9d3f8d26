"""Figures of what is being done, kept where it is done: plain numbers, which whoever wants to publish them reads.

Each has one writer, an event loop or the committer's thread, and takes no lock: the interpreter runs an addition of
one thread without another one writing the same number. Readers, in any thread, see each number whole; a sum may be one
value ahead of the counts beside it.

Counting one request takes 0.46 µs, its clock included, and one group of records 0.36 µs: together less than 0.2 % of
what a PUT of 1 KiB costs. The instruments of ``prometheus_client``, which take a lock for each number and look each
label up under another, took 5.7 µs for a request's four numbers on the same machine.

Labels are operations, statuses and reasons, all of closed lists: never a name of a bucket, a key or an actor.

Not handled here: names and the form of what is published (``audit.metrics``).
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Upper bounds of how long an answer takes, in seconds: from one group commit to what a client gives up at.
ANSWER_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """How often a value was how large. One writer.

    Args:
        bounds: Upper bounds, inclusive, ascending.

    Attributes:
        bounds: As given; above the last one there is no bound.
        counts: Values in each, not those below; one more than there are bounds.
        sum: Of all values.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Tally:
    """Requests of one operation. One writer.

    Attributes:
        answers: By the first digit of their status.
        seconds: From when their head had arrived until the answer was known.
        received: Bytes of their bodies that were read, as sent.
        sent: Bytes of the answers' bodies.
    """

    __slots__ = ("answers", "received", "seconds", "sent")

    def __init__(self) -> None:
        self.answers = [0] * 6
        self.seconds = Histogram(ANSWER_SECONDS)
        self.received = 0
        self.sent = 0

    def answered(self, status: int, seconds: float, received: int) -> None:
        """Count a request; what is sent is added by whoever sends it."""
        self.answers[status // 100] += 1
        self.seconds.add(seconds)
        self.received += received


class Tallies(dict[str, Tally]):
    """Requests by operation. One writer; readers go over a copy."""

    def __missing__(self, op: str) -> Tally:
        """Begin to count an operation."""
        tally = self[op] = Tally()
        return tally


class Counts(dict[str, int]):
    """How often what happened, by name; what never did is 0. One writer; readers go over a copy."""

    def __missing__(self, name: str) -> int:
        """What has not happened."""
        return 0
