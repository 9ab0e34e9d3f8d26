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
import math
import os
import time
from binascii import hexlify
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from audit.errors import RecordPruned
from audit.query import catalogue, columns, files, statement
from audit.query.catalogue import Catalogue, File
from audit.query.engine import Engine, TableGone, ViewFailed, reported
from audit.query.files import FILE_ROWS
from audit.query.statement import Sources
from audit.strand import holding
from vault import durable
from vault.merkle import HASH_BYTES, leaf_hash
from vault.storage.room import require_room

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.query.filter import Condition
    from audit.strand import History, Strand

#: Records, and bytes of them, that are taken from the feed at once.
BATCH_RECORDS: Final = 16_384
BATCH_BYTES: Final = 32 << 20
#: Room on disk that writing rows out needs: files of one generation, uncompressed, are smaller.
ROOM_BYTES: Final = 64 << 20

#: Between two looks whether the merge is over that keeps the view from being built again, in seconds.
_MERGING_SECONDS: Final = 0.01
#: What stands before the leaf hash of the record before, in every record.
_PREV: Final = b'"prev":"'
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
        history: Their records; an attribute too, for whoever reads what the view names.
        file_rows: See :data:`FILE_ROWS`.
    """

    def __init__(
        self, directory: Path, strands: Sequence[Strand], history: History, file_rows: int = FILE_ROWS
    ) -> None:
        self._directory = directory
        self._strands = strands
        self.history = history
        self._file_rows = file_rows
        self._stepping = Lock()
        self._generation = 0
        self._left: str = ""
        self._merging = Lock()
        self._broken = ""
        self._engine: Engine | None = None
        self._parts = _Parts()
        self._asked_at = -math.inf

    @property
    def end(self) -> int:
        """Position up to which records are in the view; 0 before the first step."""
        return self._parts.end

    @property
    def unread(self) -> int | None:
        """Durable records that are not in the view; None before the first step, when nobody has looked yet."""
        return max(self._strands[-1].end - self._parts.end, 0) if self._engine is not None else None

    def asked_within(self, seconds: float) -> bool:
        """Whether somebody waited for records in it during the last so many seconds."""
        return time.monotonic() - self._asked_at < seconds

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
            engine = self._opened()
            if self._broken and self._merging.acquire(blocking=False):  # else at a later step: both write files
                try:
                    _log.warning("the view of records is built again: %s", self._broken)
                    old = (*self._parts.tables, *filter(None, [self._left]))
                    self._parts, self._broken, self._left = self._begin(engine, Catalogue()), "", ""
                    for table in old:
                        engine.execute(f"DROP TABLE {table}")
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
            if engine is None or not (several := catalogue.to_merge(there, self._file_rows)):
                return False
            made = files.merge(engine, self._directory, several)
            with self._stepping:
                self._replace_files(self._parts.catalogue.with_one(made, several))
        return True

    def catch_up(self, position: int, seconds: float) -> bool:
        """Have records up to ``position`` (exclusive) in the view, for at most some seconds. Whether they are.

        Raises:
            ViewFailed: As :meth:`step`.
        """
        self._asked_at = time.monotonic()
        deadline = self._asked_at + seconds
        while (self.end < position or self._broken) and time.monotonic() < deadline:
            self.step()
            if self._broken:
                time.sleep(_MERGING_SECONDS)
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
        engine = self._engine
        if engine is None:
            raise ViewFailed("the view of records is not open yet: ask again")
        while True:
            parts = self._parts
            try:
                sources = Sources(parts.tables, self._directory, parts.catalogue.files)
                return engine.query(*statement.select(engine, sources, what, condition, rest))
            except ViewFailed as error:
                if parts is self._parts:
                    if not isinstance(error, TableGone):
                        self.distrust(str(error))
                    raise
                # a table or a file is gone, whose rows are in a file by now: look again

    def distrust(self, why: str) -> None:
        """Have it built again by the next step."""
        self._broken = self._broken or why

    def forget(self, first: int, end: int, gone: Sequence[int]) -> None:
        """Take records that were pruned out of the view. Durable on return; told twice it changes nothing.

        Args:
            first: Position before which none of them is.
            end: Position from which on none of them is.
            gone: Their positions.

        Raises:
            ViewFailed: It could not be done. They may still be found, and then cannot be shown.
        """
        with self._merging, self._stepping, reported():
            engine, parts = self._opened(), self._parts
            engine.execute("CREATE OR REPLACE TABLE gone AS SELECT unnest($gone)::BIGINT AS position", {"gone": gone})
            there = parts.catalogue.files
            new = [
                files.thin(engine, self._directory, file) if first <= file.last and file.first < end else file
                for file in there
            ]
            for table in parts.tables:
                engine.execute(columns.forgetting(table))
            engine.execute("DROP TABLE gone")
            left = tuple(file for file in new if file is not None)
            if left != there:
                self._replace_files(Catalogue(parts.catalogue.end, parts.catalogue.leaf, left))

    def _replace_files(self, renewed: Catalogue) -> None:
        """Have other files hold the same rows, or those that are left; the old ones go at once."""
        parts = self._parts
        catalogue.save(self._directory, renewed)
        self._parts = _Parts(renewed, parts.tables, parts.end)
        for file in set(parts.catalogue.files) - set(renewed.files):
            files.remove(self._directory, file)

    def close(self) -> None:
        """Let go of it, after what is under way."""
        with self._merging, self._stepping:
            if self._engine is not None:
                self._engine.close()

    def _opened(self) -> Engine:
        if self._engine is None:
            engine = Engine(self._directory / "spill")
            self._parts = self._begin(engine, catalogue.load(self._directory))
            self._engine = engine
        return self._engine

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
        return self._leaf(found.end - 1) in {"", found.leaf}

    def _leaf(self, position: int) -> str:
        """Leaf hash of a record (hex); empty where it was pruned."""
        try:
            return leaf_hash(self.history.record(position)).hex()
        except RecordPruned:
            return ""

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
            count = self._spool(fd, parts.end, min(strand.end, parts.end + BATCH_RECORDS))
            engine.execute(columns.insert(parts.tables[-1]), {"file": f"/proc/self/fd/{fd}", "base": strand.base})
        finally:
            os.close(fd)
        self._parts = _Parts(parts.catalogue, parts.tables, parts.end + count)

    def _spool(self, fd: int, first: int, end: int) -> int:
        """Write records as lines to a file in memory; how many were taken, pruned ones too, which make no line.

        Each leaf is what the next record says, as checked; before one that was pruned, what it comes to.
        """
        lines, size, before, taken = [], 0, b"", 0
        for _, record in self.history.read(first, end):
            if before:
                start = record.find(_PREV) + len(_PREV)
                leaf = record[start : start + 2 * HASH_BYTES] if record else hexlify(leaf_hash(before))
                lines.append(columns.line(before, leaf))
            before = record
            taken += 1
            size += len(record)
            if size >= BATCH_BYTES:
                break
        if before:
            lines.append(columns.line(before, hexlify(leaf_hash(before))))
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(b"\n".join(lines))
        return taken

    def _write_out(self, engine: Engine) -> None:
        """Move the rows in memory to files. A crash before the catalogue is durable leaves files that are swept."""
        parts = self._parts
        table = parts.tables[-1]
        require_room(self._directory, ROOM_BYTES)
        made = tuple(File(*row) for row in engine.execute(columns.days(table)))
        for file in made:
            files.write(engine, columns.of_day(table, file.day), self._directory, file)
        durable.fsync_dir(self._directory)  # the names of the days
        leaf = self._leaf(parts.end - 1)
        written_out = Catalogue(parts.end, leaf, parts.catalogue.files + made)
        catalogue.save(self._directory, written_out)
        self._parts = _Parts(written_out, (self._new_table(engine),), parts.end)
        if self._left:
            engine.execute(f"DROP TABLE {self._left}")
        self._left = table
