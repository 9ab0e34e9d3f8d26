"""The settled ledger: its files as any Zstandard tool reads them, and as ours does."""

from __future__ import annotations

import io
import os
import random
import struct
from typing import TYPE_CHECKING

import pytest
import zstandard

from audit.errors import LedgerCorrupt
from audit.ledger import SettledLedger, store
from tests.doubles.traffic import Traffic
from vault.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

RECORDS = [entry.record for entry in Traffic(2).mixed(256 * 5)]
FRAMES = [RECORDS[at : at + 256] for at in range(0, len(RECORDS), 256)]


@pytest.fixture
def ledger(tmp_path: Path) -> SettledLedger:
    """Records 0 to 511, then 512 to 1279."""
    ledger = SettledLedger(tmp_path)
    ledger.add(FRAMES[:2])
    ledger.add(FRAMES[2:])
    return ledger


def path(directory: Path) -> Path:
    return directory / "0000000000000512-0000000000001280.ndjson.zst"


def test_any_decompressor_prints_the_records(tmp_path: Path, ledger: SettledLedger) -> None:
    printed = b""
    for name in sorted(tmp_path.iterdir()):
        with zstandard.ZstdDecompressor().stream_reader(name.read_bytes(), read_across_frames=True) as reader:
            printed += io.BufferedReader(reader).read()
    assert printed == b"".join(record + b"\n" for record in RECORDS)


def test_the_seek_table_finds_each_frame(tmp_path: Path, ledger: SettledLedger) -> None:
    data = path(tmp_path).read_bytes()
    frames, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert (frames, descriptor, magic) == (3, 0, 0x8F92EAB1)
    table = len(data) - 9 - 8 * frames
    assert struct.unpack("<II", data[table - 8 : table]) == (0x184D2A5E, 8 * frames + 9)
    position = 0
    for number in range(frames):
        packed, plain = struct.unpack_from("<II", data, table + 8 * number)
        text = zstandard.ZstdDecompressor().decompress(data[position : position + packed])
        assert text.splitlines() == FRAMES[2 + number]
        assert len(text) == plain
        position += packed
    assert position == table - 8


def test_records_are_read_by_seq_and_in_order_from_any(tmp_path: Path, ledger: SettledLedger) -> None:
    for opened in (ledger, SettledLedger(tmp_path)):
        assert opened.end == 1280
        assert [opened.record(seq) for seq in (0, 255, 256, 511, 512, 1279)] == [
            RECORDS[seq] for seq in (0, 255, 256, 511, 512, 1279)
        ]
        for first, end in ((0, None), (1, 1280), (500, 530), (511, 512), (1279, 9999), (1280, None), (7, 7)):
            expected = list(enumerate(RECORDS))[first:end]
            assert list(opened.iterate(first, end)) == expected
            assert list(opened.read_back(first, 9999 if end is None else end)) == expected


