"""The view's columns: what of a record one can ask for, and the SQL that takes it out of the record's JSON. Pure.

DuckDB parses the records, not Python: it costs a fraction, and holds no interpreter lock while it does.

A column is there because somebody filters by it; what is only shown comes from the record. Left out on purpose, because
each would cost 8 to 16 random bytes a row, which nothing compresses: the version id (its first eight digits are the
ordinal, and key and ordinal name the version) and the request id (an answer's x-strongroom-record names the record).
"""

from __future__ import annotations

from typing import Final

#: The layout of the files; another one than the files have makes the view be built again.
LAYOUT: Final = 3

#: Name, type, and expression over the fields that :data:`_FIELDS` takes out of a record.
_COLUMNS: Final = (
    ("position", "BIGINT", "$base + seq"),
    ("stream", "VARCHAR", "stream"),
    ("seq", "BIGINT", "seq"),
    ("leaf", "BLOB", "unhex(leaf)"),
    ("time", "TIMESTAMP_NS", 'TRY_CAST("time" AS TIMESTAMP_NS)'),
    ("op", "VARCHAR", "op"),
    ("outcome", "VARCHAR", "outcome"),
    ("reason", "VARCHAR", "coalesce(reason, '')"),
    ("actor", "VARCHAR", "actor.id"),
    ("person", "VARCHAR", "coalesce(actor.person, '')"),
    ("via", "VARCHAR", "origin.via"),
    ("ip", "VARCHAR", "coalesce(origin.ip, '')"),
    ("agent", "VARCHAR", "coalesce(origin.agent, '')"),
    ("bucket", "VARCHAR", "coalesce(object.bucket, '')"),
    ("key", "VARCHAR", "coalesce(object.key, '')"),
    ("prefix", "VARCHAR", "coalesce(object.prefix, '')"),
    ("ordinal", "BIGINT", "coalesce(version.ordinal, 0)"),
    ("ref", "BIGINT", "ref"),
    ("source", "VARCHAR", "coalesce(ingest.source, '')"),
)
_FIELDS: Final = (
    "{leaf: 'VARCHAR', stream: 'VARCHAR', seq: 'BIGINT', \"time\": 'VARCHAR', outcome: 'VARCHAR', reason: 'VARCHAR', "
    "version: 'STRUCT(ordinal BIGINT)', op: 'VARCHAR', actor: 'STRUCT(id VARCHAR, person VARCHAR)', "
    "origin: 'STRUCT(via VARCHAR, ip VARCHAR, agent VARCHAR)', "
    "object: 'STRUCT(bucket VARCHAR, key VARCHAR, prefix VARCHAR)', ref: 'BIGINT', "
    "ingest: 'STRUCT(source VARCHAR)'}"
)

#: All names, for ``SELECT``.
NAMES: Final = ", ".join(f'"{name}"' for name, _, _ in _COLUMNS)
#: Text fields that ``q`` searches.
TEXTS: Final = ("key", "prefix", "bucket", "reason", "person", "agent")


_DAY: Final = "coalesce(\"time\"::DATE, DATE '1970-01-01')"  # no clock that can be written says less


def create(table: str) -> str:
    """The statement that makes an empty table of rows."""
    rows = ", ".join(f'"{name}" {kind}' for name, kind, _ in _COLUMNS)
    return f"CREATE TABLE {table} ({rows})"


def line(record: bytes, leaf: bytes) -> bytes:
    """A record as :func:`insert` reads it.

    Args:
        record: Its exact bytes.
        leaf: Its leaf hash, lowercase hex. Looked up by a window function it would cost as much as two columns.
    """
    return b'{"leaf":"%b",%b' % (leaf, record[1:])


def insert(table: str) -> str:
    """The statement that adds the records of one stream from a file of :func:`line` for each, in order.

    Its parameters: ``$file`` and ``$base`` (position of the stream's first record).
    """
    chosen = ", ".join(expression for _, _, expression in _COLUMNS)
    return (
        f"INSERT INTO {table} SELECT {chosen} "  # noqa: S608 - names of ours
        f"FROM read_ndjson($file, columns = {_FIELDS}, compression = 'none', maximum_object_size = 1048576)"
    )


def days(table: str) -> str:
    """The statement that tells of each day in a table: first and last position, rows, earliest and latest time."""
    return (
        f"SELECT {_DAY}::VARCHAR AS day, min(position), max(position), count(*), "  # noqa: S608 - names of ours
        f'coalesce(epoch_ns(min("time")), 0), coalesce(epoch_ns(max("time")), 0) FROM {table} GROUP BY day ORDER BY day'
    )


def forgetting(table: str) -> str:
    """The statement that removes rows from a table: those in the table ``gone``, of one column, ``position``."""
    return f"DELETE FROM {table} WHERE position IN (SELECT position FROM gone)"  # noqa: S608 - a name of ours


def by_key(path: str) -> str:
    """The query for what the rows of a file name, by key: each with its position."""
    return (
        f"SELECT \"key\", bucket, position FROM read_parquet('{path}', hive_partitioning = false) "  # noqa: S608 - as below
        'WHERE "key" <> \'\' ORDER BY "key", bucket, position'
    )


def counted(path: str, *, gone: bool = False) -> str:
    """The query for a file's first and last position, rows, earliest and latest time; only of those in ``gone``."""
    return (
        "SELECT min(position), max(position), count(*), "  # noqa: S608 - a path of ours
        'coalesce(epoch_ns(min("time")), 0), coalesce(epoch_ns(max("time")), 0) '
        f"FROM read_parquet('{path}', hive_partitioning = false)"
        + (" WHERE position IN (SELECT position FROM gone)" if gone else "")
    )


def left(path: str) -> str:
    """The query for a file's rows but for those in ``gone``, in order."""
    return (
        f"SELECT * FROM read_parquet('{path}', hive_partitioning = false) "  # noqa: S608 - a path of ours
        "WHERE position NOT IN (SELECT position FROM gone) ORDER BY position"
    )


def of_day(table: str, day: str) -> str:
    """The query for a table's rows of one day, as :func:`days` names it, in order."""
    return f"SELECT * FROM {table} WHERE {_DAY} = DATE '{day}' ORDER BY position"  # noqa: S608 - names of ours
