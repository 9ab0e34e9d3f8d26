"""The settled ledger: a directory of segments without a gap, readable at any seq.

Files are never changed. A new one is durable before it counts, and it continues where the last one ends, so the
directory says by itself how far settling has come.

Not handled here: what is not settled yet (``audit.journal``), and the chain of the records (``audit.feed``).
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import LedgerCorrupt
from audit.ledger import segment as format_
from audit.ledger.segment import FRAME_RECORDS
from vault import device, durable
from vault.errors import CorruptError
from vault.storage.room import require_room

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: Decompressed frames kept in memory, of some 256 KiB each.
CACHED_FRAMES: Final = 16
#: Frames that are read back together, in bytes.
READ_BACK_BYTES: Final = 1024 * 1024

_NAME: Final = re.compile(r"(\d{16})-(\d{16})\.ndjson\.zst", re.ASCII)


class _Segment(NamedTuple):
    path: Path
    first: int
    end: int
    offsets: array[int]

    def frame(self, number: int, data: bytes) -> list[bytes]:
        """The records of a frame, given its bytes."""
        count = min(FRAME_RECORDS, self.end - self.first - number * FRAME_RECORDS)
        return format_.decode_frame(data, count, f"{self.path} at {self.offsets[number]}")


class SettledLedger:
    """All settled records of one stream. Reads from any thread; :meth:`add` and :meth:`read_back` by one.

    Args:
        directory: ``streams/<stream>/ledger``, which exists.
        closed: The stream was taken over: nothing comes after its last record, whose frame may be short.

    Raises:
        LedgerCorrupt: A segment is missing, damaged, or stands twice.
        DurabilityError: What a crash left could not be removed.
    """

    def __init__(self, directory: Path, *, closed: bool = False) -> None:
        self._directory = directory
        self._closed = closed
        self._segments: list[_Segment] = []
        self._frame = lru_cache(CACHED_FRAMES)(self._load_frame)
        durable.sweep_temps(directory)
        for path in sorted(directory.iterdir()):
            if match := _NAME.fullmatch(path.name):
                self._open(path, int(match[1]), int(match[2]))

    def _open(self, path: Path, first: int, end: int) -> None:
        place = str(path)
        if first != self.end:
            problem = "are missing before it" if first > self.end else "stand twice"
            low, high = sorted((first, self.end))
            raise LedgerCorrupt(place, f"records {low} to {high - 1} {problem}")
        if end <= first or first % FRAME_RECORDS or (end % FRAME_RECORDS and not self._closed):
            raise LedgerCorrupt(place, f"a segment cannot reach from {first} to {end}")
        try:
            size = path.stat().st_size
        except OSError as error:
            raise LedgerCorrupt(place, f"cannot be read: {error.strerror}") from error
        frames = -(-(end - first) // FRAME_RECORDS)
        offsets = format_.decode_table(lambda offset, length: _read(path, offset, length), size, frames, place)
        self._segments.append(_Segment(path, first, end, offsets))

    @property
    def end(self) -> int:
        """Number of settled records (= seq of the first that is not); a multiple of 256 while the stream goes on."""
        return self._segments[-1].end if self._segments else 0

    def record(self, seq: int) -> bytes:
        """A record's exact bytes.

        Raises:
            LedgerCorrupt: It is damaged, or not settled.
        """
        if not 0 <= seq < self.end:
            raise LedgerCorrupt(str(self._directory), f"record {seq} is not settled; records end at {self.end}")
        return self._frame(seq // FRAME_RECORDS)[seq % FRAME_RECORDS]

    def iterate(self, first: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Records from ``first`` on, in order, up to ``end`` or what is settled now.

        Raises:
            LedgerCorrupt: One of them is damaged.
        """
        end = self.end if end is None else min(end, self.end)
        while first < end:
            number, skip = divmod(first, FRAME_RECORDS)
            frame = self._frame(number)[skip : skip + end - first]
            yield from enumerate(frame, first)
            first += len(frame)

    def _load_frame(self, number: int) -> list[bytes]:
        """A frame of the whole ledger, by its number."""
        seq = number * FRAME_RECORDS
        segment = self._segments[bisect_right(self._segments, seq, key=lambda item: item.first) - 1]
        inside = (seq - segment.first) // FRAME_RECORDS
        start, end = segment.offsets[inside : inside + 2]
        return segment.frame(inside, _read(segment.path, start, end - start))

    def add(self, frames: Iterable[Sequence[bytes]]) -> None:
        """Settle the next records; durable on return, and readable from then on. A crash leaves all or nothing.

        Args:
            frames: Frames of exactly 256 records, which continue at :attr:`end`; taken one by one, so that memory
                holds one of them. Only the last one of a closed stream may be shorter. None at all changes nothing.

        Raises:
            Unavailable: There is no room; nothing was written.
            DurabilityError: The file system failed.
        """
        data, count = format_.encode_segment(frames)
        if not count:
            return
        first, end = self.end, self.end + count
        if end % FRAME_RECORDS and not self._closed:
            raise ValueError(f"the frame before record {end} is short, and the stream goes on")
        path = self._directory / f"{first:016d}-{end:016d}.ndjson.zst"
        require_room(self._directory, len(data))
        durable.write_new(path, data)
        self._open(path, first, end)

    def read_back(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Records with ``first <= seq < end`` as the device has them, past every cache.

        Raises:
            LedgerCorrupt: One of them is damaged.
        """
        for segment in self._segments:
            if segment.end <= first or segment.first >= end:
                continue
            number = max(first - segment.first, 0) // FRAME_RECORDS
            stop = -(-(min(end, segment.end) - segment.first) // FRAME_RECORDS)
            while number < stop:
                start, offsets = segment.offsets[number], segment.offsets
                following = max(bisect_right(offsets, start + READ_BACK_BYTES, number, stop + 1) - 1, number + 1)
                data = _read_back(segment.path, start, offsets[following] - start)
                for at in range(number, following):
                    frame = segment.frame(at, data[offsets[at] - start : offsets[at + 1] - start])
                    for seq, record in enumerate(frame, segment.first + at * FRAME_RECORDS):
                        if first <= seq < end:
                            yield seq, record
                number = following


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)
    except OSError as error:
        raise LedgerCorrupt(f"{path} at {offset}", f"cannot be read: {error.strerror}") from error


def _read_back(path: Path, offset: int, length: int) -> bytes:
    try:
        return device.read_direct(path, offset, length)
    except CorruptError as error:
        raise LedgerCorrupt(f"{path} at {offset}", f"cannot be read back: {error}") from error
