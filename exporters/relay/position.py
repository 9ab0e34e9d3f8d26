"""What Kafka holds of a stream, as a ``read_committed`` consumer sees it: its last record, and the cursors.

It is looked at after ``init_transactions``, which ended whatever an earlier producer of the same transactional id had
begun; so what can be read then is all that there is of ours. Where another producer's open transaction hides the end
of a partition, nothing is known: to go on from what can be read would write records twice.

Not handled here: what follows from it (``exporters.relay.assignment``, ``exporters.relay.relay``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from exporters.errors import BrokerUnavailable
from exporters.relay.connection import ANSWER_SECONDS, Troubles, error_of, let_go, librdkafka, made
from exporters.relay.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.relaying.settings import KafkaSection

#: Offsets looked at first from the end of a partition; then eight times as many, until a record is among them.
_BACK: Final = 64
_BACK_FACTOR: Final = 8
#: How long the first answer of a broker may take, in seconds.
_REACH_SECONDS: Final = 6.0
#: How long the end of a partition may stay hidden before somebody is told, in seconds: another's transaction ends.
HIDDEN_SECONDS: Final = 10.0


class Held(NamedTuple):
    """What a partition holds of a stream.

    Attributes:
        last: Exact bytes of the last record that can be read; None where none can.
        gone: The partition began with records that are no longer there.
    """

    last: bytes | None
    gone: bool


class Position:
    """Looks. Use it as a context manager; not thread-safe.

    Args:
        section: How Kafka is reached.

    Raises:
        ConfigInvalid: It cannot be, as it is set up.
    """

    def __init__(self, section: KafkaSection) -> None:
        self._troubles = Troubles()
        self._consumers: list[Any] = []
        self._committed = self._consumer(section, "read_committed")
        self._all = self._consumer(section, "read_uncommitted")

    def _consumer(self, section: KafkaSection, isolation: str) -> Any:  # noqa: ANN401 - confluent's consumer
        config = librdkafka(
            section, self._troubles, group_id="strongroom-relay", isolation_level=isolation, enable_auto_commit=False,
            enable_partition_eof=True, auto_offset_reset="error",
        )  # fmt: skip
        consumer = made(Consumer, config)
        self._consumers.append(consumer)
        return consumer

    def reach(self) -> None:
        """See that a broker lets us in: kafka-python would only say, after half a minute, that it did not get there.

        Raises:
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us in.
        """
        try:
            self._committed.list_topics(timeout=_REACH_SECONDS)
        except KafkaException as error:
            raise self._ours(error) from error

    def held(self, topic: str, partition: int, stream: str) -> Held:
        """What a partition holds of a stream.

        Raises:
            BrokerUnavailable: No broker answers, or another producer's transaction hides the end.
            BrokerRefused: They do not let us.
        """
        low, end = self._bounds(topic, partition)
        back, first = _BACK, end
        while first > low:
            first = max(low, end - back)
            last = None
            for message in self._read(topic, partition, first, end):
                if message.key() == stream.encode():
                    last = message.value()
            if last is not None:
                return Held(last, gone=low > 0)
            back *= _BACK_FACTOR
        return Held(None, gone=low > 0)

    def cursors(self, topic: str) -> dict[str, Cursor]:
        """The last cursor of each stream.

        Raises:
            BrokerUnavailable: As above.
            BrokerRefused: They do not let us.
        """
        found = {}
        for message in self._read(topic, 0, *self._bounds(topic, 0)):  # it has one partition
            cursor = Cursor.decode(message.value())
            if cursor is not None and message.key() is not None:
                found[message.key().decode(errors="replace")] = cursor
        return found

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """First offset and end of a partition."""
        where, deadline = TopicPartition(topic, partition), time.monotonic() + HIDDEN_SECONDS
        while True:
            try:
                low, end = self._committed.get_watermark_offsets(where, timeout=ANSWER_SECONDS)
                _, written = self._all.get_watermark_offsets(where, timeout=ANSWER_SECONDS)
            except KafkaException as error:
                raise self._ours(error) from error
            if end >= written:
                return low, end
            if time.monotonic() > deadline:
                raise BrokerUnavailable(
                    f"an open transaction hides the end of {topic}/{partition}: until it ends nobody can say what is "
                    "there; another program writes to this topic, or did"
                )
            time.sleep(0.1)

    def _read(self, topic: str, partition: int, first: int, end: int) -> Iterator[Any]:
        """Messages from offset ``first`` on, before ``end``."""
        if first >= end:
            return
        self._committed.assign([TopicPartition(topic, partition, first)])
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            while time.monotonic() < deadline:
                message = self._committed.poll(1.0)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    if message.offset() >= end:  # others go on writing: there is always more
                        return
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
                    return
                elif not error.retriable():
                    raise self._troubles.explain(error)
                deadline = time.monotonic() + ANSWER_SECONDS
            raise BrokerUnavailable(f"Kafka does not answer: {topic}/{partition} cannot be read")
        except KafkaException as error:
            raise self._ours(error) from error
        finally:
            self._committed.unassign()

    def _ours(self, error: KafkaException) -> Exception:
        for consumer in self._consumers:
            self._troubles.ask(consumer)
        return self._troubles.explain(error_of(error))

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        for consumer in self._consumers:
            let_go(consumer.close)
