"""The index and the committer's view of it against one plain dictionary, through syncs, crashes and reopening."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.doubles.memory import memory_directory
from vault import durable
from vault.errors import CorruptError
from vault.state import rows
from vault.state.rows import MetaRow
from vault.storage import index as index_
from vault.storage import long_keys
from vault.storage.index import Index, Sequenced

if TYPE_CHECKING:
    from pathlib import Path

    import lmdb

#: Where a key stands under its first bytes and a digest, there are neighbours with the same first bytes.
HEAD = long_keys.HEAD
LONG = b"m" + b"p" * (HEAD - 1)
PREFIXES = [b"mm", b"mp", LONG[:-1], LONG, LONG[:-2] + b"\0\xff", b"mo" + "ключ/".encode() * 60]


def _key(prefix: int, end: bytes, padding: int) -> bytes:
    return (PREFIXES[prefix] + end + b"z" * padding)[:1100]


keys = st.builds(
    _key,
    st.integers(0, len(PREFIXES) - 1),
    st.sampled_from([b"", b"\0", b"\0\0", b"a", b"b", b"\xff" * 9]) | st.binary(max_size=3),
    st.sampled_from([0, 0, 1, 400, 700]),
)
values = st.none() | st.integers(0, 1 << 80)


class IndexMachine(RuleBasedStateMachine):
    """``decided`` is what the committer sees, ``durable`` what readers see, ``synced`` what outlives the process."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = memory_directory()
        self.path = self.directory.__enter__()
        self.index = Index(self.path / "index")
        self.sequenced = Sequenced(self.index)
        self.decided: dict[bytes, int] = {}
        self.durable: dict[bytes, int] = {}
        self.synced: dict[bytes, int] = {}
        self.applied = self.applied_synced = 0

    @rule(changes=st.lists(st.tuples(keys, values), max_size=12))
    def add(self, changes: list[tuple[bytes, int | None]]) -> None:
        self.sequenced.add([(key, MetaRow(value) if value is not None else None) for key, value in changes])
        for key, value in changes:
            if value is None:
                self.decided.pop(key, None)
            else:
                self.decided[key] = value

    @rule(which=st.integers(0, 20), value=values)
    def change(self, which: int, value: int | None) -> None:
        """A key that is there already."""
        if self.decided:
            self.add([(sorted(self.decided)[which % len(self.decided)], value)])

    @rule(records=st.integers(1, 5))
    def settle(self, records: int) -> None:
        self.applied += records
        self.sequenced.settle(self.applied)
        self.durable = dict(self.decided)

    @rule()
    def sync(self) -> None:
        assert self.index.sync() == self.applied
        self.synced, self.applied_synced = dict(self.durable), self.applied

    @rule()
    @precondition(lambda self: self.decided != self.synced)
    def crash_and_reopen(self) -> None:
        self.index.close()
        self.index = Index(self.path / "index")
        self.sequenced = Sequenced(self.index)
        self.applied = self.applied_synced
        self.decided, self.durable = dict(self.synced), dict(self.synced)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert _value(self.index.get(key)) == self.durable.get(key)
        assert _value(self.sequenced.get(key)) == self.decided.get(key)

    @rule(ends=st.tuples(keys, keys))
    def scan(self, ends: tuple[bytes, bytes]) -> None:
        start, end = sorted(ends)
        assert _scan(self.index, start, end) == _expected(self.durable, start, end)
        assert _scan(self.sequenced, start, end) == _expected(self.decided, start, end)

    @invariant()
    def all_agree(self) -> None:
        assert (self.index.applied, self.index.synced) == (self.applied, self.applied_synced)
        assert _scan(self.index, b"mb", b"n") == _expected(self.durable, b"mb", b"n")
        assert _scan(self.sequenced, b"mb", b"n") == _expected(self.decided, b"mb", b"n")
        for key in self.decided.keys() | self.durable.keys() | self.synced.keys():
            assert _value(self.index.get(key)) == self.durable.get(key)
            assert _value(self.sequenced.get(key)) == self.decided.get(key)

    def teardown(self) -> None:
        self.index.close()
        self.directory.__exit__(None, None, None)


