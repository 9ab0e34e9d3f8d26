"""Topics of a Kafka cluster as the verifier reads them: a port, which two libraries that share no code implement.

What is read of a partition is fixed before reading begins, so that it ends also while somebody goes on writing: from
where the partition begins to where it ended then, and only when every transaction that was open then is over. What is
written in one transaction is seen together if the topic that is written last is fixed first.

Not handled here: the libraries (``librdkafka``, ``kafka_python``) and what messages mean (``relayed``, ``cursors``,
``checkpoints``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from audit.verify.report import Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Seconds that a cluster may take for one answer, and a partition for its next message.
ANSWER_SECONDS: Final = 10
SILENCE_SECONDS: Final = 30
#: Seconds that a transaction may still be open; a relay's are over in less than one.
OPEN_SECONDS: Final = 10
#: Messages taken at a time. A broker takes messages of 1 MiB unless it is told otherwise.
BATCH: Final = 500
#: Partitions of one topic.
MAX_PARTITIONS: Final = 4096
#: Bytes that a library may fetch ahead.
AHEAD_BYTES: Final = 32 << 20
_AGAIN_SECONDS: Final = 0.1


class Extent(NamedTuple):
    """Where a partition begins, where what is committed ends, and where all ends, as offsets."""

    begin: int
    stable: int
    end: int


class Part(NamedTuple):
    """What is read of a partition.

    Attributes:
        topic: Its topic.
        number: Its number.
        begin: Offset of the first message.
        end: Offset behind the last.
        hidden: A transaction that does not end keeps what comes after ``end`` from every reader.
    """

    topic: str
    number: int
    begin: int
    end: int
    hidden: bool

    @property
    def place(self) -> str:
        """What findings call it."""
        return f"{self.topic}[{self.number}]"

    def at(self, offset: int) -> str:
        """What findings call a message."""
        return f"{self.topic}[{self.number}] offset {offset}"


class Batch(NamedTuple):
    """Messages of one partition in their order. Where there is no key or value, there are no bytes."""

    offsets: list[int]
    keys: list[bytes]
    values: list[bytes]


class Reader(Protocol):
    """Reads what is committed. Not thread-safe. Nothing is written to the cluster, and no group joined.

    All methods raise :class:`Unchecked` where the cluster does not answer in :data:`ANSWER_SECONDS`, or refuses.
    """

    def partitions(self, topic: str) -> list[int]:
        """Numbers of a topic's partitions; none where there is no such topic."""

    def extents(self, topic: str, numbers: Iterable[int]) -> dict[int, Extent]:
        """How far partitions go now."""

    def read(self, part: Part) -> Iterator[Batch]:
        """Read a partition, batches of at most :data:`BATCH` messages.

        Raises:
            Unchecked: Messages were removed meanwhile, or none came for :data:`SILENCE_SECONDS`.
        """

    def close(self) -> None:
        """Give connections back."""


def fixed(reader: Reader, topic: str) -> list[Part]:
    """Fix what is read of a topic.

    Args:
        reader: Reads the cluster.
        topic: The topic.

    Returns:
        Its partitions, by number.

    Raises:
        Unchecked: There is no such topic, or the cluster does not answer.
    """
    numbers = reader.partitions(topic)
    if not numbers:
        raise Unchecked(f"there is no topic {topic}")
    if len(numbers) > MAX_PARTITIONS:
        raise Unchecked(f"topic {topic} has {len(numbers)} partitions, more than {MAX_PARTITIONS}")
    first = reader.extents(topic, numbers)
    stable = {number: extent.stable for number, extent in first.items()}
    deadline = time.monotonic() + OPEN_SECONDS
    while still := [number for number in numbers if stable[number] < first[number].end]:
        if time.monotonic() > deadline:
            break
        time.sleep(_AGAIN_SECONDS)
        stable |= {number: extent.stable for number, extent in reader.extents(topic, still).items()}
    return [
        Part(topic, number, first[number].begin, min(stable[number], first[number].end), hidden=number in still)
        for number in sorted(numbers)
    ]


def silent(part: Part, why: str = "") -> Unchecked:
    """What to raise where no message came."""
    more = f" ({why})" if why else ""
    return Unchecked(f"{part.place}: nothing came for {SILENCE_SECONDS} s before its end, offset {part.end}{more}")


def moved(part: Part, why: str) -> Unchecked:
    """What to raise where messages that were to be read are not there any more."""
    return Unchecked(f"{part.place} was cut while it was read; verify it again ({why})")
