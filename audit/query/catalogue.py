"""Which files make up the view: each with its range, its day and its times, in one JSON file that is replaced whole.

    views/query/catalogue.json
    views/query/day=2026-11-27/0000000000131072-0000000000262143.parquet

A directory a day is what Spark, Trino and DuckDB know as hive partitions: ``read_parquet('…/query/*/*.parquet')`` reads
it all. Days are of the records' wall clock, so a clock that was set back leaves one more file in a day.

Not handled here: what is in the files (``audit.query.view``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit.query.columns import LAYOUT
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

_NAME: Final = "catalogue.json"


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
        thinned = f".{self.thinned}" if self.thinned else ""
        return f"day={self.day}/{self.first:016d}-{self.last:016d}{thinned}.parquet"


class Catalogue(msgspec.Struct, frozen=True):
    """All files; positions below ``end`` are in them, and ``leaf`` is the leaf hash of the last of those (hex).

    It is empty where that one was pruned.
    """

    end: int = 0
    leaf: str = ""
    files: tuple[File, ...] = ()
    layout: int = LAYOUT


def load(directory: Path) -> Catalogue:
    """Read the catalogue; an empty one where it is missing, damaged, of another layout, or where a file is missing."""
    try:
        found = msgspec.json.decode((directory / _NAME).read_bytes(), type=Catalogue)
    except (OSError, msgspec.DecodeError):
        return Catalogue()
    whole = found.layout == LAYOUT and all((directory / file.name).is_file() for file in found.files)
    return found if whole else Catalogue()


def save(directory: Path, catalogue: Catalogue) -> None:
    """Write the catalogue, after its files are durable. Durable on return; a crash leaves the old one or the new.

    Raises:
        DurabilityError: It could not be written.
    """
    durable.replace(directory / _NAME, msgspec.json.encode(catalogue))


def sweep(directory: Path, catalogue: Catalogue) -> None:
    """Remove what no catalogue names: left by a crash, or of a view that is built again."""
    named = {directory / file.name for file in catalogue.files}
    for path in directory.glob("day=*/*"):
        if path not in named:
            path.unlink()
    durable.sweep_temps(directory)
