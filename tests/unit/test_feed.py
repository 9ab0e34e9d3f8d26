from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from audit.feed import Cursor, furthest
from tests.doubles.stream import Stream
from tests.doubles.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRIES = Traffic(3).mixed(700)
RECORDS = list(enumerate(entry.record for entry in ENTRIES))


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    """700 records; those below 512 are settled, and some of them only there."""
    stream = Stream(tmp_path)
    stream.append(ENTRIES)
    stream.settle()
    assert 0 < stream.log.first_seq < stream.ledger.end == 512
    yield stream
    stream.stop()


@pytest.mark.parametrize("first", [0, 1, 255, 256, 400, 511, 512, 513, 699, 700])
def test_records_are_read_from_any_seq_to_the_watermark_or_the_end_asked_for(stream: Stream, first: int) -> None:
    assert list(stream.feed.read(first)) == RECORDS[first:]
    assert list(stream.feed.read(first, 600)) == RECORDS[first:600]
    assert list(stream.feed.read(first, 9999)) == RECORDS[first:]


STREAM = "site-a.node-1"


def test_a_single_record_is_read_from_either_half(stream: Stream) -> None:
    for seq in (0, 511, 512, 699):
        assert stream.feed.record(seq) == ENTRIES[seq].record
    with pytest.raises(LedgerCorrupt, match="record 700 is neither"):
        stream.feed.record(700)


def test_whoever_has_seen_more_than_there_is_is_told(stream: Stream) -> None:
    with pytest.raises(LedgerCorrupt, match="records end at 700, but a consumer has seen some up to 701"):
        next(stream.feed.read(701))


def test_records_that_are_settled_while_they_are_read_come_once(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.append(ENTRIES)
    reading = stream.feed.read(0)
    found = [next(reading) for _ in range(10)]
    stream.settle()
    found += [next(reading) for _ in range(500)]
    stream.append(more := Traffic(3).mixed(900)[700:])
    stream.settle()
    assert found + list(reading) == RECORDS
    assert list(stream.feed.read(700)) == [(seq, entry.record) for seq, entry in enumerate(more, 700)]
    stream.stop()


def test_a_settled_record_that_somebody_changed_is_noticed(tmp_path: Path, stream: Stream) -> None:
    file = tmp_path / "ledger" / "0000000000000000-0000000000000256.ndjson.zst"
    records = [entry.record for entry in ENTRIES[:256]]
    records[100] = records[100].replace(b"person-", b"Person-")
    file.unlink()
    other = Stream.__new__(Stream)  # only its ledger
    other.ledger = type(stream.ledger)(make(tmp_path / "other"))
    other.ledger.add([records])
    file.write_bytes((tmp_path / "other" / file.name).read_bytes())
    stream.stop()
    changed = type(stream.ledger)(tmp_path / "ledger")
    feed = type(stream.feed)(changed, stream.log)
    with pytest.raises(LedgerCorrupt, match="what stands as record 101 does not follow"):
        list(feed.read(0, 512))
    assert len(list(feed.read(102, 512))) == 410


def make(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_a_commit_log_that_does_not_continue_the_ledger_is_noticed(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.append(ENTRIES[:300])
    stream.roll()
    stream.settle()
    stream.append([ENTRIES[300], Traffic(8).mixed(302)[301]], group=1)
    with pytest.raises(LedgerCorrupt, match="what stands as record 301 does not follow"):
        list(stream.feed.read(0))
    stream.stop()


@pytest.mark.parametrize("limit", [1, 5_000, 1 << 30])
def test_runs_are_the_records_whatever_lies_between_and_wherever_they_are(tmp_path: Path, limit: int) -> None:
    """Small segments, bodies among the records, and half of it settled."""
    stream = Stream(tmp_path)
    stream.append(ENTRIES)
    for _ in range(2):
        taken: list[bytes] = []
        while run := stream.feed.take(len(taken), limit).records():
            taken += run
        assert taken == [record for _, record in RECORDS]
        stream.settle()
    assert stream.feed.take(len(ENTRIES) + 1, limit).records() == []
    stream.stop()


def test_a_waiting_reader_is_woken_by_the_next_record(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    assert not stream.feed.wait(0, 0)
    writer = threading.Thread(target=stream.append, args=(ENTRIES[:1],))
    writer.start()
    assert stream.feed.wait(0, 30)
    assert list(stream.feed.read(0)) == RECORDS[:1]
    writer.join()
    stream.stop()


def test_a_cursor_begins_at_0_and_is_remembered(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path, "relay", STREAM)
    assert cursor.load() == 0
    cursor.move(17)
    assert Cursor(tmp_path, "relay", STREAM).load() == 17
    Cursor(tmp_path, "relay-elastic", STREAM).move(99)
    Cursor(tmp_path, "relay", "site-a.node-1-r1").move(1000)
    cursor.move(5)
    assert Cursor(tmp_path, "relay", STREAM).load() == 5
    assert furthest(tmp_path, STREAM) == 99


def test_cursors_of_nobody_are_at_0(tmp_path: Path) -> None:
    assert furthest(tmp_path, STREAM) == 0


@pytest.mark.parametrize("data", [b"", b"{}", b'{"v":1,"next":"x"}', b'{"v":1,"next":-0.5}', b"\xff"])
def test_a_damaged_cursor_says_what_to_do(tmp_path: Path, data: bytes) -> None:
    (tmp_path / f"relay@{STREAM}").write_bytes(data)
    for load in (Cursor(tmp_path, "relay", STREAM).load, lambda: furthest(tmp_path, STREAM)):
        with pytest.raises(LedgerCorrupt, match="remove it, and its consumer begins again"):
            load()


@pytest.mark.parametrize("name", ["", ".", "../checkpoint", "a/b", "a.b", "A", "x" * 65, "-x"])
def test_a_cursors_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a consumer's name"):
        Cursor(tmp_path, name, STREAM)


def test_a_cursor_leaves_another_ones_half_written_file_alone(tmp_path: Path) -> None:
    (tmp_path / f"relay-elastic@{STREAM}.0011223344556677.tmp").write_bytes(b"half")
    (tmp_path / f"relay@{STREAM}.0011223344556677.tmp").write_bytes(b"half")
    Cursor(tmp_path, "relay", STREAM)
    assert [path.name for path in tmp_path.iterdir()] == [f"relay-elastic@{STREAM}.0011223344556677.tmp"]
