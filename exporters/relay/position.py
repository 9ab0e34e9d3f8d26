"""What Kafka holds of a stream, as a ``read_committed`` consumer sees it: its first and last record, and the cursors.

It is looked at after ``init_transactions``, which ended whatever an earlier producer of the same transactional id had
begun; so what can be read then is all that there is of ours. Where another producer's open transaction hides the end
of a partition, nothing is known: to go on from what can be read would write records twice. Who only wants to see what
is there takes what can be read now (``whole=False``).

Not handled here: what follows from it (``exporters.relay.assignment``, ``exporters.relay.relay``).
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from audit.chain import seq_of
from exporters.errors import BrokerUnavailable
from exporters.relay.connection import ANSWER_SECONDS, Troubles, error_of, let_go, librdkafka, made
from exporters.relay.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Generator

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
        low: The first offset that is there; ``end`` the one after the last that can be read.
        end: See ``low``.
    """

    last: bytes | None
    low: int
    end: int

    @property
    def gone(self) -> bool:
        """Whether the partition began with records that are no longer there."""
        return self.low > 0

    @property
    def readable(self) -> int:
        """Seq after the last record that can be read; 0 where that is none, -1 where nothing can be read."""
        return seq_of(self.last) + 1 if self.last is not None else -1

    def following(self, cursor: int) -> int:
        """Seq that a copy goes on with.

        Args:
            cursor: What the cursor says; -1 where there is none.
        """
        return self.readable if self.readable > 0 else max(cursor, 0) if self.gone else 0


class Position:
    """Looks. Use it as a context manager; not thread-safe.

    Args:
        section: How Kafka is reached.
        whole: Wait for what an open transaction hides, or say that it does.

    Raises:
        ConfigInvalid: It cannot be, as it is set up.
    """

    def __init__(self, section: KafkaSection, *, whole: bool = True) -> None:
        self._whole = whole
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
                return Held(last, low, end)
            back *= _BACK_FACTOR
        return Held(None, low, end)

    def first(self, topic: str, partition: int, stream: str) -> bytes | None:
        """Exact bytes of the first record of a stream that is still there; None where there is none.

        Raises:
            BrokerUnavailable: As above.
            BrokerRefused: They do not let us.
        """
        with closing(self._read(topic, partition, *self._bounds(topic, partition))) as messages:
            key = stream.encode()
            return next((message.value() for message in messages if message.key() == key), None)

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
            if end >= written or not self._whole:
                return low, end
            if time.monotonic() > deadline:
                raise BrokerUnavailable(
                    f"an open transaction hides the end of {topic}/{partition}: until it ends nobody can say what is "
                    "there; another program writes to this topic, or did"
                )
            time.sleep(0.1)

    def _read(self, topic: str, partition: int, first: int, end: int) -> Generator[Any]:
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
