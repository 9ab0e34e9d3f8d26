"""Leases: while somebody reads a body, nobody recycles or erases it (DESIGN §1, "decide at commit").

The committer takes a lease when it resolves a read, before the reader knows where the bytes lie; the reader gives it
back when it is done. Settling and erasing look here before they destroy anything.

Every operation is one dictionary operation, which the interpreter does as a whole: no lock, well under a microsecond.
There are as many leases as reads under way, so the questions may look at all of them.

Not handled here: where the bytes are.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Leases:
    """Leases on bodies, by the seq of the record that made them. Thread-safe; nothing here blocks."""

    def __init__(self) -> None:
        self._numbers = count()
        self._held: dict[int, int] = {}

    def take(self, seq: int) -> Callable[[], None]:
        """Hold the body of record ``seq``.

        Returns:
            Gives the lease back; harmless to call again, from any thread.
        """
        number = next(self._numbers)
        self._held[number] = seq

        def release() -> None:
            self._held.pop(number, None)

        return release

    def held(self, seq: int) -> bool:
        """Whether anybody holds the body of record ``seq``."""
        return seq in list(self._held.values())

    def mark(self) -> int:
        """A point in the order of leases, for :meth:`any_in`."""
        return next(self._numbers)

    def any_in(self, first: int, end: int, before: int | None = None) -> bool:
        """Whether anybody holds a body with ``first <= seq < end``.

        Args:
            first: Lowest seq.
            end: One more than the highest.
            before: Look only at leases taken before this mark. Whoever took one later no longer finds what was hidden
                before the mark.
        """
        leases = list(self._held.items())
        return any(first <= seq < end and (before is None or number < before) for number, seq in leases)
