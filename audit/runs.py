"""Runs of records on their way to a follower: where each stands in some bytes, and the bytes.

A run of the commit log is what one read of its file gave, records with what stands between them. Nothing is done for
each record where it is read and sent, which the server's interpreter would have to do while others wait for it; who
follows takes it apart.

Pure. Not handled here: reading (``audit.feed``), and whether each record follows the one before (``audit.chain``).
"""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import ControlFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Four bytes, unsigned, in this machine's order: both ends are on one.
_NUMBER: Final = "I"
_BYTES: Final = array(_NUMBER).itemsize


class Run(NamedTuple):
    """Records that follow one another.

    Attributes:
        offsets: Where each begins in ``data``.
        lengths: Its length; 0 where it was pruned.
        data: See the module.
    """

    offsets: array[int]
    lengths: array[int]
    data: bytes

    @classmethod
    def of(cls, records: Sequence[bytes]) -> Run:
        """Records one after the other, nothing between them."""
        lengths = array(_NUMBER, map(len, records))
        offsets = array(_NUMBER, accumulate(lengths[:-1], initial=0)) if records else array(_NUMBER)
        return cls(offsets, lengths, b"".join(records))

    def records(self) -> list[bytes]:
        """The exact bytes of each."""
        data = self.data
        places = zip(self.offsets, self.lengths, strict=True)
        return [data[offset : offset + length] for offset, length in places]

    def encode(self) -> bytes:
        """As bytes: offsets, lengths, data."""
        return b"".join((self.offsets, self.lengths, self.data))

    @classmethod
    def decode(cls, payload: bytes, count: int) -> Run:
        """Read what :meth:`encode` wrote.

        Raises:
            ControlFailed: It is not a run of so many records.
        """
        offsets, lengths, size = array(_NUMBER), array(_NUMBER), count * _BYTES
        if len(payload) < 2 * size:
            raise ControlFailed(f"the server sent {len(payload)} bytes, which are not {count} records")
        offsets.frombytes(payload[:size])
        lengths.frombytes(payload[size : 2 * size])
        run = cls(offsets, lengths, payload[2 * size :])
        if count and max(map(int.__add__, offsets, lengths)) > len(run.data):
            raise ControlFailed(f"the server sent fewer bytes than its {count} records have")
        return run


NOTHING: Final = Run(array(_NUMBER), array(_NUMBER), b"")
