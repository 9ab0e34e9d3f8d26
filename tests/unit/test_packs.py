from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.keys import Token
from vault import device, durable
from vault.errors import CorruptError, Unavailable
from vault.storage import open_files as open_files_
from vault.storage import packs as module
from vault.storage.packs import PackStore, body_name
from vault.storage.token import NotCovered

STREAM = "site-a.node-1"
ODD = {seq: b"odd %d" % seq for seq in range(1, 20, 2)}
EVEN = {seq: b"even %d" % seq for seq in range(2, 20, 2)}


def add(store: PackStore, bodies: dict[int, bytes], until: str = "") -> None:
    store.add("trades", until, [(seq, memoryview(body)) for seq, body in bodies.items()])


def tokens(*seqs: int) -> dict[int, Token]:
    return {seq: Token(body_name(STREAM, seq)) for seq in seqs}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> PackStore:
    store = PackStore(tmp_path, STREAM)
    add(store, ODD)
    add(store, EVEN, "2032-11")
    return store


def holds(store: PackStore, bodies: dict[int, bytes]) -> bool:
    return all(seq in store and store.read(seq, 0, len(body)) == body for seq, body in bodies.items())


def test_bodies_are_found_though_packs_overlap(tmp_path: Path, store: PackStore) -> None:
    assert holds(store, ODD | EVEN)
    assert store.read(11, 4, 2) == b"11"
    assert store.read(11, 6, 0) == b""
    assert names(tmp_path) == [f"{STREAM}-1-0.pack", f"{STREAM}-2-0.pack"]


def test_a_start_finds_what_was_there_and_leaves_other_streams_alone(tmp_path: Path, store: PackStore) -> None:
    other = PackStore(tmp_path, "node-1")
    add(other, {3: b"another stream's"})
    (tmp_path / f"{STREAM}-9-0.pack.0011223344556677.tmp").write_bytes(b"half")
    (tmp_path / "readme").write_bytes(b"?")
    assert holds(PackStore(tmp_path, STREAM), ODD | EVEN)
    assert holds(PackStore(tmp_path, "node-1"), {3: b"another stream's"})
    assert names(tmp_path) == ["node-1-3-0.pack", "readme", f"{STREAM}-1-0.pack", f"{STREAM}-2-0.pack"]


@pytest.mark.parametrize("seq", [0, 20, 1 << 60])
def test_a_body_that_no_pack_holds_is_damage(store: PackStore, seq: int) -> None:
    assert seq not in store
    with pytest.raises(CorruptError, match=f"no pack holds the body of record {seq}"):
        store.read(seq, 0, 0)


def test_reading_past_a_bodys_end_is_damage(store: PackStore) -> None:
    with pytest.raises(CorruptError, match="ends before 7"):
        store.read(11, 0, 7)


def test_a_pack_that_is_gone_or_cut_is_damage(tmp_path: Path, store: PackStore) -> None:
    path = tmp_path / f"{STREAM}-1-0.pack"
    away = path.rename(tmp_path / "away")
    with pytest.raises(CorruptError, match="no pack holds"):
        store.read(19, 0, 4)
    away.rename(path)
    os.truncate(path, 120)
    with pytest.raises(CorruptError, match="ends within the body"):
        store.read(19, 0, 4)


def open_files(directory: Path) -> list[str]:
    """Names under a directory that this process has open, whether they still stand or not."""
    here = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    found = (entry.readlink() for entry in here)
    return sorted(path.name for path in found if path.is_relative_to(directory))


def test_few_packs_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACK_BYTES", 1)
    monkeypatch.setattr(module, "OPEN_PACKS", 3)
    store = PackStore(tmp_path, STREAM)
    bodies = {seq: b"body %d" % seq for seq in range(8)}
    add(store, bodies)
    for _ in range(2):
        assert holds(store, bodies)
        assert open_files(tmp_path) == [f"{STREAM}-{seq}-0.pack" for seq in (5, 6, 7)]


def test_a_pack_that_leaves_is_not_kept_open(tmp_path: Path, store: PackStore) -> None:
    assert holds(store, ODD | EVEN)
    store.erase(tokens(1, *EVEN))
    assert open_files(tmp_path) == []
    assert holds(store, {seq: body for seq, body in ODD.items() if seq != 1})


