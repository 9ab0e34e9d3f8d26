"""Rows in memory that are newer than the index file's.

Not handled here: which layer counts before which (``vault.storage.index``).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vault.state.rows import Row


class Overlay(dict[bytes, "Row | None"]):
    """A dictionary of rows, None where a row was removed; no key is ever taken out again.

    Keys are put in order only when somebody scans: most never are, and each would cost more than its row.

    Thread-safety: ``get`` from any thread at any time; everything else by one thread at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ordered: SortedList[bytes] = SortedList()

    def between(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Keys with ``start <= key < end``, in order; ends at the next change."""
        fresh = len(self) - len(self._ordered)  # a dictionary keeps new keys at its end
        if fresh:
            self._ordered.update(islice(reversed(self), fresh))
        return self._ordered.irange(start, end, inclusive=(True, False))
