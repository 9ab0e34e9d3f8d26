"""Files that are kept open for reading, so many at most: a vault has more of them than a process may have descriptors.

Not handled here: which file holds what, and removing files; a file that somebody has open keeps its bytes meanwhile.
"""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class OpenFile:
    """An open file; closed when the last reader has let go: never under one, who would read another file's bytes."""

    def __init__(self, path: Path, flags: int) -> None:
        self.fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self.fd)


class OpenFiles:
    """Open files by path, the least used ones given up first. Thread-safe.

    Args:
        most: How many are kept.
        flags: Of open(2).
    """

    def __init__(self, most: int, flags: int = os.O_RDONLY) -> None:
        self._most = most
        self._flags = flags
        self._lock = Lock()
        self._open: OrderedDict[Path, OpenFile] = OrderedDict()

    def known(self, path: Path) -> OpenFile | None:
        """A file that is open already; never blocks."""
        with self._lock:
            file = self._open.get(path)
            if file is not None:
                self._open.move_to_end(path)
            return file

    def get(self, path: Path) -> OpenFile:
        """A file, opened where it is not; may block.

        Raises:
            OSError: It cannot be opened.
        """
        file = self.known(path)
        if file is None:
            file = OpenFile(path, self._flags)
            with self._lock:
                self._open[path] = file
                if len(self._open) > self._most:
                    self._open.popitem(last=False)
        return file

    def forget(self, path: Path) -> None:
        """Let go of a file that is removed, or all of whose readers look elsewhere."""
        with self._lock:
            self._open.pop(path, None)
