"""Which files make up the view: each with its range, its day and its times, in one JSON file that is replaced whole.

    views/query/catalogue.json
    views/query/day=2026-11-27/0000000000131072-0000000000262143.parquet
    views/query/day=2026-11-27/0000000000131072-0000000000262143.keys

The second of the two has what the first one's rows name, by key: where a key's rows are is found there.

Files of a day become one when there are enough of them (:func:`to_merge`): a question costs half a millisecond of
processor time a file before it reads a row.

A directory a day is what Spark, Trino and DuckDB know as hive partitions: ``read_parquet('…/query/*/*.parquet')`` reads
it all; what the catalogue does not name is half written, or about to be removed. Days are of the records' wall clock,
so a clock that was set back leaves one more file in a day.

Not handled here: what is in the files (``audit.query.view``).
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from audit.query.columns import LAYOUT
from vault import durable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: Files that are written out before they become one: of a day that goes on; one that is over has fewer.
MERGED_FILES: Final = 8

_NAME: Final = "catalogue.json"
_FIRST: Final = attrgetter("first")


class File(msgspec.Struct, frozen=True):
    """One Parquet file: positions ``first`` to ``last`` that are of its day, and their times in ns since the epoch.

    ``thinned`` counts how often it was written anew because records were pruned.
    """

    day: str
    first: int
    last: int
    rows: int
    earliest: int
    latest: int
    thinned: int = 0

    @property
    def name(self) -> str:
        """Its path below the view's directory."""
        return f"{self._stem}.parquet"

    @property
    def keys(self) -> str:
        """Path of the file beside it that has its rows' keys."""
        return f"{self._stem}.keys"

    @property
    def paths(self) -> tuple[str, str]:
        """Both."""
        return self.name, self.keys

    @property
    def _stem(self) -> str:
        thinned = f".{self.thinned}" if self.thinned else ""
        return f"day={self.day}/{self.first:016d}-{self.last:016d}{thinned}"


class Catalogue(msgspec.Struct, frozen=True):
    """All files; positions below ``end`` are in them, and ``leaf`` is the leaf hash of the last of those (hex).

    It is empty where that one was pruned.
    """

    end: int = 0
    leaf: str = ""
    files: tuple[File, ...] = ()
    layout: int = LAYOUT

    def with_one(self, made: File, several: Sequence[File]) -> Catalogue:
        """The same with one file in the place of several of a day."""
        gone = set(several)
        left = tuple(file for file in self.files if file not in gone)
        return Catalogue(self.end, self.leaf, tuple(sorted((*left, made), key=_FIRST)), self.layout)


def merged(files: Sequence[File]) -> File:
    """What becomes of several files of a day, which are in order."""
    return File(
        day=files[0].day,
        first=files[0].first,
        last=files[-1].last,
        rows=sum(file.rows for file in files),
        earliest=min(file.earliest for file in files),
        latest=max(file.latest for file in files),
    )


def to_merge(files: Sequence[File], file_rows: int) -> Sequence[File]:
    """Files of one day, one after the other, that should be one; none where all are as they should be.

    Args:
        files: All files.
        file_rows: Rows of a file as it is written out.
    """
    most = 2 * MERGED_FILES * file_rows
    days: dict[str, list[File]] = {}
    for file in files:
        days.setdefault(file.day, []).append(file)
    for day, there in days.items():
        fewest = MERGED_FILES if day == files[-1].day else 2
        for run in _runs(there, most):
            if len(run) >= fewest:
                return run
    return ()


def _runs(files: Iterable[File], most: int) -> Iterator[list[File]]:
    """Neighbours that together have at most so many rows; what has a quarter of that stays as it is."""
    run: list[File] = []
    for file in files:
        large = file.rows > most // 4
        if large or sum(each.rows for each in run) + file.rows > most:
            yield run
            run = []
        if not large:
            run.append(file)
    yield run


def load(directory: Path) -> Catalogue:
    """Read the catalogue; an empty one where it is missing, damaged, of another layout, or where a file is missing."""
    try:
        found = msgspec.json.decode((directory / _NAME).read_bytes(), type=Catalogue)
    except (OSError, msgspec.DecodeError):
        return Catalogue()
    names = (name for file in found.files for name in file.paths)
    whole = found.layout == LAYOUT and all((directory / name).is_file() for name in names)
    return found if whole else Catalogue()


def save(directory: Path, catalogue: Catalogue) -> None:
    """Write the catalogue, after its files are durable. Durable on return; a crash leaves the old one or the new.

    Raises:
        DurabilityError: It could not be written.
    """
    durable.replace(directory / _NAME, msgspec.json.encode(catalogue))


def sweep(directory: Path, catalogue: Catalogue) -> None:
    """Remove what no catalogue names: left by a crash, or of a view that is built again."""
    named = {directory / name for file in catalogue.files for name in file.paths}
    for path in directory.glob("day=*/*"):
        if path not in named:
            path.unlink()
    durable.sweep_temps(directory)
