"""Holds: while a backup copies, nothing is recycled and nothing is erased, and never for ever.

A hold is a promise of the one who copies to come back within :data:`HOLD_SECONDS`; each time he does, it lasts that
long again. Whoever died does not come back. Settling and erasing do each of their steps inside :meth:`Holds.passing`,
so that a hold begins between two steps and never in the middle of one.

Not handled here: leases of readers (``vault.storage.leases``), which are on one body each.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Final

from audit.backup import BackupFailed, BackupLapsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What is held off.
RECYCLING: Final = "recycling"
ERASING: Final = "erasing"
#: How long a hold lasts after its owner was heard of, in seconds.
HOLD_SECONDS: Final = 120.0
#: How long a step that has begun may keep a backup waiting, in seconds; less than a command waits for an answer.
_STEP_SECONDS: Final = 90.0
#: Holds at one time: who is killed leaves his for a while, and may begin again at once.
MAX_HOLDS: Final = 16


class Holds:
    """The holds on one node's bytes. Thread-safe.

    Args:
        now: A clock in seconds that never goes back; another one in tests.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._numbers = count(1)
        self._lock = Lock()
        self._held: dict[int, tuple[float, frozenset[str]]] = {}
        self._steps = {RECYCLING: Lock(), ERASING: Lock()}

    def take(self) -> int:
        """Hold recycling and erasing off, from the end of the steps that they are at.

        Returns:
            The hold, for the other calls.

        Raises:
            BackupFailed: A step does not end, or there are too many holds; nothing is held.
        """
        with self._lock:
            self._forget()
            if len(self._held) >= MAX_HOLDS:
                raise BackupFailed("too many backups are under way, or were cut short just now; try again later")
            number = next(self._numbers)
            self._held[number] = (self._now() + _STEP_SECONDS + HOLD_SECONDS, frozenset(self._steps))
        for step in self._steps.values():  # no new one begins; the one under way ends
            if not step.acquire(timeout=_STEP_SECONDS / len(self._steps)):
                self.release(number)
                raise BackupFailed("the server is recycling or erasing, which takes long; try again")
            step.release()
        self.keep(number, recycling=True)
        return number

    def keep(self, number: int, *, recycling: bool) -> None:
        """Go on holding.

        Args:
            number: The hold.
            recycling: Recycling is held off too; once it is not, it never is again.

        Raises:
            BackupLapsed: The hold had ended.
        """
        with self._lock:
            self._forget()
            found = self._held.get(number)
            if found is None:
                raise BackupLapsed("the server heard nothing of this backup for too long: make it again")
            steps = found[1] if recycling else found[1] - {RECYCLING}
            self._held[number] = (self._now() + HOLD_SECONDS, steps)

    def release(self, number: int) -> None:
        """Hold no longer; harmless to call again."""
        with self._lock:
            self._held.pop(number, None)

    def held(self, step: str) -> bool:
        """Whether somebody holds ``step`` off."""
        with self._lock:
            self._forget()
            return any(step in steps for _, steps in self._held.values())

    @contextmanager
    def passing(self, step: str) -> Iterator[bool]:
        """Do one step of what may be held off, if it is not: no hold on it begins until the block ends."""
        with self._steps[step]:
            yield not self.held(step)

    def _forget(self) -> None:
        now = self._now()
        self._held = {number: found for number, found in self._held.items() if found[0] > now}
