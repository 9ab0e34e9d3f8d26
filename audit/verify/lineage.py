"""Streams that took one another over, as one history (``strongroom recover``): versions, locks and bodies go on.

A vault has one stream until a recovery opens another. Across them a record is known by its position: its seq, and the
number of records in all streams before its own more; ``ref`` of a record is a position. Findings name the seq.

1. The first record of each stream but the first says which stream it takes over, how many records that one holds, and
   their root; all three must be so.
2. What a checkpoint, an anchor or a tile of the old stream says of records beyond those is excused as far as that first
   record tells of it: the named state "records lost". A checkpoint from outside is never excused.

Not handled here: reading the records (``stream``, ``exported``).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from audit.verify.bodies import Seen
from audit.verify.holdings import Holdings
from audit.verify.locks import Locks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.verify.event import Event
    from audit.verify.report import Finding


class Takeover(NamedTuple):
    """What a stream's first record says of the one before it; ``position`` is where its own records begin."""

    stream: str
    held: int
    root: str
    known: int
    known_root: str
    position: int


def takeover_in(event: Event) -> Takeover | None:
    """What an operation says of a stream that it took over."""
    if event.op != b"ledger.open" or not event.taken:
        return None
    stream, numbers = str(json.loads(event.taken)), (int(event.held), int(event.known), int(event.base))
    return Takeover(stream, numbers[0], event.held_root.decode(), numbers[1], event.known_root.decode(), numbers[2])


class Lineage:
    """One history.

    Attributes:
        locks: What became of its versions; seqs are positions.
        holdings: Its bodies; seqs are positions.
        base: Position of the first record of the stream at hand.
        prunings: What was pruned, of whichever stream, in order.
    """

    def __init__(self) -> None:
        self.base = 0
        self._bases = [0]
        self._names = [""]
        self.locks = Locks(self.place)
        self.holdings = Holdings(self.locks, self.place)
        self.prunings: list[Event] = []

    def begin(self, name: str, base: int) -> None:
        """Go on with the next stream.

        Args:
            name: Names it in findings; may be empty.
            base: Position of its first record.
        """
        self.base = base
        self._bases.append(base)
        self._names.append(name)

    def apply(self, event: Event) -> None:
        """Replay the next operation of the stream at hand, with what became of its bodies."""
        moved = self.moved(event)
        self.locks.apply(moved)
        self.holdings.apply(moved)
        if event.op == b"ledger.pruned":
            self.prunings.append(event)

    def moved(self, event: Event) -> Event:
        """An operation of the stream at hand, with its position as ``seq``."""
        return event._replace(seq=self.base + event.seq) if self.base else event

    def moved_body(self, seen: Seen, base: int) -> Seen:
        """A body of the stream that begins at ``base``, with positions for its seq and those of its parts."""
        parts = [(number, base + part, size) for number, part, size in seen.parts] if seen.parts else seen.parts
        return Seen(base + seen.seq, seen.sealed_leaf, parts) if base else seen

    def place(self, position: int) -> str:
        """Name the place of a record."""
        at = self._at(position)
        return f"{self._names[at]} record {position - self._bases[at]}".lstrip()

    def findings(self, found: Iterable[Finding]) -> list[Finding]:
        """Findings about positions as findings about seqs."""
        return [
            finding if finding.seq is None else finding._replace(seq=finding.seq - self._bases[self._at(finding.seq)])
            for finding in found
        ]

    def _at(self, position: int) -> int:
        return max(0, bisect_right(self._bases, position) - 1)
