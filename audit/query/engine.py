"""DuckDB, as the view uses it: one database in memory, a bounded share of the machine, and errors of ours.

DuckDB and not a table engine of ours, nor SQLite: it filters 10 million rows of a column in some 30 ms, and parses
records and writes Parquet without the interpreter. What clients send reaches it as parameters only. It loads no
extension and keeps no file but what it is told to write.

Not handled here: what is asked of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

import duckdb

from audit.errors import AuditError
from vault.errors import DurabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

#: Seconds that one query may take.
QUERY_SECONDS: Final = 30.0
#: Beside the tables in memory.
MEMORY: Final = "256MB"
THREADS: Final = 2

_SETTINGS: Final = (
    f"SET memory_limit = '{MEMORY}'",
    f"SET threads = {THREADS}",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET parquet_metadata_cache = true",
    "SET enable_progress_bar = false",
)


class ViewFailed(AuditError):
    """The view could not be extended, or read. It is only a view: what it is made of is safe."""

    code = "view-failed"
    status = 503
    retryable = True


class QueryTooLong(AuditError):
    """A query took longer than it may."""

    code = "query-too-long"
    status = 422


class TableGone(ViewFailed):
    """A table was dropped between being looked up and being read."""


class Engine:
    """An open database. Its :meth:`execute` is for one thread at a time, :meth:`query` and :meth:`copy` for any.

    Args:
        spill: Where a query that needs more than :data:`MEMORY` puts the rest; made when it is needed.
    """

    def __init__(self, spill: Path) -> None:
        self._database = duckdb.connect(":memory:")
        for setting in (*_SETTINGS, f"SET temp_directory = '{quoted(spill)}'", "SET lock_configuration = true"):
            self._database.execute(setting)

    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement.

        Raises:
            duckdb.Error: It failed.
        """
        return self._database.execute(sql, parameters).fetchall()

    def copy(self, sql: str, parameters: Sequence[object]) -> None:
        """Run one statement that writes a file, beside whatever else runs.

        Raises:
            duckdb.Error: It failed.
        """
        cursor = self._database.cursor()
        try:
            cursor.execute(sql, parameters)
        finally:
            cursor.close()

    def query(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """Run one query, for at most :data:`QUERY_SECONDS`.

        Raises:
            QueryTooLong: It took longer.
            TableGone: A table in it is not there any more.
            ViewFailed: A file in it cannot be read.
        """
        cursor = self._database.cursor()
        timer = Timer(QUERY_SECONDS, cursor.interrupt)
        timer.start()
        try:
            return cursor.execute(sql, parameters).fetchall()
        except duckdb.InterruptException as error:
            raise QueryTooLong(f"the query took longer than {QUERY_SECONDS:g} s: ask for less time") from error
        except duckdb.CatalogException as error:
            raise TableGone("a table of the view is gone") from error
        except duckdb.Error as error:
            raise ViewFailed(f"the view of records cannot be read: {_first_line(error)}") from error
        finally:
            timer.cancel()
            cursor.close()

    def close(self) -> None:
        """Let go of it."""
        self._database.close()


@contextmanager
def reported() -> Iterator[None]:
    """Turn what may go wrong with the view's own files into ours; none of it is a reason to stop the writer.

    Raises:
        ViewFailed: It went wrong.
    """
    try:
        yield
    except (duckdb.Error, DurabilityError, OSError) as error:
        raise ViewFailed(f"the view of records cannot be extended: {_first_line(error)}") from error


def quoted(path: Path) -> str:
    """A path as it stands between the quotes of a statement."""
    return str(path).replace("'", "''")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
