"""SIGHUP and its two meanings: a terminal was closed, or somebody asks for a reload.

Both arrive alike, and what tells them apart is the terminal: once it is closed, a process that had one has none. So a
server started at a terminal stops with it, as it does for SIGTERM; every other SIGHUP is a reload. A server that never
had a terminal (a service, a container), or was told to outlive it (``nohup``), only ever reloads.

Not handled here: stopping (``audit.app``) and reloading (``audit.reload``).
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType


class Hangup(AbstractContextManager["Hangup"]):
    """Catches SIGHUP from the beginning of its block on, so that a start is not ended by it. The main thread's own.

    Attributes:
        came: A SIGHUP came that nobody answered; whoever answers from then on takes the signal itself.
    """

    def __init__(self) -> None:
        self.came = False
        self._before = signal.getsignal(signal.SIGHUP)
        self._attached = self._before is not signal.SIG_IGN and _has_terminal()

    def __enter__(self) -> Self:
        """Begin to catch it."""
        self.catch()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it to whom it was left before."""
        signal.signal(signal.SIGHUP, self._before)

    def catch(self) -> None:
        """Catch it again, where an event loop that is over has left it to end the process."""
        signal.signal(signal.SIGHUP, self._take)

    def stops(self) -> bool:
        """Whether the terminal that the server was started at is gone."""
        return self._attached and not _has_terminal()

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal; the kernel takes it away before it sends SIGHUP."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
    except OSError:
        return False
    return True
