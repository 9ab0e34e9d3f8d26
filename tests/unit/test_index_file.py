"""Two indexes' files compared: every kind of difference is counted, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import lmdb
import pytest

from vault.errors import CorruptError
from vault.state import rows
from vault.state.other_rows import TokenRow
from vault.state.rows import BucketRow, PrincipalRow
from vault.storage import index_file
from vault.storage.index import APPLIED, Index
from vault.storage.index_file import Difference, IndexFile, difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vault.state.rows import Row

LONG = rows.key_key("b", "k" * 1000)
FOUND: Mapping[bytes, Row] = {
    b"bone": BucketRow("one", "p", 1, lock=True, strict=False),
    b"btwo": BucketRow("two", "p", 1, lock=True, strict=False),
    b"ip1": PrincipalRow("p1", "ann", "ANN", ("auditor",)),
    LONG: rows.KeyRow(3, "m"),
    LONG[:-3] + b"x\0\0": rows.KeyRow(4, "n"),  # of the same head
}


PUT = """
import lmdb, sys
with lmdb.open(sys.argv[1]) as env, env.begin(write=True) as txn:
    txn.put(b"bnew", b"x")
"""


def written(directory: Path, found: Mapping[bytes, Row], applied: int = 7) -> Path:
    index = Index(directory)
    index.add(found.items(), applied)
    index.sync()
    index.close()
    return directory


def compared(one: Path, other: Path) -> Difference:
    with IndexFile(one) as here, IndexFile(other) as there:
        return difference(here, there)


def test_two_of_the_same_rows_do_not_differ(tmp_path: Path) -> None:
    found = compared(written(tmp_path / "a", FOUND, 7), written(tmp_path / "b", FOUND, 8))
    assert found == Difference(5, {}, {}, {})
    assert not found
    with IndexFile(tmp_path / "a") as index:
        assert index.applied == 7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({b"btwo": None}, Difference(5, {"buckets": 1}, {}, {})),
        ({LONG: None, b"ip1": None}, Difference(5, {"keys": 1, "principals": 1}, {}, {})),
        ({b"a": PrincipalRow("x", "", "", ())}, Difference(6, {}, {"access keys": 1}, {})),
        ({b"tzz": TokenRow("zz", "p", "", (), 1)}, Difference(6, {}, {"tokens": 1}, {})),
        ({b"bone": BucketRow("one", "p", 1, lock=False, strict=False)}, Difference(5, {}, {}, {"buckets": 1})),
        ({LONG: rows.KeyRow(2, "m")}, Difference(5, {}, {}, {"keys": 1})),
        (dict.fromkeys(FOUND), Difference(5, {"buckets": 2, "keys": 2, "principals": 1}, {}, {})),
    ],
)
def test_every_difference_is_counted_by_what_it_is(
    tmp_path: Path, change: Mapping[bytes, Row | None], expected: Difference
) -> None:
    changed = {key: row for key, row in {**FOUND, **change}.items() if row is not None}
    found = compared(written(tmp_path / "a", changed), written(tmp_path / "b", FOUND))
    assert found == expected
    assert found


def test_a_row_that_an_older_version_wrote_without_its_last_fields_is_the_same(tmp_path: Path) -> None:
    one, other = written(tmp_path / "a", FOUND), written(tmp_path / "b", FOUND)
    _put(one, b"ip1", b'["p1","ann","ANN",["auditor"]]')
    assert not compared(one, other)
    _put(one, b"ip1", b'["p1","ann","ANN",["auditor"],false]')
    assert compared(one, other).other == {"principals": 1}
    _put(one, b"ip1", b"no row")
    assert compared(one, other).other == {"principals": 1}


def test_every_kind_of_row_has_a_name() -> None:
    assert set(map(ord, index_file._KINDS)) == set(rows._KINDS) - {ord("m")}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "a", FOUND)
    _put(path, APPLIED, b"no number")
    with IndexFile(path) as index, pytest.raises(CorruptError):
        _ = index.applied
    (path / "data.mdb").write_bytes(b"\xff" * 8192)
    with pytest.raises(CorruptError):
        IndexFile(path)
    with pytest.raises(CorruptError):
        IndexFile(tmp_path / "none")


def test_it_is_of_one_moment(tmp_path: Path) -> None:
    path = written(tmp_path / "a", FOUND)
    with IndexFile(path) as index:
        subprocess.run([sys.executable, "-c", PUT, path], check=True)  # another process: ours has it open
        assert b"bnew" not in dict(index.rows())
    with IndexFile(path) as index:
        assert b"bnew" in dict(index.rows())


def _put(path: Path, key: bytes, value: bytes) -> None:
    """Write a row as no index would."""
    with lmdb.open(str(path)) as env, env.begin(write=True) as txn:
        txn.put(key, value)