def _value(row: object) -> int | None:
    assert row is None or isinstance(row, MetaRow)
    return row.value if row is not None else None


def _scan(state: Index | Sequenced, start: bytes, end: bytes) -> list[tuple[bytes, int | None]]:
    return [(key, _value(row)) for key, row in state.scan(start, end)]


def _expected(rows: dict[bytes, int], start: bytes, end: bytes) -> list[tuple[bytes, int]]:
    return [(key, rows[key]) for key in sorted(rows) if start <= key < end]


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=80, stateful_step_count=40)


@pytest.mark.parametrize("synced", ["none", "half", "all"])
@pytest.mark.parametrize("end", [b"", b"x" * 900])
def test_a_scan_of_many_chunks_gives_every_row_once_and_in_order(tmp_path: Path, synced: str, end: bytes) -> None:
    index = Index(tmp_path / "index")
    names = [b"mk%05d" % (number * 7919 % 3000) + b"/" * (number % 3 * 250) + end for number in range(3000)]
    for at, name in enumerate(names):
        index.add([(name, MetaRow(at))], at + 1)
        if (synced == "half" and at == 1500) or (synced == "all" and at == 2999):
            index.sync()
    found = list(index.scan(b"mb", b"n"))
    assert [key for key, _ in found] == sorted(names)
    assert {key: row.value for key, row in found if isinstance(row, MetaRow)} == dict(
        zip(names, range(3000), strict=True)
    )
    index.close()


