"""Which blobs the index names, for the sweep of a start: eight bytes each, where a set of ten million takes a gigabyte.

Not handled here: what becomes of a blob that is not named (``vault.storage.blobs``).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from vault.state.rows import GarbageRow, PartRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vault.storage.index import Index

#: Sorting one of them takes memory for its own names only.
_BUCKETS: Final = 256


class BlobNames:
    """Names by their hashes: of 10¹² orphans one meets one of ten million names, and stays where it is.

    Args:
        names: May repeat.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]
        for name in names:
            number = hash(name)
            self._buckets[number % _BUCKETS].append(number)
        for place, bucket in enumerate(self._buckets):
            self._buckets[place] = array("q", sorted(bucket))

    def __contains__(self, name: str) -> bool:
        """Whether a name was given."""
        number = hash(name)
        bucket = self._buckets[number % _BUCKETS]
        place = bisect_left(bucket, number)
        return place < len(bucket) and bucket[place] == number


def named_blobs(index: Index) -> Iterator[str]:
    """Every blob that a durable record names and the eraser has not removed."""
    for kind in (b"v", b"p", b"e"):
        for _, row in index.scan(kind, bytes((kind[0] + 1,))):
            if isinstance(row, VersionRow | PartRow | GarbageRow) and row.storage is not None and row.storage.blob:
                yield row.storage.blob
