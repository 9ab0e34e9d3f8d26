"""Where the commit logs of a vault stand at one instant: what a backup copies of them, and up to which record.

Not handled here: copying (``audit.backup.copying``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.journal.log import CommitLog
    from audit.strand import Strand

#: Looks for an instant between two commits, and seconds between them: two seconds in all.
_LOOKS: Final = 10_000
_LOOK_SECONDS: Final = 0.000_2


class Cut(msgspec.Struct, frozen=True):
    """A stream at one instant: how many records it has, and of each commit segment its name and the bytes that count.

    What a segment has past them is zeros for the copy: it was written later.
    """

    stream: str
    records: int
    segments: list[tuple[str, int]]


def cut(strands: Sequence[Strand]) -> list[Cut]:
    """Cut all streams, oldest first. Only the last one moves.

    Raises:
        Unavailable: Records came so fast that no instant was seen.
    """
    return [_cut(strand.name, strand.log) for strand in strands]


def _cut(stream: str, log: CommitLog) -> Cut:
    for _ in range(_LOOKS):
        # A group is noted in its segment, then the segment's end moves, then the log's: where the first and the last of
        # these agree before and after the end was read, no group came between.
        end = log.durable_end
        segments, active = log.look()
        offset = active.end_offset if active is not None else 0
        last = segments[-1].end_seq if segments else end
        if end == last == log.durable_end and log.look() == (segments, active):
            counts = [offset if item is active else item.header.length for item in segments]
            return Cut(stream, end, [(item.path.name, count) for item, count in zip(segments, counts, strict=True)])
        time.sleep(_LOOK_SECONDS)
    raise Unavailable(f"{stream}: no moment between two commits was found; try again")
