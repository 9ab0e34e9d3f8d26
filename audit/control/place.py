"""Where the control socket is, for the kernel: a path of any length.

A Unix socket's address holds 108 bytes (unix(7)), less than many a data directory's path. Through a descriptor of
its directory under /proc every socket is reached by a short one.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A short path of a socket, good while the block lasts, to bind or to connect to.

    Raises:
        OSError: Its directory cannot be opened.
    """
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
