"""One commit segment on disk: where each of its records and bodies stands, and their bytes.

Not handled here: the bytes' format (``audit.journal.segment``), writing, and which segments there are
(``audit.journal.log``).
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from audit.journal.segment import BLOCK
from audit.runs import Run
from vault import device, durable
from vault.errors import CorruptError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.journal.segment import SegmentHeader
    from vault.storage.open_files import OpenFile, OpenFiles

#: How far apart records begin that one read takes together, in bytes.
READ_BYTES: Final = 64 * 1024
#: From how many times their own bytes on records are picked out of what was read: bodies lie between them.
_SPARSE: Final = 2


class Segment:
    """One segment file: where each of its records and bodies stands. Appended to by the committer alone.

    Args:
        path: The file.
        header: Its header.
        files: Opens it where somebody reads or writes it.
    """

    def __init__(self, path: Path, header: SegmentHeader, files: OpenFiles) -> None:
        self.path = path
        self.header = header
        self.first_seq = header.first_seq
        self.end_offset = BLOCK
        self._files = files
        self._offsets = array("Q")
        self._records = array("I")
        self._bodies = array("I")

    @property
    def end_seq(self) -> int:
        """One more than the last seq in it."""
        return self.first_seq + len(self._offsets)

    def note(self, places: Sequence[tuple[int, int, int]]) -> None:
        """Remember where the next records stand: of each its offset, its length, and that of its body."""
        offsets, records, bodies = zip(*places, strict=True)
        self._records.extend(records)
        self._bodies.extend(bodies)
        self._offsets.extend(offsets)  # last: readers go by its length

    def record(self, seq: int) -> bytes:
        """A record's exact bytes."""
        index = seq - self.first_seq
        return self._read(self._offsets[index], self._records[index])

    def records(self, seq: int, end: int) -> list[bytes]:
        """Exact bytes of record ``seq`` and of the next ones before ``end``: as many as one read gives."""
        return self._together(seq, end, READ_BYTES).records()

    def run(self, seq: int, end: int, limit: int) -> Run:
        """Record ``seq`` and the next before ``end``: what one read of about ``limit`` bytes gives."""
        run = self._together(seq, end, limit)
        return Run.of(run.records()) if len(run.data) > _SPARSE * sum(run.lengths) else run

    def body(self, seq: int, offset: int, length: int) -> bytes:
        """Bytes of a record's body."""
        index = seq - self.first_seq
        if offset + length > self._bodies[index]:
            raise CorruptError(f"{self.path}: the body of record {seq} is shorter than {offset + length} bytes")
        return self._read(self._offsets[index] + self._records[index] + offset, length)

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """The first bytes of a record's body, where the page cache holds them."""
        index = seq - self.first_seq
        if length > self._bodies[index]:
            return None
        file = self._files.known(self.path)
        return device.read_cached(file.fd, self._offsets[index] + self._records[index], length) if file else None

    def body_length(self, seq: int) -> int:
        """Length of a record's body in bytes."""
        return self._bodies[seq - self.first_seq]

    def file(self) -> OpenFile:
        """The file, open for reading and writing.

        Raises:
            Unavailable: This process has no descriptor left.
            CorruptError: It cannot be opened.
        """
        try:
            return self._files.get(self.path)
        except OSError as error:
            if error.errno in durable.NO_DESCRIPTOR:
                raise Unavailable(f"{self.path}: {error.strerror}") from error
            raise CorruptError(f"{self.path} cannot be opened: {error.strerror}") from error

    def _together(self, seq: int, end: int, limit: int) -> Run:
        """Record ``seq`` and those before ``end`` that begin within ``limit`` bytes of it, and what lies between."""
        first, offsets, lengths = seq - self.first_seq, self._offsets, self._records
        start, stop = offsets[first], min(end - self.first_seq, len(offsets))
        stop = max(bisect_right(offsets, start + limit, first, stop), first + 1)
        data = self._read(start, offsets[stop - 1] + lengths[stop - 1] - start)
        return Run(array("I", [offset - start for offset in offsets[first:stop]]), lengths[first:stop], data)

    def _read(self, offset: int, length: int) -> bytes:
        file = self.file()  # held until it is read
        data = os.pread(file.fd, length, offset)
        if len(data) != length:
            raise CorruptError(f"{self.path}: cannot read {length} bytes at offset {offset}")
        return data
