"""Which bodies of packs and blobs a verification reads, where it takes its turn with others: every one in some turn.

A body's turn follows from the position of its record, so it keeps its turn wherever a compaction moves it.

Not handled here: whose turn it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Positions that follow each other and share a turn: their bodies lie near each other.
_BLOCK: Final = 256
#: More turns than a vault has days.
MAX_TURNS: Final = 10_000


class Share(NamedTuple):
    """Turn ``turn`` of ``turns``, from 1."""

    turn: int
    turns: int

    def holds(self, position: int) -> bool:
        """Whether the body of this record is read in this turn."""
        return position // _BLOCK % self.turns == self.turn - 1


#: All of them.
WHOLE: Final = Share(1, 1)


def parse(text: str) -> Share:
    """Read ``K/N``.

    Raises:
        ValueError: It is none.
    """
    turn, slash, turns = text.partition("/")
    if not (slash and all(part.isascii() and part.isdecimal() and len(part) <= 5 for part in (turn, turns))):
        raise ValueError(f"{text[:20]!r} is no share; one of 30 is 7/30")
    share = Share(int(turn), int(turns))
    if not 1 <= share.turn <= share.turns <= MAX_TURNS:
        raise ValueError(f"{text[:20]!r} is no share; the first of 30 is 1/30, the last 30/30")
    return share
