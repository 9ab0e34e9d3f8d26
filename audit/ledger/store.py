"""The settled ledger: a directory of segments without a gap, readable at any seq.

Files are never changed, but for pruning, which gives one a new content in one step. A new one is durable before it
counts, and it continues where the last one ends, so the directory says by itself how far settling has come.

A record that was pruned is an empty line of its frame: it reads as no bytes. What its leaf hash is, the tiles say.

Not handled here: what is not settled yet (``audit.journal``), and the chain of the records (``audit.feed``).
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.crash import crash_point
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

    from vault.storage.token import PruningToken

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

    :meth:`thin` by one thread, which may be another: it never touches the newest segment.

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
                self._segments.append(self._open(path, int(match[1]), int(match[2])))

    def _open(self, path: Path, first: int, end: int) -> _Segment:
        place = str(path)
        if first != self.end:
            problem = "are missing before it" if first > self.end else "stand twice"
            low, high = sorted((first, self.end))
            raise LedgerCorrupt(place, f"records {low} to {high - 1} {problem}")
        if end <= first or first % FRAME_RECORDS or (end % FRAME_RECORDS and not self._closed):
            raise LedgerCorrupt(place, f"a segment cannot reach from {first} to {end}")
        return self._look(path, first, end)

    @staticmethod
    def _look(path: Path, first: int, end: int) -> _Segment:
        place = str(path)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise LedgerCorrupt(place, f"cannot be read: {error.strerror}") from error
        frames = -(-(end - first) // FRAME_RECORDS)
        offsets = format_.decode_table(lambda offset, length: _read(path, offset, length), size, frames, place)
        return _Segment(path, first, end, offsets)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First seq and end of each segment."""
        return [(segment.first, segment.end) for segment in self._segments]

    @property
    def end(self) -> int:
        """Number of settled records (= seq of the first that is not); a multiple of 256 while the stream goes on."""
        return self._segments[-1].end if self._segments else 0

    def record(self, seq: int) -> bytes:
        """A record's exact bytes; none where it was pruned.

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
        at = bisect_right(self._segments, seq, key=lambda item: item.first) - 1
        while True:
            segment = self._segments[at]
            inside = (seq - segment.first) // FRAME_RECORDS
            start, end = segment.offsets[inside : inside + 2]
            try:
                return segment.frame(inside, _read(segment.path, start, end - start))
            except LedgerCorrupt:
                if segment is self._segments[at]:
                    raise
                # it was thinned between the look at its table and the read

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
        self._segments.append(self._open(path, first, end))

    def thin(self, token: PruningToken) -> None:
        """Destroy records of one segment, but for their places. Durable on return; a crash leaves all or nothing of it.

        What stays is read back from the device before the old file goes.

        Args:
            token: Names the segment, which is not the newest, and the records.

        Raises:
            Unavailable: There is no room for the new file; nothing was changed.
            LedgerCorrupt: The segment is damaged; nothing was changed.
            DurabilityError: The file system failed.
        """
        at = next(at for at, segment in enumerate(self._segments[:-1]) if segment.first == token.first)
        segment = self._segments[at]
        if segment.end != token.end:
            raise ValueError(f"the token is of records up to {token.end}, and the segment ends at {segment.end}")
        whole = (b"" if token.covers(seq) else record for seq, record in self.read_back(segment.first, segment.end))
        kept = iter(lambda: list(islice(whole, FRAME_RECORDS)), [])
        data, _ = format_.encode_segment(kept)
        require_room(self._directory, len(data))
        fresh = segment.path.with_name(f"{segment.path.name}{durable.TEMP_SUFFIX}")
        durable.write_new(fresh, data)
        if _read_back(fresh, 0, len(data)) != data:
            raise LedgerCorrupt(str(fresh), "the device gives back other bytes than were written")
        crash_point("prune.written")
        durable.supersede(fresh, segment.path)
        self._segments[at] = self._look(segment.path, segment.first, segment.end)
        self._frame.cache_clear()

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
