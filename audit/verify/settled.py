"""Settled ledger segments: Zstandard frames of 256 records, a line each, and a seek table.

The last frame of a stream that was taken over may be shorter. A record that was pruned is an empty line.

Needs the package zstandard, which the installed product has. Not handled here: how segments join (``datadir``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.files import open_regular, read_at
from audit.verify.records import Checker, Run
from audit.verify.report import Bad, Unchecked
from audit.verify.schema import MAX_RECORD_BYTES
from audit.verify.tree import TILE_WIDTH, subtree_root

try:
    import zstandard
except ImportError:  # the .pyz, on a machine without the product
    zstandard = None  # type: ignore[assignment, unused-ignore]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.verify.tiles import Tiles

#: Frames that one task checks.
SPAN_FRAMES: Final = 64
_MAX_FRAME_BYTES: Final = TILE_WIDTH * (MAX_RECORD_BYTES + 1)
#: What Zstandard makes of that at most (its compressBound, rounded up).
_MAX_PACKED_BYTES: Final = _MAX_FRAME_BYTES + _MAX_FRAME_BYTES // 128 + 64 * 1024
_MAX_WINDOW_BYTES: Final = 128 * 1024 * 1024

# Zstandard seekable format, seek table: skippable frame header, entries, footer; little-endian.
_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1
_FOOTER: Final = struct.Struct("<IBI")  # frames, descriptor, magic
_HEADER: Final = struct.Struct("<II")
_CHECKSUMS: Final = 0x80  # the only bit of the descriptor that may be set
_MAX_FRAMES: Final = 0x8000000


class Frames(NamedTuple):
    """Frames of one segment: where they lie, in bytes, the seq of the first record, and where the segment ends."""

    path: str
    place: str
    stream: bytes
    tiles: Tiles
    first: int
    end: int
    spans: list[tuple[int, int]]


def require_zstandard() -> None:
    """Refuse to go on without the package.

    Raises:
        Unchecked: It is not installed.
    """
    if zstandard is None:
        raise Unchecked("install strongroom to verify a data directory: its settled records need zstandard")


def read_seek_table(path: str, place: str, count: int) -> list[tuple[int, int]]:
    """Read where the frames of a segment lie, and see that they fill the file.

    Args:
        path: The segment.
        place: What findings call it.
        count: Frames it must hold.

    Returns:
        Offset and length of each.

    Raises:
        Bad: Not such a segment.
        Unchecked: It cannot be read.
    """
    file = open_regular(path, place)
    if file is None:
        raise Bad(place, "the segment is missing")
    with file:
        size = file.seek(0, 2)
        frames, descriptor, magic = _unpack(_FOOTER, read_at(file, max(0, size - _FOOTER.size), _FOOTER.size, place))
        if frames != count:
            raise Bad(place, f"it holds {frames} frames; its name says {count}")
        entry = 12 if descriptor & _CHECKSUMS else 8
        start = size - _FOOTER.size - frames * entry - _HEADER.size
        if magic != _SEEKABLE or descriptor & ~_CHECKSUMS or frames > _MAX_FRAMES or start < 0:
            raise Bad(place, "no seek table at its end")
        skippable, length = _unpack(_HEADER, read_at(file, start, _HEADER.size, place))
        table = read_at(file, start + _HEADER.size, frames * entry, place)
    if skippable != _SKIPPABLE or length != frames * entry + _FOOTER.size:
        raise Bad(place, "its seek table is damaged")
    spans, at = [], 0
    for index in range(frames):
        packed, unpacked = struct.unpack_from("<II", table, index * entry)
        if unpacked > _MAX_FRAME_BYTES or packed > _MAX_PACKED_BYTES or not packed:
            raise Bad(place, f"frame {index} is larger than 256 records can be, or nothing")
        spans.append((at, packed))
        at += packed
    if at != start:
        raise Bad(place, "its seek table does not cover its frames")
    return spans


def _unpack(form: struct.Struct, data: bytes) -> tuple[int, ...]:
    return form.unpack(data.ljust(form.size, b"\0"))


def check_frames(frames: Frames) -> Run:
    """Check the records of some frames and the level-0 tiles above them.

    Args:
        frames: Which.

    Returns:
        The run of their records, with the root of each frame's tile.

    Raises:
        Unchecked: Something cannot be read.
    """

    def record(seq: int) -> str:
        return f"{frames.place} record {seq}"

    checker = Checker(frames.stream, frames.first, record)
    roots: list[bytes] = []
    known: list[tuple[int, bytes]] = []
    broken = False
    try:
        file = open_regular(frames.path, frames.place)
        if file is None:
            raise Bad(frames.place, "the segment is missing")
        with file:
            for n, (at, length) in enumerate(frames.spans, frames.first // TILE_WIDTH):
                count = min(TILE_WIDTH, frames.end - n * TILE_WIDTH)
                lines = _records(read_at(file, at, length, frames.place), frames.place, n, count)
                checker.feed(lines, frames.tiles.leaves(n) if b"" in lines and count == TILE_WIDTH else b"")
                if count == TILE_WIDTH:
                    leaves = checker.leaves[-TILE_WIDTH:]
                    known.append((n, b"".join(leaves)))
                    roots.append(subtree_root(leaves))
    except Bad as bad:
        checker.findings.append(bad.finding)
        broken = True
    checker.findings += frames.tiles.check(0, known, record)
    return checker.run(broken=broken)._replace(roots=b"".join(roots))


def _records(frame: bytes, place: str, n: int, count: int) -> list[bytes]:
    records = _unpacked(frame, place, n).split(b"\n")
    if records.pop() or len(records) != count:
        raise Bad(place, f"the frame does not hold {count} records, each with its line feed", n * TILE_WIDTH)
    return records


def _unpacked(frame: bytes, place: str, n: int) -> bytes:
    try:
        declared = zstandard.get_frame_parameters(frame)
        # A frame may declare any size it likes: judged before anything is allocated.
        if declared.content_size > _MAX_FRAME_BYTES and declared.content_size != zstandard.CONTENTSIZE_UNKNOWN:
            raise Bad(place, "the frame is larger than 256 records can be", n * TILE_WIDTH)
        unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        return unpacker.decompress(frame, max_output_size=_MAX_FRAME_BYTES, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Bad(place, f"the frame cannot be unpacked: {error}", n * TILE_WIDTH) from error


def spans(frames: Frames) -> Iterator[Frames]:
    """Cut a segment into tasks.

    Args:
        frames: All its frames.

    Yields:
        Some of them each.
    """
    for at in range(0, len(frames.spans), SPAN_FRAMES):
        first = frames.first + at * TILE_WIDTH
        tile = first // TILE_WIDTH
        some = frames.spans[at : at + SPAN_FRAMES]
        yield frames._replace(first=first, spans=some, tiles=frames.tiles.within(tile, tile + len(some)))
