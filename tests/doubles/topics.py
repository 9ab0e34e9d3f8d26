"""Topics in memory, as the verifier's reader sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.verify.topic import Batch, Extent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit.verify.topic import Part

Message = tuple[bytes, bytes]


class MemoryTopics:
    """A reader of three topics of some partitions each; polices that partitions are read once, and only when fixed.

    Attributes:
        messages: Of each partition by topic and number, key and value.
        begins: Offsets where partitions begin that lost their head.
        hidden: Messages at the end of partitions that an open transaction hides.
        batch: Messages in a batch.
    """

    def __init__(self, prefix: str = "strongroom", partitions: int = 1) -> None:
        self.prefix = prefix
        self.messages: dict[tuple[str, int], list[Message]] = {
            (f"{prefix}.{kind}", number): []
            for kind in ("records", "checkpoints", "cursors")
            for number in range(partitions if kind == "records" else 1)
        }
        self.begins: dict[tuple[str, int], int] = {}
        self.hidden: dict[tuple[str, int], int] = {}
        self.batch = 7
        self.closed = False
        self._fixed: set[tuple[str, int]] = set()

    def add(self, kind: str, key: bytes, *values: bytes, partition: int = 0) -> None:
        self.messages[f"{self.prefix}.{kind}", partition] += [(key, value) for value in values]

    def partitions(self, topic: str) -> list[int]:
        return [number for name, number in self.messages if name == topic]

    def extents(self, topic: str, numbers: Iterable[int]) -> dict[int, Extent]:
        found = {}
        for number in numbers:
            self._fixed.add((topic, number))
            end = len(self.messages[topic, number])
            begin = self.begins.get((topic, number), 0)
            found[number] = Extent(begin, end - self.hidden.get((topic, number), 0), end)
        return found

    def read(self, part: Part) -> Iterator[Batch]:
        self._fixed.remove((part.topic, part.number))
        for at in range(part.begin, part.end, self.batch):
            end = min(part.end, at + self.batch)
            some = self.messages[part.topic, part.number][at:end]
            yield Batch(list(range(at, end)), [key for key, _ in some], [value for _, value in some])

    def close(self) -> None:
        self.closed = True
