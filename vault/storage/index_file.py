"""An index's file as of one moment, read by another process than the one that has it open; and how two of them differ.

LMDB lets one process open a file once, and keeps a reader's pages for as long as he reads: this is for short looks from
a process of its own, whose end a damaged file may be.

Not handled here: what memory holds beyond the file (``vault.storage.index``), and what rows mean.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Self

import lmdb
import msgspec

from vault.errors import CorruptError
from vault.state.rows import MetaRow, decode_row
from vault.storage.index import APPLIED, MAP_BYTES
from vault.storage.long_keys import logical

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What a row is called, by the first byte of its key (``vault.state.rows``).
_KINDS: Final = {
    "b": "buckets", "k": "keys", "v": "versions", "u": "uploads", "p": "parts", "a": "access keys", "i": "principals",
    "t": "tokens", "n": "sources of events", "h": "matters", "o": "open matters",
    "d": "verifications", "r": "streams in Kafka", "s": "backups", "e": "bytes to be erased",
    "c": "standing of the vault's keys",
}  # fmt: skip


class IndexFile:
    """A snapshot of an index's file; use it as a context manager, for a short time.

    Args:
        path: Directory of the LMDB environment, which this process has not open.

    Raises:
        CorruptError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._env = lmdb.open(str(path), MAP_BYTES, readonly=True, create=False, readahead=False)
            self._env.reader_check()  # a reader that was killed would keep the file growing
            self._txn = self._env.begin()
        except lmdb.Error as error:
            raise self._damaged(error) from error

    @property
    def applied(self) -> int:
        """Number of records whose effects are in the file.

        Raises:
            CorruptError: It does not say.
        """
        try:
            found = self._txn.get(APPLIED)
            row = decode_row(APPLIED, found) if found is not None else MetaRow(0)
        except (lmdb.Error, ValueError) as error:
            raise self._damaged(error) from error
        return row.value if isinstance(row, MetaRow) else 0

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Rows as they stand in the file, by the keys they stand under, in order; without :data:`APPLIED`.

        Raises:
            CorruptError: The file is damaged.
        """
        try:
            with self._txn.cursor() as cursor:
                for key, value in cursor:
                    if key != APPLIED:
                        yield bytes(key), bytes(value)
        except lmdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> CorruptError:
        return CorruptError(f"{self._path}: the index cannot be read: {error}")

    def __enter__(self) -> Self:
        """Keep the moment until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self._txn.abort()
        self._env.close()


class Difference(msgspec.Struct, frozen=True):
    """How an index differs from one made anew: counts by what the rows are. ``rows`` is how many were compared."""

    rows: int
    missing: dict[str, int]
    excess: dict[str, int]
    other: dict[str, int]

    def __bool__(self) -> bool:
        return bool(self.missing or self.excess or self.other)

    def __str__(self) -> str:
        said = (("missing", self.missing), ("that should not be there", self.excess), ("other than", self.other))
        return "; ".join(
            f"{what}: " + ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()))
            for what, found in said
            if found
        )


def difference(index: IndexFile, anew: IndexFile) -> Difference:
    """Compare an index with one that was made anew up to the same record. Takes one row of each into memory.

    Raises:
        CorruptError: One of them cannot be read.
    """
    missing: Counter[str] = Counter()
    excess: Counter[str] = Counter()
    other: Counter[str] = Counter()
    rows, here, there = 0, index.rows(), anew.rows()
    found, owed = next(here, None), next(there, None)
    while found is not None or owed is not None:
        rows += 1
        if owed is None or (found is not None and found[0] < owed[0]):
            assert found is not None  # noqa: S101 - for the type checker: not both are None
            excess[_kind(found[0])] += 1
            found = next(here, None)
        elif found is None or owed[0] < found[0]:
            missing[_kind(owed[0])] += 1
            owed = next(there, None)
        else:
            if not _equal(found, owed):
                other[_kind(found[0])] += 1
            found, owed = next(here, None), next(there, None)
    return Difference(rows, dict(missing), dict(excess), dict(other))


def _kind(key: bytes) -> str:
    return _KINDS.get(chr(key[0]), "unknown")


def _equal(found: tuple[bytes, bytes], owed: tuple[bytes, bytes]) -> bool:
    """Whether two rows say the same; one that an older version wrote may lack fields at its end."""
    if found == owed:
        return True
    try:
        (key, data), (same, other) = logical(*found), logical(*owed)
        return key == same and decode_row(key, data) == decode_row(same, other)
    except ValueError:
        return False
