"""The format of settled records: independent Zstandard frames of 256 records, with a seek table at the end. Pure.

The last frame of a stream that was taken over ends with that stream, and may be shorter.

Each record is followed by LF, so ``zstdcat`` prints NDJSON. The seek table is the Zstandard seekable format's, version
0.1.0 (facebook/zstd, ``contrib/seekable_format``): a skippable frame, which any decompressor passes over.

Level 1 and no dictionary, as measured on 20,480 records of a mixed load (1,004 bytes each) and of PUTs alone (1,241):

    level                  1     3     6     9    15    19    1 + dictionary of 110 KB
    mixed: ratio        5.89  5.19  5.88  5.53  6.27  6.36    6.03
    mixed: CPU us/rec    1.2   2.5   6.8   9.7    96   450     1.3
    PUTs: ratio         5.70  5.33  5.47  5.60  5.62  5.92    5.76

A PUT's record holds 160 random bytes (hashes, salt, ids) as 320 hex digits, which nothing compresses below 160: no
level can pass 7.7 there. Higher levels find false matches among the digits. A dictionary gains 2 % and would make the
file unreadable for every tool that does not have it.

Not handled here: whether the records are the right ones (their chain: ``audit.chain``).
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Final

import zstandard

from audit.errors import LedgerCorrupt
from vault.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FRAME_RECORDS: Final = 256
LEVEL: Final = 1
#: A frame's plain bytes at most.
MAX_FRAME_BYTES: Final = FRAME_RECORDS * (MAX_RECORD_BYTES + 1)

_SKIPPABLE_MAGIC: Final = 0x184D2A5E
_SEEKABLE_MAGIC: Final = 0x8F92EAB1
_SKIPPABLE: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")


def encode_segment(frames: Iterable[Sequence[bytes]]) -> tuple[bytes, int]:
    """Make a settled segment.

    Args:
        frames: 256 records each, in order; the last one may be shorter.

    Returns:
        The file's bytes and the number of records.
    """
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    pieces = []
    entries = []
    count = 0
    for records in frames:
        if count % FRAME_RECORDS or not 0 < len(records) <= FRAME_RECORDS:
            raise ValueError(f"a frame of {len(records)} records after {count}")
        count += len(records)
        plain = b"\n".join([*records, b""])
        piece = compressor.compress(plain)
        pieces.append(piece)
        entries.append(_ENTRY.pack(len(piece), len(plain)))
    table = b"".join(entries) + _FOOTER.pack(len(entries), 0, _SEEKABLE_MAGIC)
    return b"".join([*pieces, _SKIPPABLE.pack(_SKIPPABLE_MAGIC, len(table)), table]), count


def decode_table(read: Callable[[int, int], bytes], size: int, frames: int, place: str) -> array[int]:
    """Read a segment's seek table.

    Args:
        read: Gives the bytes at (offset, length).
        size: The file's length in bytes.
        frames: How many frames it must have.
        place: File name for messages.

    Returns:
        Where each frame begins, and where the last one ends.

    Raises:
        LedgerCorrupt: Not such a table, or it does not fit the file.
    """
    length = frames * _ENTRY.size + _FOOTER.size
    table = read(size - length - _SKIPPABLE.size, length + _SKIPPABLE.size) if size > length + _SKIPPABLE.size else b""
    head, foot = table[: _SKIPPABLE.size], table[-_FOOTER.size :]
    expected = _SKIPPABLE.pack(_SKIPPABLE_MAGIC, length), _FOOTER.pack(frames, 0, _SEEKABLE_MAGIC)
    if (head, foot) != expected:
        raise LedgerCorrupt(place, f"it does not end in a seek table of {frames} frames")
    offsets = array("Q", [0])
    for compressed, plain in _ENTRY.iter_unpack(table[_SKIPPABLE.size : -_FOOTER.size]):
        if plain > MAX_FRAME_BYTES:
            raise LedgerCorrupt(place, f"frame {len(offsets) - 1} claims {plain} bytes")
        offsets.append(offsets[-1] + compressed)
    if offsets[-1] != size - len(table):
        raise LedgerCorrupt(place, "its frames do not fill it")
    return offsets


def decode_frame(data: bytes, count: int, place: str) -> list[bytes]:
    """Decompress one frame.

    Returns:
        Its ``count`` records.

    Raises:
        LedgerCorrupt: Damaged (the frame's own checksum says so), or not so many lines.
    """
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > MAX_FRAME_BYTES:
            raise LedgerCorrupt(place, f"a frame claims {size} bytes")
        plain = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise LedgerCorrupt(place, f"a damaged frame: {error}") from error
    records = plain.split(b"\n")
    if len(records) != count + 1 or records.pop():
        raise LedgerCorrupt(place, f"a frame that is not {count} lines")
    return records
