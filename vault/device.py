"""Reading what is on the device itself, or only what the page cache holds; nothing here writes.

Not handled here: durable writes (``vault.durable``).
"""

from __future__ import annotations

import errno
import os
from mmap import PAGESIZE, mmap
from typing import TYPE_CHECKING

from vault.errors import CorruptError

if TYPE_CHECKING:
    from pathlib import Path


def read_direct(path: Path, offset: int, length: int) -> bytes:
    """Read from the device, not from the page cache, where bytes live on that a failed sync never wrote.

    Fewer bytes come back where the file ends. Where the file system answers EINVAL to O_DIRECT, they come
    through the page cache after all, and then they do not prove what a power cut would leave.

    Raises:
        CorruptError: The file is missing or the device does not give the bytes.
    """
    try:
        try:
            return _read_aligned(path, offset, length, os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return _read_aligned(path, offset, length, 0)
    except OSError as error:
        raise CorruptError(f"reading {length} bytes at offset {offset} of {path}: {error}") from error


def read_cached(fd: int, offset: int, length: int) -> bytes | None:
    """Read from the page cache alone: never waits for the device.

    Returns:
        ``length`` bytes; None where the page cache lacks some of them, or the file system does not tell.
    """
    buffer = bytearray(length)
    try:
        count = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    except OSError:  # EAGAIN, EOPNOTSUPP; whatever else it is, a read that waits meets it too
        return None
    return bytes(buffer) if count == length else None


def _read_aligned(path: Path, offset: int, length: int, flags: int) -> bytes:
    skip = offset % PAGESIZE
    size = -(-(skip + length) // PAGESIZE) * PAGESIZE
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        with mmap(-1, size or PAGESIZE) as buffer, memoryview(buffer) as view:  # starts on a page
            filled = 0
            while filled < size:
                with view[filled:] as rest:
                    count = os.preadv(fd, [rest], offset - skip + filled)
                filled += count
                if not count or count % PAGESIZE:  # the file's end
                    break
            return buffer[skip : min(filled, skip + length)]
    finally:
        os.close(fd)
