"""A real server under strace: watched, or failed at a system call of our choice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.served import STRONGROOM, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Why a test that needs strace may be skipped; CI installs it, and skips nothing.
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Watched(Server):
    """See :class:`Server`; signals go to the server, and its exit code is strace's.

    Args:
        root: An empty directory.
        strace: The command that runs the command after it.
        env: Variables for ``init`` and ``serve``.
        program: What is run.
    """

    def __init__(
        self,
        root: Path,
        strace: Sequence[str],
        env: Mapping[str, str],
        program: Sequence[str | Path] = (STRONGROOM,),
    ) -> None:
        self.program = [*strace, *program]
        # libuv would hand its own work to io_uring, past every tracer.
        super().__init__(root, {"UV_USE_IO_URING": "0", **env})

    @property
    def pid(self) -> int:
        """Of strace's only child."""
        strace = super().pid
        return int(Path(f"/proc/{strace}/task/{strace}/children").read_text().split()[0])
