"""Topics read with librdkafka, which the relay writes with: the fast reader."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from audit.verify.report import Unchecked
from audit.verify.topic import AHEAD_BYTES, ANSWER_SECONDS, BATCH, SILENCE_SECONDS, Batch, Extent, Part, moved, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: A batch that is not full comes after this.
_WAIT_SECONDS: Final = 0.05
#: How it reads; none of these may be set otherwise.
FIXED: Final[Mapping[str, object]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    "plugin.library.paths": "",  # code of others
}
_CHOSEN: Final[Mapping[str, object]] = {
    "group.id": "strongroom-verify",  # must be there; nothing is committed under it
    "client.id": "strongroom-verify",
    "socket.timeout.ms": ANSWER_SECONDS * 1000,
    "fetch.wait.max.ms": 10,
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": AHEAD_BYTES >> 10,
}


class Librdkafka:
    """See :class:`audit.verify.topic.Reader`.

    Args:
        bootstrap: Addresses of brokers, with commas between them.
        properties: Settings of the client, by librdkafka's names.

    Raises:
        Unchecked: The library is not installed, or does not take a setting.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        try:
            import confluent_kafka  # noqa: PLC0415 - the verifier as one file does without
        except ImportError as error:
            raise Unchecked(
                "install strongroom to verify topics of Kafka: they are read with confluent-kafka"
            ) from error
        self._kafka: Any = confluent_kafka
        self._last_error = ""
        logger = logging.Logger("librdkafka")  # noqa: LOG001 - of nobody else: what counts comes as errors
        logger.addHandler(logging.NullHandler())
        said = {**_CHOSEN, **properties, **FIXED, "bootstrap.servers": bootstrap, "error_cb": self._note}
        try:
            self._committed = self._kafka.Consumer({**said, "isolation.level": "read_committed"}, logger=logger)
            self._all = self._kafka.Consumer({**said, "isolation.level": "read_uncommitted"}, logger=logger)
        except self._kafka.KafkaException as error:
            raise Unchecked(f"librdkafka: {_text(error)}") from error

    def _note(self, error: Any) -> None:  # noqa: ANN401 - the library has no types
        self._last_error = error.str()

    def partitions(self, topic: str) -> list[int]:
        """See :class:`audit.verify.topic.Reader`."""
        try:
            found = self._committed.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        except self._kafka.KafkaException as error:
            self._committed.poll(0)  # hands over what went wrong before
            raise self._refused(error) from error
        if found.error is not None and found.error.code() == self._kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        if found.error is not None:
            raise Unchecked(f"topic {topic}: {found.error.str()}")
        return sorted(found.partitions)

    def extents(self, topic: str, numbers: Iterable[int]) -> dict[int, Extent]:
        """See :class:`audit.verify.topic.Reader`."""
        found = {}
        for number in numbers:
            partition = self._kafka.TopicPartition(topic, number)
            begin, end = self._bounds(self._all, partition)
            _, stable = self._bounds(self._committed, partition)
            found[number] = Extent(begin, stable, end)
        return found

    def read(self, part: Part) -> Iterator[Batch]:
        """See :class:`audit.verify.topic.Reader`."""
        if part.begin >= part.end:
            return
        self._committed.assign([self._kafka.TopicPartition(part.topic, part.number, part.begin)])
        deadline = time.monotonic() + SILENCE_SECONDS
        try:
            while True:
                messages = self._committed.consume(BATCH, _WAIT_SECONDS)
                if not messages and time.monotonic() > deadline:
                    raise silent(part, self._last_error)
                ended = False
                while messages and (messages[-1].error() is not None or messages[-1].offset() >= part.end):
                    ended |= self._ends(messages.pop(), part)
                if any(message.error() is not None for message in messages):
                    ended |= any(self._ends(message, part) for message in messages if message.error() is not None)
                    messages = [message for message in messages if message.error() is None]
                if messages:
                    yield Batch(
                        [message.offset() for message in messages],
                        [message.key() or b"" for message in messages],
                        [message.value() or b"" for message in messages],
                    )
                    deadline = time.monotonic() + SILENCE_SECONDS  # what the caller did takes none of it
                if ended:
                    return
        except self._kafka.KafkaException as error:
            raise self._refused(error) from error
        finally:
            self._committed.unassign()

    def close(self) -> None:
        """See :class:`audit.verify.topic.Reader`."""
        self._all.close()
        self._committed.close()

    def _bounds(self, consumer: Any, partition: Any) -> tuple[int, int]:  # noqa: ANN401 - the library has no types
        """First offset and end of a partition; waits while its leader changes, or was started a moment ago."""
        kinds, deadline = self._kafka.KafkaError, time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                low, high = consumer.get_watermark_offsets(partition, timeout=ANSWER_SECONDS)
            except self._kafka.KafkaException as error:
                leaderless = error.args[0].code() in {kinds.NOT_LEADER_FOR_PARTITION, kinds.LEADER_NOT_AVAILABLE}
                if not leaderless or time.monotonic() > deadline:
                    raise self._refused(error) from error
            else:
                return low, high
            time.sleep(_WAIT_SECONDS)

    def _ends(self, message: Any, part: Part) -> bool:  # noqa: ANN401 - the library has no types
        """Whether the partition was read up to where it ended, as this message shows that is none, or comes after."""
        error, kinds = message.error(), self._kafka.KafkaError
        if error is None or error.code() == kinds._PARTITION_EOF:  # noqa: SLF001 - its public name
            return bool(message.offset() >= part.end)
        if error.code() in {kinds._AUTO_OFFSET_RESET, kinds.OFFSET_OUT_OF_RANGE}:  # noqa: SLF001 - as above
            raise moved(part, error.str())
        if error.retriable():
            return False
        raise Unchecked(f"{part.place}: {error.str()}")

    def _refused(self, error: Exception) -> Unchecked:
        more = f" ({self._last_error})" if self._last_error and self._last_error not in _text(error) else ""
        return Unchecked(f"the brokers do not answer as they should: {_text(error)}{more}")


def _text(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return str(first.str() if hasattr(first, "str") else first)
