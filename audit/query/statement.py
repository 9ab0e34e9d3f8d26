"""The statement that answers a question from tables and files, and where a key's rows are, which is asked before it.

Rows are in the order of the records, so those of one key are everywhere, and keys cost more to read than all else. Each
file's ``.keys`` have them in order: what a question about a key reads of the rows is chosen by position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.query import columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.query.catalogue import File
    from audit.query.engine import Engine
    from audit.query.filter import Condition

#: Rows of one key up to which they are chosen by position: of more it is shorter to read all.
MAX_POSITIONS: Final = 50_000

_FILE: Final = "read_parquet(?, hive_partitioning = false)"


class Sources(NamedTuple):
    """Where rows are: names of tables, and files in the view's directory."""

    tables: Sequence[str]
    directory: Path
    files: Sequence[File]


def select(
    engine: Engine, sources: Sources, what: str, condition: Condition, rest: str = ""
) -> tuple[str, list[object]]:
    """Make the statement.

    Args:
        engine: Open.
        sources: Where rows are; files of other times are left out.
        what: Expressions to select.
        condition: Of the rows.
        rest: ``ORDER BY`` and the like.

    Returns:
        The statement, and its parameters.

    Raises:
        ViewFailed: Keys cannot be read.
        QueryTooLong: That took too long.
    """
    earliest, latest = condition.times
    there = [file for file in sources.files if file.earliest <= latest and earliest <= file.latest]
    named = " AND ".join(f'"{name}" = ?' for name, _ in condition.named) or "true"
    values: list[object] = [value for _, value in condition.named]
    chosen = [f"{table} WHERE {named}" for table in sources.tables]
    parameters = values * len(sources.tables)
    paths = [str(sources.directory / file.name) for file in there]
    positions = _positions(engine, [str(sources.directory / file.keys) for file in there], named, values)
    if positions is None and paths:
        chosen.append(f"{_FILE} WHERE {named}")
        parameters += [paths, *values]
    elif positions:
        chosen.append(f"{_FILE} WHERE position IN (SELECT unnest(?))")
        parameters += [paths, positions]
    rows = " UNION ALL ".join(f"SELECT {columns.NAMES} FROM {source}" for source in chosen)  # noqa: S608 - names of ours
    sql = f"SELECT {what} FROM ({rows}) WHERE {condition.sql} {rest}"  # noqa: S608 - what is theirs is a parameter
    return sql, [*parameters, *condition.parameters]


def _positions(engine: Engine, keys: list[str], named: str, values: Sequence[object]) -> list[int] | None:
    """Positions of a key's rows in files; None where no key is asked for, or too many rows name it."""
    if not values or not keys:
        return None
    sql = f"SELECT position FROM {_FILE} WHERE {named} LIMIT {MAX_POSITIONS + 1}"  # noqa: S608 - names of ours
    found = [row[0] for row in engine.query(sql, [keys, *values])]
    return found if len(found) <= MAX_POSITIONS else None
