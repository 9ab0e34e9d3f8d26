from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from audit.journal import log as log_
from audit.journal import segment_file
from audit.journal.log import SPARES
from audit.journal.segment import BLOCK, SEGMENT_MAGIC
from audit.journal.segment_file import Segment
from tests.doubles.commitlog import SEGMENT_BYTES, Builder
from tests.doubles.memory import memory_directory
from vault import device, durable
from vault.errors import CorruptError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder() -> Iterator[Builder]:
    with memory_directory() as directory:
        made = Builder(directory / "a")
        made.open()
        yield made
        made.log.close()


def fill(builder: Builder, segments: int) -> None:
    """Write groups until so many segments are closed."""
    while len(builder.log.closed()) < segments:
        builder.group(3, b"x" * (SEGMENT_BYTES // 8))


# Reading


def test_records_and_bodies_are_found_in_whatever_segment_they_stand(builder: Builder) -> None:
    fill(builder, 3)
    for seq, record in enumerate(builder.records):
        assert builder.log.record(seq) == record
        assert builder.log.read(seq, 3, 5) == b"xxxxx"
    assert builder.contents() == builder.records
    assert builder.log.record(len(builder.records)) is None
    with pytest.raises(CorruptError, match="shorter than"):
        builder.log.read(0, SEGMENT_BYTES // 8, 1)


@pytest.mark.parametrize("together", [0, 1000, 1 << 20])
def test_records_come_in_order_from_wherever_one_begins(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(segment_file, "READ_BYTES", together)
    for size in (0, 1, 900, 0, 5000, 0, 0, SEGMENT_BYTES // 4, 0, SEGMENT_BYTES // 8, 0):
        builder.group(3, b"x" * size)
    assert builder.log.closed()
    for start in range(len(builder.records) + 1):
        assert list(builder.log.tail(start)) == list(enumerate(builder.records))[start:]


@pytest.mark.parametrize("body", [0, 40, 5000])
def test_one_read_gives_all_the_records_within_it_alone(builder: Builder, body: int) -> None:
    for _ in range(4):
        builder.group(3, b"x" * body)
    end, records = len(builder.records), builder.records
    run = builder.log.run(1, end, SEGMENT_BYTES)
    assert run is not None
    assert run.records() == records[1:]
    assert len(run.data) < 2 * sum(map(len, records)) + 12 * 40  # not the bodies, where they are longer
    few = builder.log.run(1, end - 2, 3 * body + 3 * len(records[0]))
    assert few is not None
    assert few.records() == records[1 : 1 + len(few.lengths)]
    assert 0 < len(few.lengths) < end - 3
    assert builder.log.run(end, end, 1) is None


def test_bodies_are_at_hand_where_the_page_cache_holds_them(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(builder, 1)
    oldest = builder.log.closed()[0]
    monkeypatch.setattr(device, "read_cached", lambda fd, offset, length: os.pread(fd, length, offset))
    assert builder.log.at_hand(1, 4) == b"xxxx"
    assert builder.log.at_hand(1, SEGMENT_BYTES // 8 + 1) is None
    assert builder.log.at_hand(len(builder.records), 1) is None

    def forgotten_meanwhile(fd: int, offset: int, length: int) -> bytes:
        builder.log.forget(oldest)
        return bytes(length)

    monkeypatch.setattr(device, "read_cached", forgotten_meanwhile)
    assert builder.log.at_hand(1, 4) is None
    monkeypatch.setattr(device, "read_cached", lambda *_: None)
    assert builder.log.at_hand(oldest.end_seq, 4) is None


def test_what_was_forgotten_is_not_here_any_more_and_the_rest_is(builder: Builder) -> None:
    fill(builder, 2)
    oldest = builder.log.closed()[0]
    builder.log.forget(oldest)
    assert builder.log.record(0) is None
    assert builder.log.read(0, 0, 1) is None
    assert builder.log.first_seq == oldest.end_seq
    assert builder.log.record(oldest.end_seq) == builder.records[oldest.end_seq]
    with pytest.raises(LedgerCorrupt, match="record 0 is not in the commit log"):
        list(builder.log.tail(0))


@pytest.mark.parametrize("what", ["record", "body"])
def test_bytes_read_from_a_segment_that_is_forgotten_meanwhile_do_not_count(
    builder: Builder, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(builder, 1)
    read = Segment._read

    def recycled_under_the_reader(segment: Segment, offset: int, length: int) -> bytes:
        builder.log.forget(segment)
        segment.path.write_bytes(bytes(SEGMENT_BYTES))
        return read(segment, offset, length)

    monkeypatch.setattr(Segment, "_read", recycled_under_the_reader)
    assert (builder.log.record(0) if what == "record" else builder.log.read(0, 0, 4)) is None


def test_a_forgotten_segments_descriptor_stays_open_for_who_still_reads_it(builder: Builder) -> None:
    fill(builder, 1)
    reader = builder.log.closed()[0]
    held = reader.file()
    descriptor = held.fd
    builder.log.forget(reader)
    assert os.fstat(descriptor).st_size == SEGMENT_BYTES
    assert os.pread(descriptor, 8, 0) == SEGMENT_MAGIC
    del held, reader
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_the_oldest_seq_is_found_behind_a_segment_that_was_opened_and_never_written(builder: Builder) -> None:
    builder.group(4)
    builder.log.open_segment(4)
    builder.log.close()
    again = Builder(builder.root)
    again.open()
    first, empty, rewritten = again.log._segments
    assert (first.first_seq, empty.first_seq, rewritten.first_seq) == (0, 4, 0)
    again.log.forget(first)
    assert again.log.first_seq == 0
    assert [again.log.record(seq) for seq in range(4)] == builder.records
    again.log.close()


def test_waiting_ends_when_the_record_is_durable(builder: Builder) -> None:
    assert not builder.log.wait(0, 0)
    waiter = threading.Thread(target=builder.log.wait, args=(0, 30))
    waiter.start()
    builder.group(1)
    waiter.join(30)
    assert not waiter.is_alive()
    assert builder.log.wait(0, 0)
    assert not builder.log.wait(1, 0)


# Segments and spares


def test_every_group_fits_the_segment_it_goes_to(builder: Builder) -> None:
    for size in (1, builder.log.max_payload // 2, builder.log.max_payload, 1, builder.log.max_payload - 5000):
        target = builder.log.room(size)
        assert target.end_offset + size <= SEGMENT_BYTES - 96
        target.end_offset += size + 96
    assert all(item.path.stat().st_size == SEGMENT_BYTES for item in builder.log._segments)


def test_the_one_that_is_written_is_not_closed(builder: Builder) -> None:
    assert builder.log.closed() == []
    builder.group(1)
    assert builder.log.closed() == []
    active = builder.log.room(1)
    fill(builder, 1)
    assert builder.log.closed() == [active]
    assert builder.log.disk_bytes == 2 * SEGMENT_BYTES


def test_the_last_spare_is_for_what_must_always_be_possible_where_no_other_can_be_made(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.log.keep_spares()
    monkeypatch.setattr(log_, "has_room", lambda *_: False)
    monkeypatch.setattr(log_, "require_room", no_room)
    whole = SEGMENT_BYTES - 3 * BLOCK
    for _ in range(SPARES - 1):
        builder.group(1, b"x" * (whole - 1000))
    assert not builder.log.full
    with pytest.raises(Unavailable, match="the last spare"):
        builder.log.room(whole)
    assert builder.log.full
    assert builder.log.room(whole, last=True).end_seq == builder.log.durable_end
    builder.group(1, b"x" * (whole - 1000))
    with pytest.raises(Unavailable):
        builder.log.room(whole, last=True)
    monkeypatch.undo()
    assert not builder.log.full
    builder.group(1, b"x" * (whole - 1000))


def no_room(*_: object) -> None:
    raise Unavailable("no room")


def test_a_spare_that_is_being_made_is_waited_for(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    began, finish = threading.Event(), threading.Event()
    preallocate, made = durable.preallocate, list[str]()

    def slow(path: Path, size: int) -> None:
        made.append(threading.current_thread().name)
        began.set()
        assert finish.wait(30)
        preallocate(path, size)

    monkeypatch.setattr(durable, "preallocate", slow)
    monkeypatch.setattr(log_, "SPARES", 1)
    failed: list[Exception] = []

    def run(job: str) -> None:
        try:
            builder.log.keep_spares() if job == "background" else builder.log.open_segment(0)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(job,), name=job) for job in ("background", "committer")]
    threads[0].start()
    assert began.wait(30)
    threads[1].start()
    finish.set()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert len(builder.log._segments) == 1
    assert set(made) == {"background"}


def test_a_start_removes_spares_of_another_length_and_what_a_crash_left(builder: Builder) -> None:
    durable.preallocate(builder.log.spares / "0000.log", SEGMENT_BYTES // 2)
    durable.preallocate(builder.log.spares / "0001.log", SEGMENT_BYTES)
    (builder.log.spares / "0002.log.0123.tmp").write_bytes(b"half")
    again = Builder(builder.root)
    again.open()
    assert [path.name for path in again.log.spares.iterdir()] == ["0001.log"]
    again.group(1)
    again.log.close()
    third = Builder(builder.root)
    third.open()
    assert third.contents() == again.records
    third.log.close()
