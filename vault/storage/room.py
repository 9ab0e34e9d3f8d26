"""Room on disk for what is written in the background: asked before, so that a full disk delays it and stops nobody."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from vault.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

#: What is left free beyond the file itself, in bytes: for checkpoints, tiles and the like.
MARGIN_BYTES: Final = 4 * 1024 * 1024
#: How long a look of :class:`FreeSpace` holds, in seconds.
LOOK_SECONDS: Final = 0.25


def free_bytes(place: Path | int) -> int:
    """What this user may still write to the file system of a path, or of a descriptor, in bytes."""
    space = os.statvfs(place)
    return space.f_bavail * space.f_frsize


class FreeSpace:
    """What :func:`free_bytes` says of a directory, for who asks all the time: looked at again now and then only.

    Not thread-safe.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bytes = 0
        self._looked = float("-inf")

    def bytes(self) -> int:
        """Bytes that were free at most :data:`LOOK_SECONDS` ago."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._bytes, self._looked = free_bytes(self._directory), now
        return self._bytes


def has_room(directory: Path, size: int) -> bool:
    """Whether a file of ``size`` bytes fits."""
    return free_bytes(directory) >= size + MARGIN_BYTES


def require_room(directory: Path, size: int) -> None:
    """Check that a file of ``size`` bytes fits.

    Raises:
        Unavailable: It does not.
    """
    if not has_room(directory, size):
        raise Unavailable(f"{directory}: no room for {size} bytes that would let others be freed; free some space")
