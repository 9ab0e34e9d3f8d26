"""Rows in memory that are newer than the index file's.

Not handled here: which layer counts before which (``vault.storage.index``).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from sortedcontainers import SortedList

from vault.state.rows import decode_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vault.state.rows import Row


def decoded(key: bytes, row: Row | bytes | None) -> Row | None:
    """A row of an overlay, whose key is ``key``."""
    return row if not isinstance(row, bytes) else _decoded(key[:1], row)


@lru_cache(maxsize=1024)  # one decision looks at a row some five times; rows are never changed
def _decoded(kind: bytes, data: bytes) -> Row:
    return decode_row(kind, data)


class Overlay(dict[bytes, "Row | bytes | None"]):
    """A dictionary of rows, None where a row was removed; no key is ever taken out again.

    Rows that many PUTs make at once come encoded, as the file will have them: most are not looked at before.

    Keys are put in order only when somebody scans: most never are, and each would cost more than its row.

    Thread-safety: ``get`` from any thread at any time; everything else by one thread at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ordered: SortedList[bytes] = SortedList()

    def take(self, keys: Sequence[bytes], found: dict[bytes, Row | None]) -> Sequence[bytes]:
        """Look several keys up.

        Args:
            keys: Those that are looked for.
            found: Takes what is known of them.

        Returns:
            Those of which nothing is known.
        """
        if self.keys().isdisjoint(keys):
            return keys
        found.update((key, decoded(key, self[key])) for key in keys if key in self)
        return [key for key in keys if key not in self]

    def between(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Keys with ``start <= key < end``, in order; ends at the next change."""
        fresh = len(self) - len(self._ordered)  # a dictionary keeps new keys at its end
        if fresh:
            self._ordered.update(islice(reversed(self), fresh))
        return self._ordered.irange(start, end, inclusive=(True, False))