@pytest.mark.parametrize("together", [0, 60_000, 120_000])
def test_what_is_read_back_is_the_same_however_many_frames_come_together(
    ledger: SettledLedger, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr("audit.ledger.store.READ_BACK_BYTES", together)
    for first, end in ((0, 1280), (255, 257), (300, 900), (1279, 1280)):
        assert list(ledger.read_back(first, end)) == list(enumerate(RECORDS))[first:end]


@pytest.mark.parametrize("seq", [-1, 1280, 1 << 60])
def test_a_record_that_is_not_settled_is_none(ledger: SettledLedger, seq: int) -> None:
    with pytest.raises(LedgerCorrupt, match=f"record {seq} is not settled"):
        ledger.record(seq)


def test_an_empty_ledger_ends_at_0(tmp_path: Path) -> None:
    ledger = SettledLedger(tmp_path)
    ledger.add([])
    assert ledger.end == 0
    assert list(ledger.iterate(0)) == []
    assert list(tmp_path.iterdir()) == []


def test_frames_are_of_256_records(tmp_path: Path) -> None:
    refused: list[list[list[bytes]]] = [[RECORDS[:255]], [RECORDS[:255], RECORDS[:1]], [RECORDS[:257]], [[]]]
    for frames in refused:
        with pytest.raises(ValueError, match="frame"):
            SettledLedger(tmp_path).add(frames)
    assert list(tmp_path.iterdir()) == []


def test_the_last_frame_of_a_stream_that_is_closed_may_be_short(tmp_path: Path) -> None:
    closed = SettledLedger(tmp_path, closed=True)
    closed.add([RECORDS[:256], RECORDS[256:300]])
    again = SettledLedger(tmp_path, closed=True)
    for ledger in (closed, again):
        assert ledger.end == 300
        assert list(ledger.iterate(250)) == list(enumerate(RECORDS[250:300], 250))
        assert list(ledger.read_back(255, 300)) == list(enumerate(RECORDS[255:300], 255))
        assert ledger.record(299) == RECORDS[299]
    with pytest.raises(LedgerCorrupt, match="cannot reach"):
        SettledLedger(tmp_path)
    with pytest.raises(LedgerCorrupt, match="cannot reach"):
        closed.add([RECORDS[:256]])


def test_no_changed_byte_gives_another_record(tmp_path: Path, ledger: SettledLedger) -> None:
    file = path(tmp_path)
    good = file.read_bytes()
    places = [*random.Random(1).sample(range(len(good)), 150), *range(len(good) - 60, len(good))]
    for place in places:
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        file.write_bytes(bad)
        try:
            found = list(SettledLedger(tmp_path).iterate(512))
        except LedgerCorrupt:
            continue
        assert found == list(enumerate(RECORDS))[512:]  # a bit that means nothing, as in a frame's reserved ones


def test_a_cut_file_is_damage(tmp_path: Path, ledger: SettledLedger) -> None:
    good = path(tmp_path).read_bytes()
    for length in (0, 1, 20, 41, len(good) // 2, len(good) - 1):
        path(tmp_path).write_bytes(good[:length])
        with pytest.raises(LedgerCorrupt, match="seek table"):
            SettledLedger(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("0000000000001536-0000000000001792", "records 1280 to 1535 are missing before it"),
        ("0000000000000256-0000000000000768", "records 256 to 511 stand twice"),
        ("0000000000001280-0000000000001281", "a segment cannot reach from 1280 to 1281"),
        ("0000000000001280-0000000000001280", "a segment cannot reach from 1280 to 1280"),
    ],
)
def test_a_gap_an_overlap_or_a_wrong_cut_stops_the_start(
    tmp_path: Path, ledger: SettledLedger, name: str, problem: str
) -> None:
    (tmp_path / f"{name}.ndjson.zst").write_bytes(b"")
    with pytest.raises(LedgerCorrupt, match=problem):
        SettledLedger(tmp_path)


def test_a_missing_segment_stops_the_start(tmp_path: Path, ledger: SettledLedger) -> None:
    (tmp_path / "0000000000000000-0000000000000512.ndjson.zst").unlink()
    with pytest.raises(LedgerCorrupt, match="records 0 to 511 are missing"):
        SettledLedger(tmp_path)


def test_a_segment_that_vanishes_is_named_when_it_is_read(tmp_path: Path, ledger: SettledLedger) -> None:
    path(tmp_path).unlink()
    for read in (lambda: ledger.record(600), lambda: list(ledger.read_back(600, 601))):
        with pytest.raises(LedgerCorrupt, match=path(tmp_path).name):
            read()
    assert ledger.record(0) == RECORDS[0]


@pytest.mark.parametrize("plain", [b"\n" * 255, b"\n" * 257, b"x" * 256, b"", b"\n" * 256 + b"x"])
def test_a_frame_that_is_not_256_lines_is_damage(tmp_path: Path, plain: bytes) -> None:
    frame = zstandard.ZstdCompressor().compress(plain)
    table = struct.pack("<II", len(frame), len(plain)) + struct.pack("<IBI", 1, 0, 0x8F92EAB1)
    file = tmp_path / "0000000000000000-0000000000000256.ndjson.zst"
    file.write_bytes(frame + struct.pack("<II", 0x184D2A5E, len(table)) + table)
    with pytest.raises(LedgerCorrupt, match="not 256 lines"):
        SettledLedger(tmp_path).record(0)


def test_a_frame_that_claims_to_be_huge_is_not_unpacked(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor().compress(bytes(9 * 1024 * 1024))
    table = struct.pack("<II", len(frame), 5) + struct.pack("<IBI", 1, 0, 0x8F92EAB1)
    file = tmp_path / "0000000000000000-0000000000000256.ndjson.zst"
    file.write_bytes(frame + struct.pack("<II", 0x184D2A5E, len(table)) + table)
    with pytest.raises(LedgerCorrupt, match="a frame claims 9437184 bytes"):
        SettledLedger(tmp_path).record(0)
    file.write_bytes(
        frame + struct.pack("<II", 0x184D2A5E, len(table)) + struct.pack("<II", len(frame), 1 << 30) + table[8:]
    )
    with pytest.raises(LedgerCorrupt, match="frame 0 claims 1073741824 bytes"):
        SettledLedger(tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_written(
    tmp_path: Path, ledger: SettledLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr("vault.storage.room.os.statvfs", lambda _: os.statvfs_result((*real[:4], 1, *real[5:])))
    with pytest.raises(Unavailable, match="no room"):
        ledger.add(FRAMES[:1])
    assert ledger.end == 1280
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_crash_left_is_tidied_up(tmp_path: Path, ledger: SettledLedger) -> None:
    (tmp_path / "0000000000001280-0000000000001536.ndjson.zst.0011223344556677.tmp").write_bytes(b"half")
    assert SettledLedger(tmp_path).end == 1280
    assert len(list(tmp_path.iterdir())) == 2


class Leave:
    """Leave to prune some records of a segment."""

    def __init__(self, first: int, end: int, seqs: set[int]) -> None:
        self.first, self.end, self._seqs = first, end, seqs

    def covers(self, seq: int) -> bool:
        return seq in self._seqs


def test_what_is_pruned_reads_as_nothing_and_the_rest_as_it_was(tmp_path: Path, ledger: SettledLedger) -> None:
    ledger.record(3)  # in the cache
    before = (tmp_path / "0000000000000000-0000000000000512.ndjson.zst").stat().st_size
    ledger.thin(Leave(0, 512, {*range(256), 300}))
    expected = [b"" if seq < 256 or seq == 300 else record for seq, record in enumerate(RECORDS)]
    for opened in (ledger, SettledLedger(tmp_path)):
        assert [opened.record(seq) for seq in range(len(RECORDS))] == expected
        assert [record for _, record in opened.iterate(0)] == expected
        assert opened.spans == [(0, 512), (512, 1280)]
    assert (tmp_path / "0000000000000000-0000000000000512.ndjson.zst").stat().st_size < before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_reader_that_looked_before_a_segment_was_thinned_reads_what_is_left(
    tmp_path: Path, ledger: SettledLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store._read
    thinned: list[int] = []

    def read(path: Path, offset: int, length: int) -> bytes:
        if not thinned:
            thinned.append(1)
            ledger.thin(Leave(0, 512, set(range(500))))
        return real(path, offset, length)

    monkeypatch.setattr(store, "_read", read)
    assert ledger.record(511) == RECORDS[511]
    assert ledger.record(300) == b""


def test_the_newest_segment_and_half_a_segment_are_not_thinned(ledger: SettledLedger) -> None:
    with pytest.raises(StopIteration):
        ledger.thin(Leave(512, 1280, {600}))
    with pytest.raises(ValueError, match="the segment ends at 512"):
        ledger.thin(Leave(0, 256, {3}))
    assert ledger.record(3) == RECORDS[3]


def test_a_device_that_gives_back_other_bytes_keeps_the_old_segment(
    tmp_path: Path, ledger: SettledLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store._read_back

    def read(path: Path, offset: int, length: int) -> bytes:
        data = real(path, offset, length)
        return data[:-1] if path.suffix == ".tmp" else data

    monkeypatch.setattr(store, "_read_back", read)
    with pytest.raises(LedgerCorrupt, match="gives back other bytes"):
        ledger.thin(Leave(0, 512, {3}))
    assert SettledLedger(tmp_path).record(3) == RECORDS[3]
