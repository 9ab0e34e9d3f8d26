"""A directory in memory, where there is one: for tests of bytes and of the order of calls, of which there are many."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def memory_directory() -> Iterator[Path]:
    """A new directory, removed at the end."""
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a tmpfs, not a shared file
    with tempfile.TemporaryDirectory(dir=parent) as name:
        yield Path(name)
