"""Matters as the documentation tells them, for the model of Object Lock: plain lists, and no code of the product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.doubles.s3_model import Version


@dataclass
class Matter:
    """A legal hold by description; ``since`` and ``before`` are None where nothing is said of time."""

    id: str
    bucket: str | None = None
    prefix: str = ""
    since: int | None = None
    before: int | None = None
    actor: str | None = None
    open: bool = True

    def describes(self, bucket: str, key: str, made: tuple[str, int, int]) -> bool:
        """Whether it is about a version that ``made`` (who, and at which times of the two clocks) stored."""
        who, *times = made
        if self.bucket is not None and self.bucket != bucket:
            return False
        if key[: len(self.prefix)] != self.prefix or self.actor not in {None, who}:
            return False
        for time in times:
            if (self.since is None or time >= self.since) and (self.before is None or time < self.before):
                return True
        return False


class Matters:
    """All matters there ever were, in the order in which they were opened."""

    def __init__(self) -> None:
        self.all: list[Matter] = []

    def find(self, matter_id: str) -> Matter | None:
        return next((matter for matter in self.all if matter.id == matter_id), None)

    def holding(self, bucket: str, key: str, version: Version) -> list[str]:
        """Ids of those that hold a version; a delete marker is never held."""
        if version.marker:
            return []
        return [matter.id for matter in self.all if matter.open and matter.describes(bucket, key, version.made)]
