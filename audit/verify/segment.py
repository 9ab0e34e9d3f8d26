"""A commit log segment (ARCHITECTURE, Commit log segment): header block, groups, zeros.

Every group up to the end of what is good is checked: its header field by field, its checksum, its records, and each
body against the descriptor in its record. What follows must be zeros. If it is not, and no good group of this segment
stands at a later boundary, it is a torn tail; whether one may be there is for the caller to say.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from audit.verify.bodies import Seen, check_inline, descriptor_in
from audit.verify.crc32c import crc32c
from audit.verify.files import open_regular, read_at
from audit.verify.records import Checker, Run
from audit.verify.report import Bad, Finding
from audit.verify.schema import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK: Final = 4096
#: A segment, in bytes: read a group at a time, so only a bound against nonsense.
MAX_SEGMENT_BYTES: Final = 1 << 40
#: Payload of one group, in bytes (ARCHITECTURE, Commit log segment).
MAX_GROUP_BYTES: Final = 16 * 1024 * 1024

_OPEN: Final = b"SRSEGv1\n"
_RETIRED: Final = b"SRRETIRE"
_GROUP: Final = b"SRGRPv1\n"
# magic, segment, incarnation, first seq, file length, SHA-256 of the origin, CRC-32C of what stands before
_BLOCK0: Final = struct.Struct(">8sQQQQ32sI")
# magic, CRC-32C, records, payload bytes, segment, offset, incarnation, first seq, durable through, SHA-256 of origin
_HEADER: Final = struct.Struct(">8sIIQQQQQQ32s")
_LENGTHS: Final = struct.Struct(">II")
_PIECE: Final = 1024 * BLOCK
#: Places that look like a group of this segment and are none: a torn tail has one at most.
_MOST_FALSE: Final = 64


class Segment(NamedTuple):
    """A segment to be read: file, what findings call it, its number by name, and what its log is."""

    path: str
    place: str
    number: int
    stream: bytes
    origin_hash: bytes


class Header(NamedTuple):
    """Block 0. Of a retired segment only that it is one: retiring overwrites the magic alone."""

    retired: bool
    incarnation: int
    first: int
    length: int


class Reading(NamedTuple):
    """What a segment holds.

    Attributes:
        header: Its block 0.
        run: Its records; None where it is retired.
        bodies: Bodies that are good as far as they lie in it.
        torn: Offset of what follows the last good group and is not zero, -1 where nothing does.
        tail: SHA-256 in hex from the end of the last good group to the last byte that is not zero, where torn.
    """

    header: Header
    run: Run | None
    bodies: list[Seen]
    torn: int
    tail: str = ""


class _Group(NamedTuple):
    records: int
    first: int
    durable: int
    payload: bytes
    end: int


def read_header(segment: Segment, file: BinaryIO) -> Header:
    """Read and check block 0.

    Args:
        segment: Which.
        file: Its file.

    Returns:
        The header. A segment gets it before it gets its name, so there is always one.

    Raises:
        Bad: It is damaged or of another log.
    """
    block = read_at(file, 0, BLOCK, segment.place)
    length = file.seek(0, 2)
    if len(block) < BLOCK:
        raise Bad(segment.place, f"cut to {len(block)} bytes")
    magic, number, incarnation, first, says, origin, crc = _BLOCK0.unpack_from(block)
    if magic not in {_OPEN, _RETIRED} or any(block[_BLOCK0.size :]):
        raise Bad(segment.place, "its header is not that of a commit log segment")
    if crc != crc32c(_OPEN + block[len(_OPEN) : _BLOCK0.size - 4]):
        raise Bad(segment.place, "the checksum of its header is wrong")
    if number != segment.number:
        raise Bad(segment.place, f"its header says it is segment {number}")
    if origin != segment.origin_hash:
        raise Bad(segment.place, "it belongs to another log")
    if says != length or length % BLOCK or length > MAX_SEGMENT_BYTES:
        raise Bad(segment.place, f"it has {length} bytes; its header says {says}")
    return Header(retired=magic == _RETIRED, incarnation=incarnation, first=first, length=length)


def first_kept(segments: Iterable[Segment]) -> int | None:
    """Seq of the first record in any of these that is not retired; None where there is none."""
    firsts = []
    for segment in segments:
        try:
            file = open_regular(segment.path, segment.place)
            if file is None:
                continue  # recycled since it was listed
            with file:
                header = read_header(segment, file)
        except Bad:
            continue  # reported when it is read
        if not header.retired:
            firsts.append(header.first)
    return min(firsts, default=None)


def read_segment(segment: Segment) -> Reading:
    """Read a segment and check everything in it.

    Args:
        segment: Which.

    Returns:
        What it holds; ``run.broken`` where it cannot be read on.

    Raises:
        Bad: Its header is bad, or it is missing.
        Unchecked: It cannot be read.
    """
    file = open_regular(segment.path, segment.place)
    if file is None:
        raise Bad(segment.place, "the segment is missing")
    with file:
        header = read_header(segment, file)
        if header.retired:
            return Reading(header, None, [], -1)
        return _read_groups(segment, file, header)


def _read_groups(segment: Segment, file: BinaryIO, header: Header) -> Reading:
    at = BLOCK
    checker = Checker(segment.stream, header.first, lambda seq: f"{segment.place} at offset {at} record {seq}")
    seen: list[Seen] = []
    torn, following, broken = -1, header.first, False
    while at < header.length:
        group = _group_at(segment, file, header, at)
        if group is None:
            torn = _zeros(file, at, header.length, segment.place)
            if torn >= 0 and (later := _later_group(segment, file, header, at)) >= 0:
                why = f"the group is damaged, and a good one follows at offset {later}"
                checker.findings.append(Finding(following, f"{segment.place} at offset {at}", why))
                broken, torn = True, -1
            break
        again = at == BLOCK and group.first <= group.durable <= group.first + group.records
        if group.first != following or not (group.durable == group.first or again):
            why = f"the group begins at seq {group.first}, durable through {group.durable}; expected {following}"
            checker.findings.append(Finding(following, f"{segment.place} at offset {at}", why))
            broken = True
            break
        try:
            records = list(_payload(group, f"{segment.place} at offset {at}"))
        except Bad as bad:
            checker.findings.append(bad.finding)
            broken = True
            break
        checker.feed(record for record, _ in records)
        for seq, (record, body) in enumerate(records, group.first):
            if body:
                _check_body(checker, seen, (seq, record, body), f"{segment.place} at offset {at}")
        following += group.records
        at = group.end
    tail = _tail(file, at, header.length, segment.place) if torn >= 0 else ""
    return Reading(header, checker.run(broken=broken), seen, torn, tail)


def _check_body(checker: Checker, seen: list[Seen], what: tuple[int, bytes, bytes], place: str) -> None:
    seq, record, data = what
    body = descriptor_in(record)
    if body is None:
        checker.findings.append(Finding(seq, place, "a body whose record describes none"))
    else:
        try:
            seen.append(check_inline(body, seq, data, f"{place} body of record {seq}"))
        except Bad as bad:
            checker.findings.append(bad.finding)


def _head_at(segment: Segment, file: BinaryIO, header: Header, at: int) -> bytes | None:
    """What stands at a boundary, if it looks like the header of a group of this segment."""
    head = read_at(file, at, _HEADER.size, segment.place)
    if len(head) < _HEADER.size:
        return None
    magic, _, count, length, number, offset, incarnation, _, _, origin = _HEADER.unpack(head)
    here = (magic, number, offset, incarnation, origin)
    if here != (_GROUP, segment.number, at, header.incarnation, segment.origin_hash):
        return None
    fits = at + _HEADER.size + length <= header.length and length <= MAX_GROUP_BYTES
    return head if fits and count else None


def _group_at(segment: Segment, file: BinaryIO, header: Header, at: int) -> _Group | None:
    """The good group at a boundary, if there is one."""
    head = _head_at(segment, file, header, at)
    if head is None:
        return None
    _, crc, count, length, _, _, _, first, durable, _ = _HEADER.unpack(head)
    end = at + _HEADER.size + length
    payload = read_at(file, at + _HEADER.size, length, segment.place)
    if crc32c(payload, crc32c(head[12:])) != crc:
        return None
    boundary = -(-end // BLOCK) * BLOCK
    if any(read_at(file, end, boundary - end, segment.place)):
        return None
    return _Group(count, first, durable, payload, boundary)


def _payload(group: _Group, place: str) -> Iterator[tuple[bytes, bytes]]:
    at, data = 0, group.payload
    for seq in range(group.first, group.first + group.records):
        if at + _LENGTHS.size > len(data):
            raise Bad(place, "the group ends before its last record", seq)
        record, body = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        if record > MAX_RECORD_BYTES or at + record + body > len(data):
            raise Bad(place, "a record reaches beyond its group", seq)
        yield data[at : at + record], data[at + record : at + record + body]
        at += record + body
    if at != len(data):
        raise Bad(place, "bytes follow the last record of the group", group.first + group.records - 1)


def _zeros(file: BinaryIO, start: int, end: int, place: str) -> int:
    """Offset of the first byte from ``start`` on that is not zero, -1 where all are."""
    for at in range(start, end, _PIECE):
        piece = read_at(file, at, min(_PIECE, end - at), place)
        rest = piece.lstrip(b"\0")
        if rest:
            return at + len(piece) - len(rest)
    return -1


def _tail(file: BinaryIO, start: int, end: int, place: str) -> str:
    """Digest of what stands between two offsets, without the zeros at its end."""
    last = start
    for at in range(start, end, _PIECE):
        rest = read_at(file, at, min(_PIECE, end - at), place).rstrip(b"\0")
        last = at + len(rest) if rest else last
    digest = sha256()
    for at in range(start, last, _PIECE):
        digest.update(read_at(file, at, min(_PIECE, last - at), place))
    return digest.hexdigest()


def _later_group(segment: Segment, file: BinaryIO, header: Header, after: int) -> int:
    """Offset of a good group at a boundary after ``after``, -1 where there is none.

    A writer leaves at most one group torn, so few places look like one. Where somebody made so many that looking into
    each would take for ever, the first of them is as good as a group: what stands there is no torn tail.
    """
    left = _MOST_FALSE
    for start in range(after + BLOCK, header.length, _PIECE):
        piece = read_at(file, start, min(_PIECE, header.length - start), segment.place)
        at = piece.find(_GROUP)
        while at >= 0:
            if at % BLOCK == 0 and _head_at(segment, file, header, start + at) is not None:
                left -= 1
                if not left or _group_at(segment, file, header, start + at) is not None:
                    return start + at
            at = piece.find(_GROUP, at + 1)
    return -1
