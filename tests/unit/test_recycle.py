"""A segment is given back only when every byte of it was found again; else it stays, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

from audit import recycle
from audit.errors import LedgerCorrupt
from audit.journal import debt
from audit.journal.segment import BLOCK, RETIRED_MAGIC
from tests.doubles.stream import Stream
from tests.doubles.traffic import Traffic
from vault.errors import CorruptError

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = Traffic(5).mixed(512)


def opened(root: Path) -> Stream:
    stream = Stream(root)
    stream.append(ENTRIES)
    stream.roll()
    return stream


def spoil(path: Path, old: bytes) -> None:
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, bytes([old[0] ^ 1]) + old[1:]))


def settled_but_not_retired(root: Path) -> Stream:
    stream = opened(root)
    stream.published = 0
    stream.settle()
    stream.published = 512
    return stream


def test_a_body_that_is_not_found_again_keeps_its_segment(tmp_path: Path) -> None:
    stream = settled_but_not_retired(tmp_path)
    seq = next(seq for seq, entry in enumerate(ENTRIES) if len(entry.body) > 100)
    holder = next(path for path in (tmp_path / "packs").iterdir() if ENTRIES[seq].body in path.read_bytes())
    spoil(holder, ENTRIES[seq].body)
    with pytest.raises(LedgerCorrupt, match=f"the body of record {seq} was settled with other bytes"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.check(ENTRIES)
    holder.unlink()
    with pytest.raises(CorruptError):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.check(ENTRIES)
    stream.stop()


def test_a_body_in_no_pack_keeps_its_segment(tmp_path: Path) -> None:
    stream = settled_but_not_retired(tmp_path)
    stream.packs.erase({seq: Everything() for seq in range(20)})
    with pytest.raises(LedgerCorrupt, match="no pack holds the body of record"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.check(ENTRIES)
    stream.stop()


class Everything:
    """Leave to destroy anything."""

    def covers(self, name: str) -> bool:
        return True


def test_a_record_that_is_not_found_again_keeps_its_segment(tmp_path: Path) -> None:
    stream = settled_but_not_retired(tmp_path)
    path = tmp_path / "ledger" / "0000000000000000-0000000000000256.ndjson.zst"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerCorrupt, match="a damaged frame"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.stop()


def test_another_record_in_the_ledger_keeps_the_segment(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.append(ENTRIES[:256])
    stream.roll()
    records = [entry.record for entry in ENTRIES[:256]]
    stream.ledger.add([[*records[:70], records[70].replace(b"person", b"Person"), *records[71:]]])
    with pytest.raises(LedgerCorrupt, match="record 70 was settled with other bytes"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.stop()


def test_records_that_do_not_chain_keep_the_segment(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    entries = [*ENTRIES[:100], Traffic(77).mixed(101)[100], *ENTRIES[101:256]]
    stream.append(entries)
    stream.roll()
    with pytest.raises(LedgerCorrupt, match="what stands as record 100 does not follow"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.stop()


@pytest.mark.parametrize("kind", ["log", "parts"])
def test_a_body_that_is_not_what_its_record_says_keeps_the_segment(tmp_path: Path, kind: str) -> None:
    traffic = Traffic(9)
    for _ in range(256):
        traffic.put(kind)
    entries = list(traffic.entries)
    entries[33] = entries[33]._replace(body=entries[33].body[:-1] + b"?")
    stream = Stream(tmp_path)
    stream.append(entries)
    stream.roll()
    with pytest.raises(LedgerCorrupt, match="the body of record 33 is not what the record says"):
        stream.settle()
    assert stream.log.first_seq == 0
    stream.check(entries)
    stream.stop()


def test_a_damaged_segment_is_not_settled(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    path = stream.log.closed()[0].path
    good = path.read_bytes()
    for place in (30, BLOCK + 200, len(good.rstrip(b"\0")) - 1):
        bad = bytearray(good)
        bad[place] ^= 1
        path.write_bytes(bad)
        with pytest.raises(LedgerCorrupt, match=path.name):
            stream.settle()
        assert stream.ledger.end == 0
    path.write_bytes(good)
    stream.settle()
    stream.check(ENTRIES)
    stream.stop()


def test_a_segment_that_is_gone_or_retired_is_not_settled(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    path = stream.log.closed()[0].path
    good = path.read_bytes()
    path.write_bytes(RETIRED_MAGIC + good[len(RETIRED_MAGIC) :])
    with pytest.raises(LedgerCorrupt, match="not the segment that was opened"):
        stream.settle()
    path.unlink()
    with pytest.raises(LedgerCorrupt, match="cannot be read"):
        stream.settle()
    stream.stop()


def test_a_hole_in_the_log_is_not_settled(tmp_path: Path) -> None:
    stream = opened(tmp_path)
    first = stream.log.closed()[0]
    stream.log.forget(first)
    with pytest.raises(LedgerCorrupt, match=f"record 0 is missing before {first.end_seq}"):
        stream.settle()
    stream.stop()


@pytest.mark.parametrize(("room", "spares"), [(True, recycle.MAX_SPARES), (False, 1)])
def test_segments_are_kept_as_spares_where_there_is_room_and_one_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, room: bool, spares: int
) -> None:
    monkeypatch.setattr(recycle, "has_room", lambda *_: room)
    stream = Stream(tmp_path)
    for start in range(0, 512, 64):
        stream.append(ENTRIES[start : start + 64])
        stream.roll()
    for spare in (tmp_path / "spare").iterdir():
        spare.unlink()
    stream.settle()
    assert stream.log.first_seq == 512
    assert len(list((tmp_path / "spare").iterdir())) == spares
    stream.check(ENTRIES)
    stream.stop()


def test_other_threads_get_turns_unless_too_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries, turns = Traffic(5).mixed(812), list[float]()
    monkeypatch.setattr(recycle, "_never", mock.Mock(wait=turns.append))
    stream = Stream(tmp_path)
    stream.append(entries[:512])
    stream.roll()
    pieces = [piece for segment in stream.log.closed() for piece in recycle.contents(segment)]
    assert [record for piece in pieces for record in piece.records] == [entry.record for entry in entries[:512]]
    assert max(len(piece.records) for piece in pieces) <= recycle.TURN_RECORDS
    assert len(turns) in {2, 3}, "one after 128 records, however many groups they are"
    once = len(turns)
    stream.settle()
    assert len(turns) == 3 * once, "it is read twice: to copy it, and to compare the copies"
    turns.clear()
    stream.append(entries[512:])
    stream.roll()
    monkeypatch.setattr(debt, "UNSETTLED_BYTES", -1)
    stream.settle()
    assert not turns
    assert stream.ledger.end == 768
    stream.stop()
