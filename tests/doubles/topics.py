"""Topics in memory, as the verifier's reader sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from audit.verify.anchor import Outside
from audit.verify.outside_log import load as load_logs
from audit.verify.relay_topics import Target, verify_topics
from audit.verify.report import Bad, Report, Unchecked
from audit.verify.topic import Batch, Extent
from tests.doubles.logbuilder import LogBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from audit.verify.topic import Part

Message = tuple[bytes, bytes]
KEY: Final = b"site-a.node-1"
NOBODY: Final = Outside([], [])


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


def built(size: int) -> LogBuilder:
    log = LogBuilder()
    log.start()
    log.fill(size)
    return log


def cursor(log: LogBuilder, following: int, **changed: Any) -> bytes:
    leaf = log.leaf(following - 1).hex() if following else ""
    fields = {"v": 1, "origin": log.origin, "partition": 0, "next": following, "leaf": leaf} | changed
    return json.dumps(fields, separators=(",", ":")).encode()


def written(log: LogBuilder, sizes: tuple[int, ...] = ()) -> MemoryTopics:
    """All of a log, with checkpoints of these sizes."""
    topics = MemoryTopics()
    topics.add("records", KEY, *(entry.bytes() for entry in log.entries))
    topics.add("checkpoints", KEY, *map(log.checkpoint, sizes))
    topics.add("cursors", KEY, cursor(log, log.size))
    return topics


def verified(topics: MemoryTopics, *logs: Path | str, outside: Outside = NOBODY) -> Report:
    report = Report("topics")
    try:
        found = load_logs(map(str, logs), "", [key for key, _ in outside.keys], report)
        verify_topics(Target(topics, topics.prefix, found), outside, report, lambda _: None)
    except Bad as bad:
        report.findings.append(bad.finding)
    except Unchecked as why:
        report.unchecked = str(why)
    assert topics.closed
    return report


def topics_with(topics: MemoryTopics, first: int) -> MemoryTopics:
    again = MemoryTopics()
    again.messages = topics.messages
    again.begins["strongroom.records", 0] = first
    return again
