"""The commit log's bytes: segment headers, groups and frames. Pure: no I/O.

The formats are in ARCHITECTURE ("Commit log segment"). A group is the unit of recovery: its checksum covers
everything from its record count to the last byte of its payload, and it names its stream, segment and offset,
so that bytes left over from another life of the file are never taken for a group of this one.

Not handled here: which groups may be cut (``audit.journal.recovery``).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from awscrt import checksums

from audit.errors import LedgerCorrupt
from vault.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK: Final = 4096
#: Length of a commit segment, in bytes.
SEGMENT_BYTES: Final = 32 * 1024 * 1024
#: Upper bound of one group's payload, in bytes: a group always fits into a fresh segment.
MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024

SEGMENT_MAGIC: Final = b"SRSEGv1\n"
RETIRED_MAGIC: Final = b"SRRETIRE"
GROUP_MAGIC: Final = b"SRGRPv1\n"

_SEGMENT: Final = struct.Struct(">8sQQQQ32s")
_CRC: Final = struct.Struct(">I")
_GROUP_HEAD: Final = struct.Struct(">8sI")
_GROUP_REST: Final = struct.Struct(">IQQQQQQ32s")
_FRAME: Final = struct.Struct(">II")
GROUP_HEADER_BYTES: Final = _GROUP_HEAD.size + _GROUP_REST.size
_ZEROS: Final = bytes(BLOCK)


def stream_hash(origin: str) -> bytes:
    """The 32 bytes by which segments and groups name their stream."""
    return hashlib.sha256(origin.encode()).digest()


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """Block 0 of a segment; ``first_seq`` is the seq expected next when the segment was opened."""

    number: int
    incarnation: int
    first_seq: int
    length: int
    stream: bytes

    def encode(self) -> bytes:
        """The block, padded with zeros to 4,096 bytes."""
        head = _SEGMENT.pack(SEGMENT_MAGIC, self.number, self.incarnation, self.first_seq, self.length, self.stream)
        return (head + _CRC.pack(checksums.crc32c(head))).ljust(BLOCK, b"\0")


def decode_segment_header(block: bytes, place: str) -> SegmentHeader | None:
    """Read block 0.

    Args:
        block: At least 76 bytes.
        place: File name for messages.

    Returns:
        The header; None for a retired segment.

    Raises:
        LedgerCorrupt: Neither.
    """
    if block[:8] == RETIRED_MAGIC:
        return None
    head = block[: _SEGMENT.size]
    if (
        len(block) < _SEGMENT.size + _CRC.size
        or head[:8] != SEGMENT_MAGIC
        or _CRC.unpack_from(block, _SEGMENT.size)[0] != checksums.crc32c(head)
    ):
        raise LedgerCorrupt(place, "block 0 is not a segment header")
    _, number, incarnation, first_seq, length, stream = _SEGMENT.unpack(head)
    return SegmentHeader(number, incarnation, first_seq, length, stream)


@dataclass(frozen=True, slots=True)
class GroupHeader:
    """What a group says of itself, without its payload."""

    count: int
    length: int
    segment: int
    offset: int
    incarnation: int
    first_seq: int
    durable_through: int
    stream: bytes

    @property
    def end(self) -> int:
        """Offset of the boundary after the group."""
        return self.offset + padded(GROUP_HEADER_BYTES + self.length)


def padded(length: int) -> int:
    """``length`` rounded up to whole blocks."""
    return -(-length // BLOCK) * BLOCK


def frame_bytes(record_length: int, body_length: int) -> int:
    """How many bytes of payload a record with its body takes."""
    return _FRAME.size + record_length + body_length


class Packed(NamedTuple):
    """A group's payload, its length, and of each record where it stands in the file, its length and its body's."""

    payload: list[bytes]
    length: int
    places: list[tuple[int, int, int]]


def pack(entries: Sequence[tuple[bytes, Sequence[bytes]]], start: int) -> Packed:
    """Frame the records of one group.

    Args:
        entries: Exact bytes and body pieces of each.
        start: Where the payload begins in the file.
    """
    payload: list[bytes] = []
    places: list[tuple[int, int, int]] = []
    position, header = start, _FRAME.pack
    for record, body in entries:
        length, body_length = len(record), sum(map(len, body)) if body else 0
        payload += (header(length, body_length), record, *body) if body else (header(length, 0), record)
        position += _FRAME.size
        places.append((position, length, body_length))
        position += length + body_length
    return Packed(payload, position - start, places)


def encode_group(header: GroupHeader, payload: Sequence[bytes]) -> list[bytes]:
    """Make the buffers of one group, to be written by one ``pwritev`` at ``header.offset``.

    Args:
        header: With ``length`` equal to the sum of the payload's lengths.
        payload: Frame headers, records and bodies in order.

    Returns:
        Few buffers, in sum a multiple of 4,096 bytes.
    """
    rest = _GROUP_REST.pack(
        header.count,
        header.length,
        header.segment,
        header.offset,
        header.incarnation,
        header.first_seq,
        header.durable_through,
        header.stream,
    )
    joined = b"".join(payload)
    crc = checksums.crc32c(joined, checksums.crc32c(rest))
    padding = padded(GROUP_HEADER_BYTES + header.length) - GROUP_HEADER_BYTES - header.length
    return [_GROUP_HEAD.pack(GROUP_MAGIC, crc) + rest, joined, _ZEROS[:padding]]


def read_group(data: bytes | memoryview, offset: int, segment: SegmentHeader) -> GroupHeader | None:
    """Look for a good group of this segment at ``offset``.

    Args:
        data: The segment's bytes, whole.
        offset: A multiple of 4,096.
        segment: The segment's own header.

    Returns:
        The group's header if every byte of the group is good and belongs here, else None.
    """
    if offset + GROUP_HEADER_BYTES > len(data):
        return None
    magic, crc = _GROUP_HEAD.unpack_from(data, offset)
    if magic != GROUP_MAGIC:
        return None
    header = GroupHeader(*_GROUP_REST.unpack_from(data, offset + _GROUP_HEAD.size))
    if (
        header.segment != segment.number
        or header.offset != offset
        or header.stream != segment.stream
        or header.count < 1
        or header.length > MAX_PAYLOAD_BYTES
        or header.end > len(data)
    ):
        return None
    covered = bytes(data[offset + _GROUP_HEAD.size : offset + GROUP_HEADER_BYTES + header.length])
    return header if checksums.crc32c(covered) == crc else None


def places(data: bytes | memoryview, header: GroupHeader, place: str) -> list[tuple[int, int, int]]:
    """Where the records of a good group stand, in order: of each its offset in the file, its length and its body's.

    Args:
        data: The segment's bytes, whole.
        header: From :func:`read_group`.
        place: File name for messages.

    Raises:
        LedgerCorrupt: The frames do not fill the payload exactly.
    """
    found: list[tuple[int, int, int]] = []
    position, unpack, size = header.offset + GROUP_HEADER_BYTES, _FRAME.unpack_from, _FRAME.size
    end = position + header.length
    for seq in range(header.first_seq, header.first_seq + header.count):
        if position + size > end:
            raise LedgerCorrupt(f"{place} at {header.offset}", f"frames end before record {seq}")
        length, body_length = unpack(data, position)
        found.append((position + size, length, body_length))
        position += size + length + body_length
        if length > MAX_RECORD_BYTES or position > end:
            raise LedgerCorrupt(f"{place} at {header.offset}", f"frame of record {seq} is too long")
    if position != end:
        raise LedgerCorrupt(f"{place} at {header.offset}", "bytes after its last record")
    return found
