"""The view: every record a row, in Parquet files by day and, for what is newer, in a table in memory.

    feed ─▶ table in memory ─▶ (at 131,072 rows) Parquet files by day, synced ─▶ catalogue, durable
                                               eight of a day, or all of an earlier one ─▶ one file ─▶ catalogue

The files end where the catalogue says; at a start what follows is read from the feed again. A query sees one *parts*
value: files, tables, and the position where they end. Parts are replaced whole, so it never sees a row twice or misses
one that moved from memory to a file meanwhile. A table that was written out is dropped one generation later, and files
that became one are removed at once: a query that finds a part gone looks again.

Whatever is wrong with the view (a file damaged, another layout, a ledger that has another past) makes it be built again
from the feed; it never stops the writer.

Not handled here: filters (``audit.query.filter``), and handing out records (``audit.query.records``).
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from audit.query import catalogue, columns
from audit.query.catalogue import Catalogue, File
from audit.query.engine import Engine, TableGone, ViewFailed, quoted, reported
from audit.strand import holding
from vault import durable
from vault.merkle import leaf_hash
from vault.storage.room import require_room

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.query.filter import Condition
    from audit.strand import History, Strand

#: Rows that are collected in memory before they are written out; also a row group's length.
FILE_ROWS: Final = 131_072
#: Records, and bytes of them, that are taken from the feed at once.
BATCH_RECORDS: Final = 16_384
BATCH_BYTES: Final = 32 << 20
#: Room on disk that writing rows out needs: files of one generation, uncompressed, are smaller.
ROOM_BYTES: Final = 64 << 20

#: Values of a column in a row group up to which it has a dictionary, and with it a Bloom filter: by that a key is found
#: without reading the keys of every row group. Hashes and times, each of them another, have none to pay for.
_DICTIONARY_VALUES: Final = FILE_ROWS * 3 // 4
_DICTIONARY_BYTES: Final = 16 << 20
_PARQUET: Final = (
    f"(FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE {FILE_ROWS},"
    f" DICTIONARY_SIZE_LIMIT {_DICTIONARY_VALUES}, STRING_DICTIONARY_PAGE_SIZE_LIMIT {_DICTIONARY_BYTES})"
)

_NOTHING: Final = Catalogue()
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a query reads: rows below ``catalogue.end`` are in files, from there up to ``end`` in tables."""

    catalogue: Catalogue = _NOTHING
    tables: tuple[str, ...] = ()
    end: int = 0


