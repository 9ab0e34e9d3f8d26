"""The view's Parquet files: written, made into one, written again without what was pruned. Durable on return.

Nothing here changes a file, or says which count: that is the catalogue's (``audit.query.catalogue``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.query import columns
from audit.query.catalogue import merged
from audit.query.engine import quoted
from vault import durable
from vault.storage.room import require_room

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.query.catalogue import File
    from audit.query.engine import Engine

#: Rows that are collected in memory before they are written out; also a row group's length.
FILE_ROWS: Final = 131_072
#: The same where they are in the order of their keys: one key is in one row group, or two.
_KEYS_ROWS: Final = 16_384
_PARQUET: Final = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE"


def write(engine: Engine, rows: str, directory: Path, file: File, parameters: Sequence[object] = ()) -> None:
    """Write the rows of a query to a new file, and their keys to the one beside it.

    Args:
        engine: Open.
        rows: The query.
        directory: The view's; that of the file's day is made in it, whose name is the caller's to sync.
        file: What is written.
        parameters: Of the query.

    Raises:
        duckdb.Error: It cannot be read, or written.
        DurabilityError: A sync failed.
    """
    path, keys = (directory / name for name in file.paths)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    engine.copy(f"COPY ({rows}) TO '{quoted(path)}' ({_PARQUET} {FILE_ROWS})", parameters)
    engine.copy(f"COPY ({columns.by_key(quoted(path))}) TO '{quoted(keys)}' ({_PARQUET} {_KEYS_ROWS})", ())
    for each in (path, keys):
        with each.open("rb") as written:
            durable.fsync_file(written.fileno())
    durable.fsync_dir(path.parent)


def remove(directory: Path, file: File) -> None:
    """Remove a file that no catalogue names any more, and its keys."""
    for name in file.paths:
        (directory / name).unlink()


def merge(engine: Engine, directory: Path, files: Sequence[File]) -> File:
    """Write several files of one day, which are in order, as one.

    Raises:
        duckdb.Error: One cannot be read, or it cannot be written.
        Unavailable: There is no room.
        DurabilityError: A sync failed.
    """
    require_room(directory, sum((directory / file.name).stat().st_size for file in files))
    made = merged(files)
    sources = [str(directory / file.name) for file in files]
    rows = "SELECT * FROM read_parquet(?, hive_partitioning = false)"  # in the order of the files
    write(engine, rows, directory, made, [sources])
    return made


def thin(engine: Engine, directory: Path, file: File) -> File | None:
    """Write a file again without the rows that are in the table ``gone``.

    Returns:
        What stands for it now: itself, where it has none of them; None, where it has nothing else.

    Raises:
        duckdb.Error: It cannot be read, or written.
        DurabilityError: A sync failed.
    """
    path = quoted(directory / file.name)
    ((_, _, gone, _, _),) = engine.execute(columns.counted(path, gone=True))
    if not gone:
        return file
    if gone == file.rows:
        return None
    made = replace(file, thinned=file.thinned + 1, rows=file.rows - gone)
    write(engine, columns.left(path), directory, made)
    return made
