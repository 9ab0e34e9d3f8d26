"""Settling keeps every record and body readable, and gives a segment back only when both were found again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from audit.journal.segment import BLOCK, RETIRED_MAGIC
from audit.recycle import MAX_SPARES
from audit.settle import HELD
from tests.doubles.stream import SEGMENT_BYTES, Stream
from tests.doubles.traffic import Entry, Traffic
from vault.errors import Unavailable
from vault.record import decode
from vault.storage import pack

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = Traffic(5).mixed(900)


def opened(root: Path, count: int = len(ENTRIES)) -> Stream:
    stream = Stream(root)
    stream.append(ENTRIES[:count])
    return stream


def test_everything_is_readable_after_each_step_and_after_a_restart(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    stream.check(ENTRIES)
    steps = 0
    while stream.settler.step():
        steps += 1
        stream.check(ENTRIES)
    assert steps > 5
    assert 512 <= stream.ledger.end < 900
    assert stream.log.first_seq > 256
    stream.stop()
    again = Stream(tmp_path)
    again.check(ENTRIES)
    again.roll()
    again.settle()
    again.check(ENTRIES)
    assert again.ledger.end == 768
    again.stop()


def test_up_to_255_records_wait_and_so_does_their_segment(tmp_path: Path) -> None:
    stream = opened(tmp_path, 255)
    stream.roll()
    stream.settle()
    assert (stream.ledger.end, stream.log.first_seq) == (0, 0)
    stream.append(ENTRIES[255:257])
    stream.roll()
    stream.settle()
    assert stream.ledger.end == 256
    assert stream.log.first_seq == 255
    stream.check(ENTRIES[:257])
    stream.stop()


def test_what_waits_is_found_again_after_a_restart(tmp_path: Path) -> None:
    stream = opened(tmp_path, 300)
    stream.roll()
    stream.settle()
    stream.stop()
    for end in (300, 400, 600):
        stream = Stream(tmp_path)
        stream.append(ENTRIES[stream.log.durable_end : end])
        stream.roll()
        stream.settle()
        stream.check(ENTRIES[:end])
        assert stream.ledger.end == end // 256 * 256
        stream.stop()


def test_the_open_segment_is_left_alone(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    assert stream.settle() == 0
    stream.append(ENTRIES[:100])
    assert stream.settle() == 0
    stream.stop()


def test_a_segment_stays_until_a_published_checkpoint_covers_it(tmp_path: Path) -> None:
    stream = opened(tmp_path, 512)
    stream.roll()
    ends = [segment.end_seq for segment in stream.log.closed()]
    stream.published = ends[0] - 1
    stream.settle()
    assert stream.ledger.end == 512
    assert stream.log.first_seq == 0
    stream.published = ends[0]
    stream.settle()
    assert stream.log.first_seq == ends[0]
    stream.stop()


def test_a_retired_segment_keeps_its_bytes_while_somebody_reads_them(tmp_path: Path) -> None:
    stream = opened(tmp_path, 512)
    stream.roll()
    first = stream.log.closed()[0]
    bodies = first.path.read_bytes()[BLOCK:]
    release = stream.leases.take(10)
    stream.settle()
    assert stream.log.first_seq == 512
    recycled = stream.settler.recycled
    assert first.path.read_bytes()[: len(RETIRED_MAGIC)] == RETIRED_MAGIC
    assert first.path.read_bytes()[BLOCK:] == bodies
    stream.leases.take(10)  # it came later, so it reads from the pack
    release()
    assert stream.settle() == 1
    assert stream.settler.recycled == recycled + 1
    assert not first.path.exists()
    stream.stop()


def test_a_recycled_segment_is_a_spare_one_of_zeros(tmp_path: Path) -> None:
    stream = opened(tmp_path, 512)
    stream.roll()
    stream.settle()
    spares = sorted((tmp_path / "spare").iterdir())
    assert spares
    for spare in spares:
        data = spare.read_bytes()
        assert len(data) == SEGMENT_BYTES
        assert not any(data[BLOCK:])
    stream.append(ENTRIES[512:])
    stream.check(ENTRIES)
    stream.stop()
    again = Stream(tmp_path)
    again.check(ENTRIES)
    again.stop()


def test_no_more_spare_segments_are_kept_than_are_of_use(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for start in range(0, 768, 64):
        stream.append(ENTRIES[start : start + 64])
        stream.roll()
    stream.settle()
    assert len(list((tmp_path / "spare").iterdir())) == MAX_SPARES
    assert len(list((tmp_path / "commit").iterdir())) == 1
    stream.stop()


def test_a_segment_of_another_length_is_no_spare_one(tmp_path: Path) -> None:
    stream = opened(tmp_path, 512)
    stream.roll()
    stream.log.segment_bytes = 2 * SEGMENT_BYTES
    stream.settle()
    assert list((tmp_path / "spare").iterdir()) == []
    stream.stop()


def test_bodies_lie_by_bucket_domain_and_month_and_unlocked_ones_apart(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    stream.settle()
    seen = set()
    for path in (tmp_path / "packs").iterdir():
        data = path.read_bytes()
        index = pack.decode_index(lambda at, length, data=data: data[at : at + length], len(data), path.name)  # type: ignore[misc]
        places = set()
        for seq in index.seqs:
            head, tail = decode(ENTRIES[seq].record)
            assert tail.object is not None
            assert tail.storage is not None
            until = head.lock.until[:7] if head.lock is not None else ""
            places.add((tail.object.bucket, tail.storage.domain, until))
        assert len(places) == 1
        bucket, _, until = places.pop()
        assert (index.header.bucket, index.header.until) == (bucket, until)
        seen.add((bucket, until))
    assert len(seen) == 6
    stream.stop()


def test_held_bodies_lie_apart_from_unlocked_ones(tmp_path: Path) -> None:
    traffic = Traffic(6)
    lock, hold = b'{"mode":"COMPLIANCE","until":"2032-11-22T00:00:00.000000000Z"}', b'{"hold":true}'
    entries = [Entry(traffic.put().record.replace(lock, hold), traffic.entries[-1].body) for _ in range(40)]
    stream = Stream(tmp_path)
    stream.append(entries)
    stream.roll()
    stream.settle()
    headers = [path.read_bytes()[12:120].decode(errors="replace") for path in (tmp_path / "packs").iterdir()]
    assert {header.split('"until":"')[1].split('"')[0] for header in headers} == {"", HELD, "2032-12"}
    stream.stop()


def test_a_full_disk_delays_settling_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = opened(tmp_path, 512)
    stream.roll()
    real = os.statvfs(tmp_path)
    with monkeypatch.context() as patch:
        free = iter([real.f_bavail, real.f_bavail, 1, 1])  # room for the records and one pack
        patch.setattr("vault.storage.room.os.statvfs", lambda _: os.statvfs_result((*real[:4], next(free), *real[5:])))
        for _ in range(2):
            with pytest.raises(Unavailable, match="no room"):
                stream.settle()
            stream.check(ENTRIES[:512])
    stream.settle()
    stream.check(ENTRIES[:512])
    assert (stream.ledger.end, stream.log.first_seq) == (512, 512)
    stream.stop()
    again = Stream(tmp_path)
    again.check(ENTRIES[:512])
    again.stop()
