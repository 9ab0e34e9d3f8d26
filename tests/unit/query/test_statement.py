"""What a question about a key finds: the same rows, whether they are chosen by position or all are read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from audit.query import statement
from audit.query.filter import condition
from audit.query.view import View
from tests.doubles.whole_node import commit
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Origin, Tail, decode

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node

#: What could be taken for another one, or for a part of a statement.
KEYS = ("k", "K", "k ", "k/", "k%", "'; DROP TABLE rows_1; --", "\N{GREEK SMALL LETTER SIGMA}", "k\ufffd", "a" * 1024)
BUCKETS = ("b", "bb", "key")
OPS = ("object.get", "object.head", "object.delete")


LISTED = Tail(op="bucket.list", actor=Actor(SYSTEM), origin=Origin("cli"))


def look(rng: random.Random) -> Tail:
    named = ObjectRef(rng.choice(BUCKETS), rng.choice(KEYS))
    return Tail(op=rng.choice(OPS), actor=Actor(SYSTEM), origin=Origin("cli"), object=named)


@pytest.fixture
def view(node: Node, place: Path) -> View:
    """A view of many files, one of several merged, and a table."""
    rng = random.Random(7)
    made = View(place, node.stores.strands, node.history, 40)
    for turn in range(12):
        # there is a file of which no row names a key
        tails = [look(rng) if turn != 10 else LISTED for _ in range(45 if turn < 11 else 20)]
        commit(node, tails)
        while made.step():
            pass
        if turn == 9:
            assert made.merge()
    return made


def expected(node: Node, view: View, *, key: str, bucket: str = "", op: str = "") -> list[int]:
    found = []
    for position, record in node.history.read(0, view.end):
        _, tail = decode(record)
        named = tail.object
        if named is not None and named.key == key and bucket in {"", named.bucket} and op in {"", tail.op}:
            found.append(position)
    return found


@pytest.mark.parametrize("most", [statement.MAX_POSITIONS, 10])
def test_a_key_has_the_rows_that_the_ledger_has(node: Node, view: View, most: int) -> None:
    assert len(view._parts.catalogue.files) == 2  # and a table
    with mock.patch("audit.query.statement.MAX_POSITIONS", most):
        for key in KEYS:
            asked = [("key", key)]
            for bucket in ("", *BUCKETS):
                for op in ("", *OPS):
                    filters = [*asked, *([("bucket", bucket)] if bucket else []), *([("op", op)] if op else [])]
                    found = view.select("position", condition(filters), "ORDER BY position")
                    assert [row[0] for row in found] == expected(node, view, key=key, bucket=bucket, op=op), filters


def test_a_key_that_nothing_names_is_not_found(view: View) -> None:
    assert view.select("position", condition([("bucket", "b"), ("key", "none")])) == []


def test_keys_are_read_of_the_files_of_the_time_that_is_asked_for(view: View) -> None:
    asked = condition([("key", "k"), ("to", "2001-01-01")])
    engine = view._engine
    assert engine is not None
    with mock.patch.object(engine, "query", wraps=engine.query) as query:
        assert view.select("position", asked) == []
    assert query.call_count == 1  # no file is of that time, so none was looked into


def test_what_is_forgotten_is_found_no_more_in_rows_keys_or_tables(node: Node, place: Path, view: View) -> None:
    rows = expected(node, view, key="k")
    gone = rows[::2]
    view.close()
    again = View(place, node.stores.strands, node.history, 40)
    again.forget(gone[0], gone[-1] + 1, gone)  # before anybody asked it anything
    while again.step():
        pass
    in_tables = [position for position in gone if position >= again._parts.catalogue.end]
    again.forget(gone[0], gone[-1] + 1, gone)
    assert in_tables
    for asked in ([("key", "k")], []):
        found = [row[0] for row in again.select("position", condition(asked), "ORDER BY position")]
        assert set(found) >= set(rows) - set(gone)
        assert not set(found) & set(gone)
