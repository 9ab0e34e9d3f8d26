"""Lookups in the index beside a sync: at no step of it does one give a row that was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vault import durable
from vault.state.rows import MetaRow
from vault.storage import index as index_
from vault.storage.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import lmdb

    from vault.state.rows import Row

KEY, OTHER = b"mkey", b"mother"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index")
    made.add([(KEY, MetaRow(1)), (OTHER, MetaRow(1))], 1)
    made.sync()
    assert made.get(KEY) == MetaRow(1)  # and is kept in memory
    yield made
    made.close()


@pytest.mark.parametrize("new", [MetaRow(2), None])
def test_before_and_after_the_commit_of_a_sync_the_newest_row_is_found(
    index: Index, monkeypatch: pytest.MonkeyPatch, new: MetaRow | None
) -> None:
    commit, seen = durable.commit_index, []

    def watched(txn: lmdb.Transaction, path: Path) -> None:
        seen.append(index.get(KEY))
        commit(txn, path)
        seen.append(index.get(KEY))

    monkeypatch.setattr(durable, "commit_index", watched)
    index.add([(KEY, new)], 2)
    index.sync()
    assert [*seen, index.get(KEY)] == [new] * 3


def test_a_row_read_before_a_sync_and_kept_after_it_is_seen_by_nobody(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add([(OTHER, MetaRow(2))], 2)
    index.sync()  # what memory kept of the file is forgotten
    read = Index._from_file

    def slow(self: Index, key: bytes) -> Row | None:
        row = read(self, key)
        monkeypatch.setattr(Index, "_from_file", read)
        index.add([(key, MetaRow(3))], 3)
        index.sync()
        return row

    monkeypatch.setattr(Index, "_from_file", slow)
    assert index.get(KEY) == MetaRow(1)  # as of the call
    assert index.get(KEY) == MetaRow(3)


def test_few_rows_of_the_file_are_kept_in_memory(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_, "_READ_ROWS", 10)
    for number in range(100):
        assert index.get(b"m%d" % number) is None
        assert index.get(KEY) == MetaRow(1)
        assert len(index._read) <= 10


def test_an_index_of_another_layout_is_emptied_when_it_is_told_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_, "LAYOUT", 0)  # as before rows had one
    old = Index(tmp_path / "index")
    old.add([(KEY, MetaRow(1))], 7)
    old.sync()
    old.close()
    monkeypatch.undo()
    index = Index(tmp_path / "index")
    assert (index.applied, index.synced, index.get(KEY)) == (7, 7, MetaRow(1))  # what it has seen counts until then
    assert index.renew()
    assert (index.applied, index.synced, index.get(KEY)) == (0, 0, None)
    index.close()
    again = Index(tmp_path / "index")
    assert (again.applied, again.renew()) == (0, False)
    again.add([(KEY, MetaRow(2))], 3)
    again.sync()
    again.close()
    last = Index(tmp_path / "index")
    assert (last.applied, last.renew(), last.get(KEY)) == (3, False, MetaRow(2))
    last.close()


def test_a_renewal_that_is_cut_short_leaves_the_old_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_, "LAYOUT", 0)
    old = Index(tmp_path / "index")
    old.add([(KEY, MetaRow(1))], 7)
    old.sync()
    monkeypatch.undo()

    def cut(txn: lmdb.Transaction, _: Path) -> None:
        txn.abort()
        raise KeyboardInterrupt

    monkeypatch.setattr(durable, "commit_index", cut)
    with pytest.raises(KeyboardInterrupt):
        old.renew()
    old.close()
    monkeypatch.undo()
    index = Index(tmp_path / "index")
    assert (index.applied, index.renew()) == (7, True)
    index.close()
