"""A key provider and a token for tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FixedKek:
    """A KEK known to the test."""

    kek: bytes = bytes(32)

    def load(self) -> bytes:
        return self.kek


class Token:
    """Leave to destroy exactly these names."""

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def covers(self, name: str) -> bool:
        return name in self._names