def test_one_head_shared_by_more_keys_than_a_chunk_holds_is_listed_in_the_order_of_the_keys(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    names = [LONG + b"%04d" % number for number in range(900)] + [LONG, LONG[:-1], LONG + b"0500\0"]
    index.add([(name, MetaRow(1)) for name in names[:700]], 1)
    index.sync()
    index.add([(name, MetaRow(1)) for name in names[700:]], 2)
    ordered = sorted(names)
    assert [key for key, _ in index.scan(b"mb", b"n")] == ordered
    assert [key for key, _ in index.scan(ordered[350], ordered[600])] == ordered[350:600]
    index.close()


def test_a_scan_while_rows_come_and_are_synced_gives_what_stood_all_the_while(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    standing = [b"mk%05d" % (number * 2) for number in range(2000)]
    index.add([(name, MetaRow(0)) for name in standing], 1)
    done = threading.Event()

    def change() -> None:
        for number in range(400):
            odd = b"mk%05d" % (number * 10 + 1)
            index.add([(odd, MetaRow(1) if number % 3 else None)], number + 2)
            if number % 40 == 0:
                index.sync()
        done.set()

    writer = threading.Thread(target=change)
    writer.start()
    scans = 0
    while not done.is_set() or not scans:
        found = [key for key, _ in index.scan(b"mb", b"n")]
        assert found == sorted(set(found))
        assert [key for key in found if not int(key[2:]) % 2] == standing
        scans += 1
    writer.join()
    index.close()


RACED = [b"mk%d" % number for number in range(5)] + [LONG + b"%d" % number for number in range(3)]


def _look(index: Index, ended: threading.Event, wrong: list[str]) -> None:
    seen = dict.fromkeys(RACED, 0)
    while not ended.is_set():
        for name in RACED:
            value = _value(index.get(name))
            if value is None or value < seen[name]:
                wrong.append(f"{name!r}: {value} after {seen[name]}")
            seen[name] = max(value or 0, seen[name])


def _keep_syncing(index: Index, ended: threading.Event, _: list[str]) -> None:
    while not ended.is_set():
        index.sync()


def test_no_reader_ever_sees_a_row_go_back_and_the_writer_sees_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_, "_READ_ROWS", 3)
    ended, wrong = threading.Event(), list[str]()
    interval = sys.getswitchinterval()
    with memory_directory() as directory:
        index = Index(directory / "index")
        index.add([(name, MetaRow(0)) for name in RACED], 1)
        threads = [threading.Thread(target=job, args=(index, ended, wrong)) for job in (_look, _look, _keep_syncing)]
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for turn in range(1, 600):
                name = RACED[turn % len(RACED)]
                index.add([(name, MetaRow(turn))], turn + 1)
                assert _value(index.get(name)) == turn
                while turn % 4 == 0 and index.synced < index.applied:  # until the file alone has the rows
                    assert _value(index.get(name)) == turn
        finally:
            ended.set()
            sys.setswitchinterval(interval)
            for thread in threads:
                thread.join()
        assert wrong == []
        index.close()


def test_while_a_sync_writes_readers_see_what_came_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(tmp_path / "index")
    old, changed, gone, new = b"mk1", b"mk2" + LONG, b"mk3", b"mk4"
    index.add([(old, MetaRow(1)), (changed, MetaRow(1)), (gone, MetaRow(1))], 1)
    commit = durable.commit_index

    def check() -> None:
        assert [_value(index.get(key)) for key in (old, changed, gone, new)] == [1, 2, None, 2]
        assert _scan(index, b"mb", b"n") == [(old, 1), (changed, 2), (new, 2)]

    def meanwhile(txn: lmdb.Transaction, path: Path) -> None:
        index.add([(changed, MetaRow(2)), (gone, None), (new, MetaRow(2))], 2)
        check()
        commit(txn, path)
        check()

    with monkeypatch.context() as watched:
        watched.setattr(durable, "commit_index", meanwhile)
        assert index.sync() == 1
    check()
    assert index.sync() == 2
    check()
    index.close()


def test_a_sync_that_failed_claims_nothing_it_did_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(tmp_path / "index")
    index.add([(b"mk1", MetaRow(1))], 1)
    with monkeypatch.context() as broken:
        broken.setattr(index_, "encode_row", _fail)
        with pytest.raises(OSError, match="no"):
            index.sync()
    index.add([(b"mk2", MetaRow(2))], 2)
    assert index.sync() == 1
    assert index.synced == 1
    assert index.sync() == 2
    index.close()
    again = Index(tmp_path / "index")
    assert again.applied == 2
    assert [key for key, _ in again.scan(b"mb", b"n")] == [b"mk1", b"mk2"]
    again.close()


def _fail(row: object) -> bytes:
    raise OSError("no")


def test_a_damaged_row_is_named_as_damage(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    index.add([(rows.bucket_key("b"), MetaRow(1))], 1)
    index.sync()
    with pytest.raises(CorruptError, match="is damaged"):
        index.get(rows.bucket_key("b"))
    with pytest.raises(CorruptError, match="is damaged"):
        list(index.scan(b"b", b"c"))
    index.close()


names = st.text(min_size=0, max_size=12) | st.sampled_from(
    ["", "\0", "a", "a\0", "a\0\0", "a\0b", "a\x01", "ä", "\U0010ffff"]
)


@given(st.lists(st.tuples(names, st.integers(1, 1 << 40)), max_size=12))
def test_row_keys_order_as_s3_lists_and_give_the_name_back(versions: list[tuple[str, int]]) -> None:
    by_key = sorted((rows.version_key("b", name, ordinal), (name, ordinal)) for name, ordinal in versions)
    listed = sorted(versions, key=lambda item: (item[0].encode(), -item[1]))
    assert [item for _, item in by_key] == listed
    for key, (name, _) in by_key:
        assert rows.name_in(key) == name


@given(names, names, st.integers(1, 1 << 40))
def test_no_name_is_inside_anothers_range(one: str, other: str, ordinal: int) -> None:
    prefix = rows.versions_prefix("b", one)
    inside = prefix <= rows.version_key("b", other, ordinal) < prefix + b"\xff" * 9
    assert inside == (one == other)
    start = rows.listing_prefix(b"v", "b", one)
    listed = start <= rows.version_key("b", other, ordinal) < start + b"\xff" * 9
    assert listed == other.startswith(one)
