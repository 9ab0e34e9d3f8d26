"""An anchor in memory that polices the sealer and injects faults, each *failed* and *failed but persisted*."""

from __future__ import annotations

import enum
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown

if TYPE_CHECKING:
    from collections.abc import Callable


class Fault(enum.Enum):
    """What happens to one swap."""

    REFUSED = "nothing happens, and the caller knows"
    LOST = "nothing happens, and the caller does not know"
    PERSISTED = "it happens, and the caller does not know"
    LATE = "it happens at the beginning of the next swap, and the caller does not know"


class FaultyAnchor:
    """:class:`audit.anchor.Anchor`; the next swaps meet ``faults`` in order, and the next ``unreadable`` reads fail.

    ``before_read`` runs at the beginning of each read. A value is a note of this origin whose
    second line is a size: sizes only grow.
    """

    def __init__(self, *faults: Fault) -> None:
        self.faults = deque(faults)
        self.unreadable = 0
        self.values: dict[str, bytes] = {}
        self.swaps = 0
        self.before_read: Callable[[], None] = lambda: None
        self._late: tuple[str, bytes | None, bytes] | None = None
        self._lock = Lock()

    def read(self, origin: str) -> bytes | None:
        self.before_read()
        with self._lock:
            if self.unreadable:
                self.unreadable -= 1
                raise AnchorUnavailable("injected: not readable")
            return self.values.get(origin)

    def swap(self, origin: str, expected: bytes | None, new: bytes) -> None:
        with self._lock:
            self.swaps += 1
            if self._late is not None:
                late, self._late = self._late, None
                if self.values.get(late[0]) == late[1]:
                    self._store(late[0], late[2])
            fault = self.faults.popleft() if self.faults else None
            if fault is Fault.REFUSED:
                raise AnchorUnavailable("injected: refused")
            current = self.values.get(origin)
            if current != expected:
                raise AnchorConflict(origin, current)
            if fault in (None, Fault.PERSISTED):
                self._store(origin, new)
            if fault is Fault.LATE:
                self._late = (origin, expected, new)
            if fault is not None:
                raise AnchorUnknown(f"injected: {fault.value}")

    def _store(self, origin: str, new: bytes) -> None:
        old = self.values.get(origin)
        assert new.split(b"\n")[0] == origin.encode(), "a checkpoint of another log was anchored"
        assert old is None or _size(old) < _size(new), f"the anchor went from {old!r} to {new!r}"
        self.values[origin] = new


def _size(note: bytes) -> int:
    return int(note.split(b"\n")[1])
