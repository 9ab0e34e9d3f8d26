"""What one sync of a commit log segment takes by itself, on the disk that is measured."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Final

from vault import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SEGMENT: Final = 32 * 1024 * 1024
_BLOCK: Final = 4096
#: Syncs of one look.
_SYNCS: Final = 100


class Disk:
    """A pre-written segment, which groups of one block are written into, as the committer does it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at = 0

    def sync_ms(self) -> float:
        """The median of some syncs right now, in milliseconds: one write of a block, and one fdatasync."""
        block, took = os.urandom(_BLOCK), []
        for _ in range(_SYNCS):
            started = time.perf_counter()
            durable.append_group(self._fd, [block], self._at)
            took.append(time.perf_counter() - started)
            self._at = (self._at + _BLOCK) % _SEGMENT
        return 1000 * median(took)


@contextmanager
def disk(home: Path) -> Iterator[Disk]:
    """Pre-write a segment in a directory of that disk."""
    path = home / "probe"
    durable.preallocate(path, _SEGMENT)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield Disk(fd)
    finally:
        os.close(fd)
