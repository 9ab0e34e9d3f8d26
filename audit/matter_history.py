"""Matters as the ledger tells them: which were open at any position, from the records and nothing else.

The eraser asks here, because a matter may have been opened long before the body that it holds was made, and because the
index, which the committer asks, is a view and may be wrong. The records are read from the first one on, once in the
life of a process (some 100,000 a second); after that only what is new.

Pure but for the reading. Not handled here: which versions a matter holds (``vault.matters``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import LedgerCorrupt
from vault.record import SUCCESS, decode
from vault.state.matters import from_ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vault.matters import OpenMatter

_MATTER: Final = b'"op":"matter.'


class _Span(NamedTuple):
    """A matter, the positions of the records that opened and closed it; it is open for all in between."""

    matter: OpenMatter
    opened: int
    closed: int | None = None


class MatterHistory:
    """Follows the ledger. Not thread-safe.

    Args:
        read: Gives the records ``first <= position < end`` in order.
    """

    def __init__(self, read: Callable[[int, int], Iterable[tuple[int, bytes]]]) -> None:
        self._read = read
        self._end = 0
        self._spans: dict[str, _Span] = {}

    def open_at(self, position: int) -> list[OpenMatter]:
        """The matters that were open when the record at a position was decided, the one opened first in front.

        Reads on in the ledger where it was not read so far. Whatever ends that early loses nothing of what was read.

        Raises:
            LedgerCorrupt: A record that tells of a matter cannot be read.
        """
        if self._end < position:
            for at, record in self._read(self._end, position):
                if _MATTER in record:
                    self._take(at, record)
                self._end = at + 1
        return [
            span.matter
            for span in self._spans.values()
            if span.opened < position and (span.closed is None or position < span.closed)
        ]

    def _take(self, position: int, record: bytes) -> None:
        try:
            head, tail = decode(record)
            ref = tail.matter
            if head.outcome != SUCCESS or ref is None:
                return
            if tail.op == "matter.open":
                self._spans[ref.id] = _Span(from_ref(ref), position)
            elif tail.op == "matter.close":
                self._spans[ref.id] = self._spans[ref.id]._replace(closed=position)
        except (ValueError, KeyError) as error:
            raise LedgerCorrupt(f"record {position}", f"what it says of a matter cannot be: {error}") from error