def test_a_pack_that_leaves_while_it_is_opened_is_not_kept_open(
    tmp_path: Path, store: PackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_files_.OpenFile

    def slow(path: Path, flags: int) -> open_files_.OpenFile:
        file = opened(path, flags)
        monkeypatch.setattr(open_files_, "OpenFile", opened)
        store.erase(tokens(1))
        return file

    monkeypatch.setattr(open_files_, "OpenFile", slow)
    assert store.read(3, 0, 5) == b"odd 3"  # its reader holds a lease, and reads what it had found
    assert open_files(tmp_path) == []


def test_what_the_page_cache_holds_of_an_open_pack_is_at_hand(
    store: PackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.at_hand(3, 4) is None  # to open a file may take its time
    store.read(3, 0, 1)
    monkeypatch.setattr(device, "read_cached", lambda fd, offset, length: os.pread(fd, length, offset))
    assert store.at_hand(3, 4) == b"odd "
    assert store.at_hand(3, 6) is None
    assert store.at_hand(444, 1) is None
    monkeypatch.setattr(device, "read_cached", lambda *_: None)
    assert store.at_hand(3, 4) is None


def test_a_damaged_pack_stops_the_start(tmp_path: Path, store: PackStore) -> None:
    path = tmp_path / f"{STREAM}-1-0.pack"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptError, match=path.name):
        PackStore(tmp_path, STREAM)


def test_a_pack_under_another_streams_name_stops_the_start(tmp_path: Path, store: PackStore) -> None:
    (tmp_path / f"{STREAM}-1-0.pack").rename(tmp_path / "other-1-0.pack")
    with pytest.raises(CorruptError, match="it says it is of stream"):
        PackStore(tmp_path, "other")


def test_many_bodies_make_several_packs_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACK_BYTES", 100)
    store = PackStore(tmp_path, STREAM)
    bodies = {seq: bytes([seq]) * size for seq, size in enumerate([40, 60, 1, 500, 100, 99, 1, 1])}
    add(store, bodies)
    assert names(tmp_path) == [f"{STREAM}-{first}-0.pack" for first in (0, 2, 3, 4, 5, 7)]
    assert holds(PackStore(tmp_path, STREAM), bodies)


def test_nothing_to_add_writes_nothing(tmp_path: Path) -> None:
    add(PackStore(tmp_path, STREAM), {})
    assert names(tmp_path) == []


def test_erasing_keeps_all_others(tmp_path: Path, store: PackStore) -> None:
    store.erase(tokens(1, 2, 5, 19, 444))
    for seq in (1, 2, 5, 19):
        assert seq not in store
    left = {seq: body for seq, body in (ODD | EVEN).items() if seq not in (1, 2, 5, 19)}
    assert holds(store, left)
    assert holds(PackStore(tmp_path, STREAM), left)
    assert names(tmp_path) == [f"{STREAM}-3-0.pack", f"{STREAM}-4-0.pack"]
    assert not any(b"odd 19" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_pack_whose_first_body_stays_gets_another_name(tmp_path: Path, store: PackStore) -> None:
    store.erase(tokens(3))
    assert names(tmp_path) == [f"{STREAM}-1-1.pack", f"{STREAM}-2-0.pack"]
    store.erase(tokens(5))
    # Not 1-0 again: whoever found that one just before it was dropped may be about to open it.
    assert names(tmp_path) == [f"{STREAM}-1-2.pack", f"{STREAM}-2-0.pack"]


def test_erasing_everything_leaves_no_pack(tmp_path: Path, store: PackStore) -> None:
    store.erase(tokens(*ODD, *EVEN))
    assert names(tmp_path) == []
    assert 1 not in store


def test_erasing_takes_a_token_for_each_body(tmp_path: Path, store: PackStore) -> None:
    with pytest.raises(NotCovered):
        store.erase(tokens(1, 3) | {5: Token(body_name(STREAM, 7))})
    assert holds(store, ODD | EVEN)


def test_a_reader_follows_a_pack_that_is_compacted_under_it(store: PackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    calls: list[Path] = []

    def compacted_first(path: Any, *args: Any, **options: Any) -> int:
        if not calls:
            calls.append(path)
            store.erase(tokens(1))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", compacted_first)
    assert store.read(11, 0, 6) == b"odd 11"
    assert calls[0].name == f"{STREAM}-1-0.pack"


def test_reading_back_gives_each_body_that_is_there_once(store: PackStore) -> None:
    found = [(seq, bytes(body)) for seq, body in store.read_back([2, 19, 1, 1, 77, 4])]
    assert sorted(found) == [(1, b"odd 1"), (2, b"even 2"), (4, b"even 4"), (19, b"odd 19")]


def test_reading_back_sees_what_is_on_disk(tmp_path: Path, store: PackStore) -> None:
    path = tmp_path / f"{STREAM}-1-0.pack"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"odd 11", b"odd 1!"))
    assert dict(store.read_back([11])) == {11: b"odd 1!"}
    path.write_bytes(data.replace((11).to_bytes(8, "big") + b"\0\0\0\6odd", (12).to_bytes(8, "big") + b"\0\0\0\6odd"))
    with pytest.raises(CorruptError, match="stands another body than 11"):
        list(store.read_back([11]))


def test_a_pack_swapped_for_another_one_is_noticed_when_it_is_compacted(tmp_path: Path, store: PackStore) -> None:
    (tmp_path / f"{STREAM}-2-0.pack").rename(tmp_path / f"{STREAM}-1-0.pack")
    with pytest.raises(CorruptError, match="not the pack that was opened"):
        store.erase(tokens(1))


def test_what_the_disk_does_not_give_back_is_not_kept_as_a_copy(
    tmp_path: Path, store: PackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = durable.write_new
    monkeypatch.setattr(durable, "write_new", lambda path, data: real(path, data[:-1] + b"?"))
    with pytest.raises(CorruptError, match="does not hold what was written"):
        store.erase(tokens(1))
    assert holds(store, ODD | EVEN)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, store: PackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(tmp_path)
    real = os.statvfs(tmp_path)
    monkeypatch.setattr("vault.storage.room.os.statvfs", lambda _: os.statvfs_result((*real[:4], 1, *real[5:])))
    with pytest.raises(Unavailable, match="no room"):
        add(store, {100: b"x"})
    with pytest.raises(Unavailable, match="no room"):
        store.erase(tokens(1))
    assert names(tmp_path) == before
    assert holds(store, ODD | EVEN)
