"""Topics written as the relay writes them, with none of its code, and what somebody else might do to them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.doubles.logbuilder import LogBuilder

KINDS: Final = ("records", "checkpoints", "cursors")


class RelayTopics:
    """The three topics under one prefix, made anew.

    Args:
        address: Of a broker.
        prefix: Of their names; of the transactional id, too.
        partitions: Of the topic of records.
    """

    def __init__(self, address: str, prefix: str, partitions: int = 1) -> None:
        self.address, self.prefix = address, prefix
        self._admin = AdminClient({"bootstrap.servers": address})
        topics = [NewTopic(f"{prefix}.{kind}", partitions if kind == "records" else 1, 1) for kind in KINDS]
        for made in self._admin.create_topics(topics).values():
            made.result(30)
        self._producer = self.producer(prefix)

    def producer(self, transactional_id: str) -> Producer:
        """One that is ready to begin a transaction."""
        made = Producer({"bootstrap.servers": self.address, "transactional.id": transactional_id, "linger.ms": 1})
        made.init_transactions(30)
        return made

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Iterator[Self]:
        """What is written within is seen at once, or never."""
        self._producer.begin_transaction()
        yield self
        self._producer.flush(30)
        if commit:
            self._producer.commit_transaction(30)
        else:
            self._producer.abort_transaction(30)

    def write(self, kind: str, key: bytes | str | None, value: bytes | None, partition: int = 0) -> None:
        self._producer.produce(f"{self.prefix}.{kind}", value, key=key, partition=partition)
        self._producer.poll(0)

    def records(self, log: LogBuilder, values: Sequence[bytes], partition: int = 0) -> None:
        for value in values:
            self.write("records", log.stream, value, partition)

    def cursor(self, log: LogBuilder, following: int, **changed: Any) -> None:
        leaf = log.leaf(following - 1).hex() if following else ""
        self.cursor_of(log.origin, following, leaf, **changed)

    def cursor_of(self, origin: str, following: int, leaf: str, **changed: Any) -> None:
        cursor = {
            "v": 1, "origin": origin, "topic": "dG9waWMtaWQ", "generation": 1, "partition": 0, "next": following,
            "leaf": leaf, "relay": "r1",
        } | changed  # fmt: skip
        stream = origin.rpartition("/")[2]
        self.write("cursors", stream, json.dumps(cursor, separators=(",", ":")).encode())

    def whole(self, log: LogBuilder, sizes: Sequence[int] = (100, 256, 300), partition: int = 0) -> None:
        """All records of a log in a few transactions, with a checkpoint at the end of each."""
        values, at = values_of(log), 0
        for size in (*sizes, log.size):
            with self.transaction():
                self.records(log, values[at:size], partition)
                self.write("checkpoints", log.stream, log.checkpoint(size))
                self.cursor(log, size, partition=partition)
            at = size

    def changed(self, log: LogBuilder, values: Sequence[bytes]) -> None:
        """These records, and the last checkpoint and cursor that the log has."""
        with self.transaction():
            self.records(log, values)
            self.write("checkpoints", log.stream, log.checkpoint())
            self.cursor(log, log.size)

    def remove(self, before: int) -> None:
        """What retention does: the first messages of records are gone; -1 removes all."""
        at = TopicPartition(f"{self.prefix}.records", 0, before)
        for removed in self._admin.delete_records([at]).values():
            removed.result(30)


def values_of(log: LogBuilder) -> list[bytes]:
    """Exact bytes of a log's records."""
    return [entry.bytes() for entry in log.entries]


def leaf(record: bytes) -> str:
    return sha256(b"\0" + record).hexdigest()
