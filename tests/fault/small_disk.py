"""A real file system of a few MiB, which a test can fill to the last page."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = 4096


class SmallDisk:
    """A mounted tmpfs; see :func:`small_disk`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    @property
    def free(self) -> int:
        """Free bytes."""
        space = os.statvfs(self.root)
        return space.f_bavail * space.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Take what is free but for ``leaving`` bytes, as another program on this disk would; it may race with ours."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while (more := self.free - leaving) >= PAGE:
                    file.write(bytes(min(more // PAGE * PAGE, 1 << 20)))
            except OSError:
                assert not leaving

    def release(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(root: Path, mib: int) -> Iterator[SmallDisk]:
    """A disk mounted at ``root``; without leave to mount, the test is skipped.

    Args:
        root: Is made.
        mib: Its size.
    """
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", root], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system can be mounted by root alone: {mounted.stderr.strip()}")
    (root / "stderr").symlink_to(root.with_name("stderr"))  # a server's words need no room here
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
