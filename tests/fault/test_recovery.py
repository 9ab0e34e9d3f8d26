"""What a start makes of a commit log that a crash, a power cut or somebody's hand left behind."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from audit.journal.log import CommitLog
from audit.journal.recovery import recover
from audit.journal.segment import BLOCK
from tests.doubles.commitlog import SEGMENT_BYTES, STREAM, Builder, leaf, record
from vault.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.journal.recovery import Recovered


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: these tests are about bytes, and there are thousands of images."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a tmpfs, not a shared file
    with tempfile.TemporaryDirectory(dir=parent) as name:
        yield Path(name)


def _build(root: Path, *, agent: str = "") -> tuple[Builder, Path, int, int]:
    """Two good groups and a last one; its segment, and where it begins and ends."""
    made = Builder(root)
    made.open()
    made.group(3)
    made.group(1, b"body")
    start = made.group(2, b"x" * 40, agent)
    path = made.log.closed()[-1].path if made.log.closed() else next(iter(sorted((root / "commit").iterdir())))
    end = made.log.room(1).end_offset
    made.log.close()
    return made, path, start, end


def _copy(root: Path, name: str) -> Path:
    target = root.with_name(name)
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(root, target)
    return target


def test_a_cut_at_every_byte_of_the_last_group_loses_that_group_or_nothing(memory: Path) -> None:
    made, path, start, _ = _build(memory / "a")
    data = path.read_bytes()
    used = len(data.rstrip(b"\0"))
    for cut in range(start, used + 1):
        image = _copy(memory / "a", "cut")
        (image / "commit" / path.name).write_bytes(data[:cut].ljust(len(data), b"\0"))
        again = Builder(image)
        found = again.open(covered=4)
        whole = cut == used
        assert again.contents() == made.records[: 6 if whole else 4]
        assert found.next_seq == (6 if whole else 4)
        assert bool(found.torn) == (start < cut < used and any(data[start:cut]))
        again.log.close()


def test_pages_of_the_last_group_in_any_order_lose_that_group_or_nothing(memory: Path) -> None:
    made, path, start, end = _build(memory / "a", agent="y" * 9000)
    data = path.read_bytes()
    pages = range(start, end, BLOCK)
    assert len(pages) > 3
    rng = random.Random(1)  # a fixed choice of images
    for _ in range(60):
        kept = {page for page in pages if rng.random() < 0.6}
        image = bytearray(data)
        for page in pages:
            if page not in kept:
                image[page : page + BLOCK] = bytes(BLOCK)
        root = _copy(memory / "a", "pages")
        (root / "commit" / path.name).write_bytes(image)
        again = Builder(root)
        again.open(covered=4)
        assert again.contents() == made.records[: 6 if len(kept) == len(pages) else 4]
        again.log.close()


def test_what_was_torn_is_kept_and_named_and_the_same_seqs_go_on(memory: Path) -> None:
    made, path, start, _ = _build(memory / "a")
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 1
    path.write_bytes(data)
    again = Builder(memory / "a")
    found = again.open()
    assert found.next_seq == 4
    torn = memory / "a" / "quarantine" / found.torn[0].file
    assert torn.read_bytes() == bytes(data[start:]).rstrip(b"\0")
    again.name(found.torn[0])
    again.log.close()
    third = Builder(memory / "a")
    later = third.open()
    assert later.torn == []
    assert later.next_seq == 5
    assert third.contents()[:4] == made.records[:4]
    third.log.close()


def test_what_was_torn_is_named_by_a_later_start_where_the_first_ended_before_it_could(memory: Path) -> None:
    _, path, start, _ = _build(memory / "a")
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 1
    path.write_bytes(data)
    for _ in range(3):
        again = Builder(memory / "a")
        torn = again.open().torn
        again.log.close()
        assert [item.file for item in torn] == [f"{path.stem}-{start}.bin"]
    last = Builder(memory / "a")
    last.name(last.open().torn[0])
    last.log.close()
    assert Builder(memory / "a").open().torn == []


@pytest.mark.parametrize("covered", [5, 6])
def test_a_cut_that_something_else_covers_is_refused_and_nothing_is_written(memory: Path, covered: int) -> None:
    _, path, start, _ = _build(memory / "a")
    data = bytearray(path.read_bytes())
    data[start + 200] ^= 1
    path.write_bytes(data)
    before = sorted(item.name for item in (memory / "a" / "commit").iterdir())
    with pytest.raises(LedgerCorrupt, match=r"records 4 to \d are missing"):
        Builder(memory / "a").open(covered=covered)
    assert sorted(item.name for item in (memory / "a" / "commit").iterdir()) == before
    assert list((memory / "a" / "quarantine").iterdir()) == []


def test_a_damaged_group_before_a_good_one_is_refused_with_its_place(memory: Path) -> None:
    _, path, start, _ = _build(memory / "a")
    data = bytearray(path.read_bytes())
    data[start - BLOCK + 150] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt, match=f"{path.name} at {start - BLOCK}"):
        Builder(memory / "a").open()


def test_every_start_opens_a_new_segment_that_begins_with_the_last_group(memory: Path) -> None:
    made, _, _, _ = _build(memory / "a")
    for number in range(1, 5):
        again = Builder(memory / "a")
        found = again.open()
        assert found.incarnation == number + 1
        assert again.contents() == made.records
        again.log.close()
    assert len(list((memory / "a" / "commit").iterdir())) == 5


def test_a_segment_opened_but_never_written_is_passed_over(memory: Path) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(2)
    made.log.open_segment(2)
    made.log.close()
    again = Builder(memory / "a")
    again.open()
    assert again.contents() == made.records
    again.log.close()


@pytest.mark.parametrize(("offset", "what"), [(0, "header"), (30, "header"), (BLOCK + 20, "group")])
def test_a_flipped_byte_before_the_last_group_is_refused(memory: Path, offset: int, what: str) -> None:
    _, path, _, _ = _build(memory / "a")
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt, match=what):
        Builder(memory / "a").open()


def test_a_missing_segment_is_refused(memory: Path) -> None:
    made = Builder(memory / "a")
    made.open()
    while len(made.log.closed()) < 2:
        made.group(4, b"z" * (SEGMENT_BYTES // 10))
    made.log.close()
    sorted((memory / "a" / "commit").iterdir())[1].unlink()
    with pytest.raises(LedgerCorrupt, match="are missing before"):
        Builder(memory / "a").open()


def test_the_same_seq_with_other_bytes_is_refused(memory: Path) -> None:
    _build(memory / "a")
    other = Builder(memory / "b")
    other.open()
    other.group(3, agent="somebody else")
    other.group(1)
    other.group(2)
    other.log.close()
    again = Builder(memory / "b")
    again.open()
    again.log.close()
    source = max((memory / "b" / "commit").iterdir())
    shutil.copy(source, memory / "a" / "commit" / source.name)
    with pytest.raises(LedgerCorrupt, match="stands twice with different bytes"):
        Builder(memory / "a").open()


@pytest.mark.parametrize("other", [False, True])
def test_a_group_of_which_some_stands_twice_is_read_on_after_that(memory: Path, *, other: bool) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(4)
    again = list(made.records[2:])
    made.group(2)
    again += made.records[4:]
    if other:
        again[1] = record(3, leaf(again[0]), agent="somebody else")
    opened = made.log.open_segment(2)
    made.log.append(opened, 2, [(data, ()) for data in again])
    made.log.close()
    twice = Builder(memory / "a")
    if other:
        with pytest.raises(LedgerCorrupt, match="record 3 stands twice with different bytes"):
            twice.open()
    else:
        assert twice.open().next_seq == 6
        assert twice.prev == leaf(made.records[-1])
        assert twice.contents() == made.records
        twice.log.close()


def test_a_record_that_does_not_follow_the_one_before_it_is_refused(memory: Path) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(4)
    made.prev = bytes(32)
    made.group(2)
    made.log.close()
    with pytest.raises(LedgerCorrupt, match="what stands as record 4 does not follow the record before it"):
        Builder(memory / "a").open()


@pytest.mark.parametrize("end", [0, 3, 4, 6])
def test_the_log_follows_the_settled_ledger_wherever_that_ends(memory: Path, end: int) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(4)
    made.group(2)
    made.log.close()
    leaves = [EMPTY_ROOT, *map(leaf, made.records)]

    def start(last: bytes) -> Recovered:
        log = CommitLog(memory / "a" / "commit", memory / "a" / "spare", STREAM, SEGMENT_BYTES)
        return recover(log, memory / "a" / "quarantine", STREAM, settled=(end, last), covered=0)

    with pytest.raises(LedgerCorrupt, match=r"does not follow|not the one that was settled"):
        start(leaves[end - 1] if end else bytes(32))
    assert start(leaves[end]).next_seq == 6


@pytest.mark.parametrize("torn", [False, True])
def test_a_first_start_that_ended_before_its_first_group_leaves_a_log_that_goes_on(memory: Path, *, torn: bool) -> None:
    made = Builder(memory / "a")
    made.open()
    opened = made.log.open_segment(0)
    made.log.close()
    if torn:
        data = bytearray(opened.path.read_bytes())
        data[BLOCK : BLOCK + 300] = b"half a group" * 25
        opened.path.write_bytes(data)
    for number in range(1, 4):
        again = Builder(memory / "a")
        found = again.open()
        assert found.next_seq == number - 1
        assert bool(found.torn) == torn
        again.group(1)
        again.log.close()


def test_a_segment_whose_header_tells_of_records_before_it_that_are_gone_is_refused(memory: Path) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(3)
    made.log.open_segment(3)
    made.log.close()
    next(iter(sorted((memory / "a" / "commit").iterdir()))).unlink()
    with pytest.raises(LedgerCorrupt, match="records 0 to 2 are missing"):
        Builder(memory / "a").open()


def test_a_log_that_ends_where_settling_does_with_another_last_record_is_refused(memory: Path) -> None:
    made = Builder(memory / "a")
    made.open()
    made.group(2)
    made.log.close()
    log = CommitLog(memory / "a" / "commit", memory / "a" / "spare", STREAM, SEGMENT_BYTES)
    quarantine = memory / "a" / "quarantine"
    with pytest.raises(LedgerCorrupt, match="record 1 is not the one that was settled"):
        recover(log, quarantine, STREAM, settled=(2, leaf(b"another")), covered=0)
    assert recover(log, quarantine, STREAM, settled=(2, made.prev), covered=0).next_seq == 2
    log.close()


def test_a_file_that_is_no_segment_is_named(memory: Path) -> None:
    _build(memory / "a")
    (memory / "a" / "commit" / "copy of 0000000000.log").write_bytes(b"")
    with pytest.raises(LedgerCorrupt, match="not the name of a segment"):
        Builder(memory / "a").open()
