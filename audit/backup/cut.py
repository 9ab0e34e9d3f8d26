"""Where the commit logs of a vault stand at one instant: what a backup copies of them, and up to which record.

Not handled here: copying (``audit.backup.copying``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.strand import Strand


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
    return [Cut(strand.name, *strand.log.cut()) for strand in strands]
