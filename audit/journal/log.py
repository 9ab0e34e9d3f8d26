"""The commit log on disk: segments that are open for reading, the one that is written, and spare ones.

A record's bytes and its body are found by seq. Segments are pre-written with zeros, so that a group's fdatasync
flushes data alone; spare ones wait under ``views/spare`` and are made in the background.

Crash rules: a segment gets its header while it is still a spare, and only then its name under ``commit/``; numbers
are never used again.

Not handled here: what a group means (``audit.journal.committer``), which one may be cut (``audit.journal.recovery``),
and moving settled content away (``audit.settle``).
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from operator import attrgetter
from threading import Condition, Lock
from typing import TYPE_CHECKING, Final, TypeVar

from audit.errors import LedgerCorrupt
from audit.journal import segment as format_
from audit.journal.debt import Debt
from audit.journal.segment import BLOCK, GroupHeader, SegmentHeader
from audit.journal.segment_file import Segment
from vault import durable
from vault.errors import CorruptError, Unavailable
from vault.measures import Histogram
from vault.storage.open_files import OpenFiles
from vault.storage.room import has_room, require_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from audit.runs import Run

#: Segments kept open for reading.
OPEN_SEGMENTS: Final = 64
#: Spare segments kept ready.
SPARES: Final = 2
SUFFIX: Final = ".log"
#: Upper bounds of what writing and syncing one group takes, in seconds: from a good NVMe drive to one that hangs.
WRITE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
#: Upper bounds of how many records one group has.
GROUP_RECORDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 8192)
_FIRST_SEQ: Final = attrgetter("first_seq")
T = TypeVar("T")


def segment_path(directory: Path, number: int) -> Path:
    """Where segment ``number`` stands."""
    return directory / f"{number:010d}{SUFFIX}"


class CommitLog:
    """All segments of one stream's commit log.

    Args:
        directory: ``streams/<stream>/commit``.
        spares: Where spare segments wait; all in it can be thrown away.
        stream: From :func:`audit.journal.segment.stream_hash`.
        segment_bytes: Length of new segments, a multiple of 4,096.

    Attributes:
        write_seconds: What writing and syncing one group took.
        group_records: Records of one group.
        group_bytes: Bytes of all groups written by this process.
        debt: What waits to be settled.
    """

    def __init__(
        self, directory: Path, spares: Path, stream: bytes, segment_bytes: int = format_.SEGMENT_BYTES
    ) -> None:
        self.directory = directory
        self.spares = spares
        self.segment_bytes = segment_bytes
        self.write_seconds = Histogram(WRITE_SECONDS)
        self.group_records = Histogram(GROUP_RECORDS)
        self.group_bytes = 0
        self._cramped = False
        self.files = OpenFiles(OPEN_SEGMENTS, os.O_RDWR)
        self.debt = Debt(self.look)
        self._stream = stream
        self._segments: tuple[Segment, ...] = ()  # replaced as a whole, under the lock: readers take none
        self._active: Segment | None = None
        self._lock, self._making = Lock(), Lock()
        self._grown = Condition()
        self._durable_end = self._incarnation = self._next_number = 0

    @property
    def max_payload(self) -> int:
        """Largest payload of one group, in bytes."""
        return min(format_.MAX_PAYLOAD_BYTES, self.segment_bytes - 2 * BLOCK)

    @property
    def durable_end(self) -> int:
        """Number of durable records (= seq of the next). Nothing at or past it is ever shown."""
        return self._durable_end

    @property
    def incarnation(self) -> int:
        """This writer's incarnation."""
        return self._incarnation

    @property
    def disk_bytes(self) -> int:
        """Bytes of disk that segments take."""
        return sum(item.header.length for item in self._segments)

    @property
    def full(self) -> bool:
        """Whether the disk had no room for another segment when one was wanted, and has none now."""
        return self._cramped and not self._one_to_spare()

    def begin(self, segments: Sequence[Segment], incarnation: int, durable_end: int, next_number: int) -> None:
        """Take over what recovery found, before anybody reads or writes. Spares of no use are removed."""
        self._segments = tuple(segments)
        self._incarnation = incarnation
        self._durable_end = durable_end
        self._next_number = next_number
        durable.sweep_temps(self.spares)
        for spare in self.spares.glob(f"*{SUFFIX}"):
            found = spare.stat()
            # Of an earlier setting; or a segment too, where a power cut came between the two syncs of its move.
            if found.st_size != self.segment_bytes or found.st_nlink > 1:
                durable.remove(spare)

    def open_segment(self, first_seq: int, payload: int = 0) -> Segment:
        """Open the next segment for writing. Its header and name are durable on return.

        A crash before the name is made leaves a spare; after it, an empty segment.

        Args:
            first_seq: Seq of its first record.
            payload: Of a group that it must hold even where segments have become shorter than that.

        Raises:
            Unavailable: No disk space; nothing was changed that counts.
            DurabilityError: The file system failed.
        """
        number = self._next_number
        length = max(self.segment_bytes, BLOCK + format_.padded(format_.GROUP_HEADER_BYTES + payload))
        header = SegmentHeader(number, self._incarnation, first_seq, length, self._stream)
        path = segment_path(self.directory, number)
        try:
            spare = self._wait_for_spare(length)
            fd = os.open(spare, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"no new commit segment can be opened: {error.strerror}") from error
        try:
            durable.append_group(fd, [header.encode()], 0)
        finally:
            os.close(fd)
        durable.move(spare, path)
        self._next_number = number + 1
        self._active = Segment(path, header, self.files)
        with self._lock:
            self._segments = (*self._segments, self._active)
        return self._active

    def _spare(self) -> Path | None:
        return min(self.spares.glob(f"*{SUFFIX}"), default=None)

    def _wait_for_spare(self, length: int) -> Path:
        """A spare: one that waits, the one that the background is making, or else our own."""
        if length != self.segment_bytes:
            return self._make_spare(length)
        spare = self._spare()
        if spare is None:
            with self._making:
                spare = self._spare() or self._make_spare(length)
        return spare

    def _make_spare(self, length: int) -> Path:
        """Write one spare segment of zeros.

        It leaves room for two more: a full segment may have to wait for the next one to be settled with it
        (``audit.settle``), and until both are, which gives them back, they take as much again.

        Raises:
            Unavailable: It cannot be made now, most likely because the disk is full.
        """
        require_room(self.spares, 3 * length)
        taken = {item.name for item in self.spares.iterdir()}
        name = next(f"{n:04d}{SUFFIX}" for n in range(len(taken) + 1) if f"{n:04d}{SUFFIX}" not in taken)
        durable.preallocate(self.spares / name, length)
        return self.spares / name

    def keep_spares(self) -> None:
        """Top the spares up; called in the background.

        Raises:
            Unavailable: One cannot be made now.
        """
        while len(list(self.spares.glob(f"*{SUFFIX}"))) < SPARES:
            with self._making:
                self._make_spare(self.segment_bytes)

    def room(self, payload: int, *, last: bool = False) -> Segment:
        """The segment a group of that payload goes to: the active one, or a new one where it does not fit.

        A segment that an earlier incarnation wrote is never written again.

        Args:
            payload: Bytes, at most :attr:`max_payload`.
            last: It is for what must always be possible, which may have the last spare segment.

        Raises:
            Unavailable: A new one is needed and cannot be made or is kept for others; nothing was written.
        """
        need = format_.padded(format_.GROUP_HEADER_BYTES + payload)
        if self._active is None or self._active.end_offset + need > self._active.header.length:
            self._cramped = not self._one_to_spare()
            if self._cramped and not last:
                raise Unavailable("the last spare commit segment is kept for what frees space; free some")
            return self.open_segment(self._durable_end)
        return self._active

    def _one_to_spare(self) -> bool:
        """Whether there is another spare segment, or room for one, when one was taken."""
        return len(list(self.spares.glob(f"*{SUFFIX}"))) > 1 or has_room(self.spares, 4 * self.segment_bytes)

    def append(self, target: Segment, first_seq: int, records: Sequence[tuple[bytes, Sequence[bytes]]]) -> None:
        """Write one group.

        THE COMMIT POINT: a crash before the call means *not done*, one inside it *unknown*, one after it *done*.

        Args:
            target: From :meth:`room`.
            first_seq: Seq of the first record.
            records: Exact bytes and body pieces of each.

        Raises:
            DurabilityError: Unknown outcome; nothing more may be written to this log by this process.
        """
        packed = format_.pack(records, target.end_offset + format_.GROUP_HEADER_BYTES)
        header = GroupHeader(
            count=len(records),
            length=packed.length,
            segment=target.header.number,
            offset=target.end_offset,
            incarnation=self._incarnation,
            first_seq=first_seq,
            durable_through=self._durable_end,
            stream=self._stream,
        )
        if header.end > target.header.length:
            raise ValueError(f"{target.path} has no room for a group of {header.length} bytes")
        group = format_.encode_group(header, packed.payload)
        began = time.perf_counter()
        durable.append_group(target.file().fd, group, header.offset)
        self.write_seconds.add(time.perf_counter() - began)
        self.group_records.add(header.count)
        self.group_bytes += header.end - header.offset
        target.note(packed.places)
        target.end_offset = header.end
        with self._grown:
            self._durable_end = max(self._durable_end, first_seq + len(records))
            self._grown.notify_all()

    def wait(self, seq: int, timeout: float) -> bool:
        """Wait until record ``seq`` is durable, at most ``timeout`` seconds. Whether it is."""
        with self._grown:
            return self._grown.wait_for(lambda: self._durable_end > seq, timeout)

    def _holding(self, seq: int) -> Segment | None:
        segments = self._segments
        index = bisect_right(segments, seq, key=_FIRST_SEQ) - 1
        if index < 0 or seq >= segments[index].end_seq:
            return None
        return segments[index]

    def _still(self, found: Segment, read: Callable[[], T]) -> T | None:
        """What is read of a segment, unless it is forgotten meanwhile: its file may have been zeroed, or moved away."""
        try:
            data = read()
        except CorruptError:
            if found in self._segments:
                raise
            return None
        return data if found in self._segments else None

    def read(self, seq: int, offset: int, length: int) -> bytes | None:
        """Bytes of a body, or None where the record is not in the commit log (any more)."""
        found = self._holding(seq)
        return self._still(found, lambda: found.body(seq, offset, length)) if found is not None else None

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """The first bytes of a body, or None where the page cache does not hold them; never blocks."""
        found = self._holding(seq)
        return self._still(found, lambda: found.at_hand(seq, length)) if found is not None else None

    def record(self, seq: int) -> bytes | None:
        """A record's exact bytes, or None where it is not in the commit log (any more)."""
        found = self._holding(seq)
        return self._still(found, lambda: found.record(seq)) if found is not None else None

    def records(self, seq: int, end: int) -> list[bytes] | None:
        """Exact bytes of record ``seq`` and of the next before ``end``, as many as one read gives; None as above."""
        found = self._holding(seq)
        return self._still(found, lambda: found.records(seq, end)) if found is not None else None

    def run(self, seq: int, end: int, limit: int) -> Run | None:
        """Record ``seq`` and the next before ``end``, about ``limit`` bytes of them; None as above."""
        found = self._holding(seq)
        return self._still(found, lambda: found.run(seq, end, limit)) if found is not None else None

    def tail(self, from_seq: int) -> Iterator[tuple[int, bytes]]:
        """Durable records from ``from_seq`` on that are in the commit log, in order.

        Raises:
            LedgerCorrupt: ``from_seq`` is durable but not here: it was settled.
        """
        seq, end = from_seq, self._durable_end
        while seq < end:
            some = self.records(seq, end)
            if some is None:
                raise LedgerCorrupt(str(self.directory), f"record {seq} is not in the commit log")
            yield from enumerate(some, seq)
            seq += len(some)

    @property
    def first_seq(self) -> int:
        """Seq of the oldest record still here."""
        return min((item.first_seq for item in self._segments), default=self._durable_end)

    def closed(self) -> list[Segment]:
        """Segments that are not written any more, oldest first."""
        segments, active = self._segments, self._active  # in this order: a new one is active before it is listed
        return [item for item in segments if item is not active]

    def look(self) -> tuple[tuple[Segment, ...], Segment | None]:
        """All segments, oldest first, and the one that is written; they may move on at once."""
        return self._segments, self._active

    def forget(self, gone: Segment) -> None:
        """A segment whose content lives elsewhere; its file is the caller's from here on.

        Whoever is reading it finds that out: what they read after this call does not count.
        """
        with self._lock:
            self._segments = tuple(item for item in self._segments if item is not gone)
        self.files.forget(gone.path)

    def close(self) -> None:
        """Give all descriptors back."""
        with self._lock:
            self._segments, self._active = (), None
