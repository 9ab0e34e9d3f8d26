"""The commit log's bytes: what is written is read, and nothing else is ever read as if it had been written."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import LedgerCorrupt
from audit.journal import segment as format_
from audit.journal.segment import BLOCK, GROUP_HEADER_BYTES, GroupHeader, SegmentHeader
from vault.record import MAX_RECORD_BYTES

U64: Final = st.integers(0, (1 << 64) - 1)
STREAM: Final = st.binary(min_size=32, max_size=32)
#: Lengths about the ends of blocks and the longest record, beside any short ones.
LENGTH: Final = st.one_of(st.integers(0, 200), st.integers(BLOCK - 120, BLOCK + 20), st.just(MAX_RECORD_BYTES))
ENTRIES: Final = st.lists(st.tuples(LENGTH, LENGTH, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6)
SEGMENTS: Final = st.builds(SegmentHeader, U64, U64, U64, U64, STREAM)


def entries(shapes: list[tuple[int, int, bytes]]) -> list[tuple[bytes, bytes]]:
    """Records and bodies of some lengths, whose bytes repeat a seed."""
    return [((seed * record)[:record], (seed[::-1] * body)[:body]) for record, body, seed in shapes]


@given(st.lists(st.tuples(st.binary(max_size=9), st.lists(st.binary(max_size=9), max_size=3)), min_size=1), U64)
def test_a_packed_record_stands_where_it_says(some: list[tuple[bytes, list[bytes]]], start: int) -> None:
    packed = format_.pack(some, start)
    data = b"".join(packed.payload)
    assert len(data) == packed.length
    for (record, body), (offset, length, size) in zip(some, packed.places, strict=True):
        whole = record + b"".join(body)
        assert data[offset - start :][: length + size] == whole
        assert (length, size) == (len(record), len(whole) - len(record))
        assert data[offset - start - 8 : offset - start] == length.to_bytes(4, "big") + size.to_bytes(4, "big")


def encoded(segment: SegmentHeader, offset: int, first_seq: int, some: list[tuple[bytes, bytes]]) -> bytes:
    """A group as it stands in its segment, with zeros before and after it."""
    payload = format_.pack([(record, (body,)) for record, body in some], 0).payload
    header = GroupHeader(
        count=len(some),
        length=sum(map(len, payload)),
        segment=segment.number,
        offset=offset,
        incarnation=segment.incarnation,
        first_seq=first_seq,
        durable_through=first_seq,
        stream=segment.stream,
    )
    group = b"".join(format_.encode_group(header, payload))
    assert len(group) % BLOCK == 0
    assert header.end == offset + len(group)
    return bytes(offset) + group + bytes(BLOCK)


@given(ENTRIES, SEGMENTS, st.integers(0, 3), st.integers(0, 1 << 40))
def test_any_records_and_bodies_are_read_as_they_were_written(
    shapes: list[tuple[int, int, bytes]], segment: SegmentHeader, block: int, first_seq: int
) -> None:
    some = entries(shapes)
    data = encoded(segment, block * BLOCK, first_seq, some)
    group = format_.read_group(memoryview(data), block * BLOCK, segment)
    assert group is not None
    read = format_.places(data, group, "here")
    assert [data[start:][:length] for start, length, _ in read] == [record for record, _ in some]
    assert [data[start + length :][:body] for start, length, body in read] == [body for _, body in some]
    assert (group.first_seq, len(read)) == (first_seq, len(some))
    assert group.length == sum(format_.frame_bytes(len(record), len(body)) for record, body in some)


@given(ENTRIES, SEGMENTS, st.data())
def test_a_group_with_a_flipped_bit_or_a_cut_is_no_group(
    shapes: list[tuple[int, int, bytes]], segment: SegmentHeader, draw: st.DataObject
) -> None:
    data = encoded(segment, BLOCK, 7, entries(shapes))
    used = GROUP_HEADER_BYTES + sum(format_.frame_bytes(record, body) for record, body, _ in shapes)
    at = draw.draw(st.integers(0, used * 8 - 1), label="bit")
    flipped = bytearray(data)
    flipped[BLOCK + at // 8] ^= 1 << at % 8
    assert format_.read_group(bytes(flipped), BLOCK, segment) is None
    cut = draw.draw(st.integers(0, used - 1), label="cut")
    kept = data[: BLOCK + cut]
    assert format_.read_group(kept, BLOCK, segment) is None
    if any(data[BLOCK + cut : BLOCK + used]):
        assert format_.read_group(kept.ljust(len(data), b"\0"), BLOCK, segment) is None


@given(ENTRIES, SEGMENTS, SEGMENTS, st.integers(0, 3))
def test_a_group_of_another_segment_stream_or_offset_is_no_group(
    shapes: list[tuple[int, int, bytes]], segment: SegmentHeader, other: SegmentHeader, block: int
) -> None:
    data = encoded(segment, BLOCK, 7, entries(shapes))
    for stranger in (replace(segment, number=other.number), replace(segment, stream=other.stream)):
        found = format_.read_group(data, BLOCK, stranger)
        assert (found is None) == (stranger != segment)
    elsewhere = bytes(block * BLOCK) + data[BLOCK:]
    assert (format_.read_group(elsewhere, block * BLOCK, segment) is None) == (block != 1)


@given(st.binary(max_size=200), SEGMENTS)
def test_any_bytes_behind_the_magic_are_no_group(noise: bytes, segment: SegmentHeader) -> None:
    data = (format_.GROUP_MAGIC + noise).ljust(2 * BLOCK, b"\0")
    assert format_.read_group(data, 0, segment) is None


@given(SEGMENTS, st.integers(0, 76 * 8 - 1), st.integers(0, 75))
def test_a_segment_header_is_read_as_it_was_written_and_not_at_all_otherwise(
    segment: SegmentHeader, bit: int, cut: int
) -> None:
    block = segment.encode()
    assert len(block) == BLOCK
    assert format_.decode_segment_header(block, "here") == segment
    flipped = bytearray(block)
    flipped[bit // 8] ^= 1 << bit % 8
    for bad in (bytes(flipped), block[:cut]):
        with pytest.raises(LedgerCorrupt):
            format_.decode_segment_header(bad, "here")
    assert format_.decode_segment_header(format_.RETIRED_MAGIC + block[8:], "here") is None


@settings(max_examples=50)
@given(ENTRIES, SEGMENTS, st.integers(-2, 2), st.integers(-7, 7))
def test_frames_that_do_not_fill_a_payload_exactly_are_refused(
    shapes: list[tuple[int, int, bytes]], segment: SegmentHeader, more: int, longer: int
) -> None:
    data = encoded(segment, BLOCK, 7, entries(shapes))
    group = format_.read_group(data, BLOCK, segment)
    assert group is not None
    # By less than a frame's own header: more of it could be an empty record, or be none.
    lying = replace(group, count=max(group.count + more, 1), length=group.length + longer)
    if lying == group:
        return
    with pytest.raises(LedgerCorrupt):
        format_.places(data, lying, "here")
