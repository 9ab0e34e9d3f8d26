"""This process, under the names that Prometheus' own clients give it."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from audit.metrics.page import Page

_PROC: Final = Path("/proc/self")
_STARTED: Final = time.time()


def add_process(page: Page) -> None:
    """Add CPU, memory and descriptors; a page of its own prefix, ``process``."""
    resident = int((_PROC / "statm").read_text().split()[1]) * resource.getpagesize()
    page.counter("cpu_seconds_total", "User and system CPU time.", ({}, time.process_time()))
    page.gauge("resident_memory_bytes", "Resident memory.", ({}, resident))
    page.gauge("open_fds", "Open file descriptors.", ({}, len(list((_PROC / "fd").iterdir()))))
    page.gauge("max_fds", "Descriptors that it may have open.", ({}, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    page.gauge("start_time_seconds", "When it was started, since the epoch.", ({}, _STARTED))