class View:
    """See the module. Thread-safe; opened by its first step.

    Args:
        directory: ``views/query``; must exist.
        strands: The vault's streams, oldest first.
        history: Their records.
        file_rows: See :data:`FILE_ROWS`.
    """

    def __init__(
        self, directory: Path, strands: Sequence[Strand], history: History, file_rows: int = FILE_ROWS
    ) -> None:
        self._directory = directory
        self._strands = strands
        self._history = history
        self._file_rows = file_rows
        self._stepping = Lock()
        self._generation = 0
        self._left: str = ""
        self._merging = Lock()
        self._broken = ""
        self._engine: Engine | None = None
        self._parts = _Parts()

    @property
    def end(self) -> int:
        """Position up to which records are in the view; 0 before the first step."""
        return self._parts.end

    @property
    def unread(self) -> int | None:
        """Durable records that are not in the view; None before the first step, when nobody has looked yet."""
        return max(self._strands[-1].end - self._parts.end, 0) if self._engine is not None else None

    def step(self) -> bool:
        """Take the next records from the feed, if there are any.

        Returns:
            Whether there may be more.

        Raises:
            ViewFailed: It could not be done; the next step tries again.
            Unavailable: There is no room on disk.
            LedgerCorrupt: The feed has a damaged record.
        """
        with self._stepping, reported():
            engine = self._engine
            if engine is None:
                engine = Engine(self._directory / "spill")
                self._parts = self._begin(engine, catalogue.load(self._directory))
                self._engine = engine
            if self._broken and self._merging.acquire(blocking=False):  # else at a later step: both write files
                try:
                    _log.warning("the view of records is built again: %s", self._broken)
                    self._parts, self._broken = self._begin(engine, Catalogue()), ""
                finally:
                    self._merging.release()
            there = self._strands[-1].end
            self._take(engine)
            if self._parts.end - self._parts.catalogue.end >= self._file_rows:
                self._write_out(engine)
            return self._parts.end < there  # what comes meanwhile is for the next turn: small steps cost the most

    def merge(self) -> bool:
        """Make one file of several of a day, if there are enough. For the background: nobody waits for it.

        A crash before the catalogue is durable leaves a file that is swept, and one after it those that became one.

        Returns:
            Whether it did, and there may be more.

        Raises:
            ViewFailed: It could not be done; the next call tries again.
            Unavailable: There is no room on disk.
        """
        with self._merging, reported():
            engine, there = self._engine, self._parts.catalogue.files
            if engine is None or not (files := catalogue.to_merge(there, self._file_rows)):
                return False
            require_room(self._directory, sum((self._directory / file.name).stat().st_size for file in files))
            path = self._directory / catalogue.merged(files).name
            sources = [str(self._directory / file.name) for file in files]
            rows = "SELECT * FROM read_parquet(?, hive_partitioning = false)"  # in the order of the files
            engine.copy(f"COPY ({rows}) TO '{quoted(path)}' {_PARQUET}", [sources])
            self._make_durable(path)
            with self._stepping:
                parts = self._parts
                renewed = parts.catalogue.merged(files)
                catalogue.save(self._directory, renewed)
                self._parts = _Parts(renewed, parts.tables, parts.end)
                for file in files:
                    (self._directory / file.name).unlink()
        return True

    def catch_up(self, position: int, seconds: float) -> bool:
        """Have records up to ``position`` (exclusive) in the view, for at most some seconds. Whether they are.

        Raises:
            ViewFailed: As :meth:`step`.
        """
        deadline = time.monotonic() + seconds
        while self.end < position and time.monotonic() < deadline:
            self.step()
        return self.end >= position

    def select(self, what: str, condition: Condition, rest: str = "") -> list[tuple[Any, ...]]:
        """Run one query. Something must have been stepped or caught up with before.

        Args:
            what: Expressions to select.
            condition: Of the rows; files of other times are not opened.
            rest: ``ORDER BY`` and the like.

        Returns:
            Rows.

        Raises:
            QueryTooLong: It took too long.
            ViewFailed: The view cannot be read. It is built again; ask again.
        """
        if self._engine is None:
            raise ViewFailed("the view of records is not open yet: ask again")
        while True:
            parts = self._parts
            sql, parameters = self._statement(parts, what, condition, rest)
            try:
                return self._engine.query(sql, parameters)
            except ViewFailed as error:
                if parts is self._parts:
                    if not isinstance(error, TableGone):
                        self._broken = self._broken or str(error)
                    raise
                # a table or a file is gone, whose rows are in a file by now: look again

    def _statement(self, parts: _Parts, what: str, condition: Condition, rest: str) -> tuple[str, list[object]]:
        earliest, latest = condition.times
        files = [
            str(self._directory / file.name)
            for file in parts.catalogue.files
            if file.earliest <= latest and earliest <= file.latest
        ]
        sources = [f"SELECT {columns.NAMES} FROM {table}" for table in parts.tables]  # noqa: S608 - names of ours
        if files:
            sources.append(f"SELECT {columns.NAMES} FROM read_parquet(?, hive_partitioning = false)")  # noqa: S608
        rows = " UNION ALL ".join(sources)
        sql = f"SELECT {what} FROM ({rows}) WHERE {condition.sql} {rest}"  # noqa: S608 - what is theirs is a parameter
        return sql, [*([files] if files else []), *condition.parameters]

    def close(self) -> None:
        """Let go of it, after what is under way."""
        with self._merging, self._stepping:
            if self._engine is not None:
                self._engine.close()

    def _begin(self, engine: Engine, found: Catalogue) -> _Parts:
        """Start from a catalogue's files, if the ledger has the past that they tell of; else from nothing."""
        if found.end and not self._happened(found):
            _log.warning("the view of records tells of another past than the ledger: it is built again")
            found = Catalogue()
        catalogue.save(self._directory, found)
        catalogue.sweep(self._directory, found)
        return _Parts(found, (self._new_table(engine),), found.end)

    def _happened(self, found: Catalogue) -> bool:
        if found.end > self._strands[-1].end:
            return False
        return leaf_hash(self._history.record(found.end - 1)).hex() == found.leaf

    def _new_table(self, engine: Engine) -> str:
        self._generation += 1
        name = f"rows_{self._generation}"
        engine.execute(columns.create(name))
        return name

    def _take(self, engine: Engine) -> None:
        parts = self._parts
        strand = holding(self._strands, parts.end)
        if parts.end >= strand.end:
            return
        fd = os.memfd_create("records")
        try:
            count, last = self._spool(fd, parts.end, min(strand.end, parts.end + BATCH_RECORDS))
            file = f"/proc/self/fd/{fd}"
            engine.execute(
                columns.insert(parts.tables[-1]), {"file": file, "base": strand.base, "last": leaf_hash(last)}
            )
        finally:
            os.close(fd)
        self._parts = _Parts(parts.catalogue, parts.tables, parts.end + count)

    def _spool(self, fd: int, first: int, end: int) -> tuple[int, bytes]:
        """Write records as lines to a file in memory; how many, and the last."""
        lines, size = [], 0
        for _, record in self._history.read(first, end):
            lines.append(record)
            size += len(record)
            if size >= BATCH_BYTES:
                break
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(b"\n".join(lines))
        return len(lines), lines[-1]

    def _write_out(self, engine: Engine) -> None:
        """Move the rows in memory to files. A crash before the catalogue is durable leaves files that are swept."""
        parts = self._parts
        table = parts.tables[-1]
        require_room(self._directory, ROOM_BYTES)
        files = tuple(File(*row) for row in engine.execute(columns.days(table)))
        for file in files:
            path = self._directory / file.name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            engine.execute(f"COPY ({columns.of_day(table, file.day)}) TO '{quoted(path)}' {_PARQUET}")
            self._make_durable(path)
        durable.fsync_dir(self._directory)  # the names of the days
        leaf = leaf_hash(self._history.record(parts.end - 1)).hex()
        written_out = Catalogue(parts.end, leaf, parts.catalogue.files + files)
        catalogue.save(self._directory, written_out)
        self._parts = _Parts(written_out, (self._new_table(engine),), parts.end)
        if self._left:
            engine.execute(f"DROP TABLE {self._left}")
        self._left = table

    def _make_durable(self, path: Path) -> None:
        with path.open("rb") as written:
            durable.fsync_file(written.fileno())
        durable.fsync_dir(path.parent)
