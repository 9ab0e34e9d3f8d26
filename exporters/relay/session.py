"""One producer, from ``init_transactions`` to the first thing that goes wrong: transaction after transaction.

In each are some records, the cursor after them, and a checkpoint that covers no more than they reach. Nothing
is ever sent twice by a session: a transaction whose end is not sure ends the session, and the next one finds out.

librdkafka is never given more than one transaction holds, so its queue is never full: a batch that was taken in part
would leave a gap. ``message.timeout.ms`` stays as it is (shorter ones made outages into aborts when it was measured).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from audit.crash import crash_point
from exporters.errors import SessionOver
from exporters.relay.connection import ANSWER_SECONDS, Troubles, error_of, let_go, librdkafka, made

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.relaying.settings import KafkaSection
    from exporters.relay.topics import Names

#: Records and bytes of one transaction: 10,000 to 50,000 records were the cheapest for the broker.
MAX_RECORDS: Final = 50_000
MAX_BYTES: Final = 16 * 1024 * 1024
#: Messages handed to librdkafka in one call.
_CALL: Final = 2_000
#: How long one try of a commit waits, in seconds: between tries it is told why, and whether to stop.
_TRY_SECONDS: Final = 5.0
#: How long a broker may take to say whether a topic is there, in seconds.
_ASK_SECONDS: Final = 2.0
#: How long a transaction may stay open before the broker aborts it, in ms.
TRANSACTION_MS: Final = 60_000
#: Bytes of a produce request that the broker's ``max.message.bytes`` bounds, and what it adds to a batch.
_BATCH_BYTES: Final = 1_000_000
_BATCH_FRAME: Final = 1024
_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}  # noqa: SLF001 - its names
)


class Session:
    """See the module. Not thread-safe; :meth:`close` it in any case.

    Args:
        section: How Kafka is reached.
        names: The topics.
        identity: The transactional id; a later session of the same ends this one.
        message_bytes: The records' topic's ``max.message.bytes``.
        waits: Told, in one line, why a commit takes long; raises to give up.

    Raises:
        ConfigInvalid: librdkafka does not take a setting.
    """

    def __init__(
        self, section: KafkaSection, names: Names, identity: str, message_bytes: int, waits: Callable[[str], None]
    ) -> None:
        self._names = names
        self._waits = waits
        self._troubles = Troubles()
        size = min(_BATCH_BYTES, message_bytes - _BATCH_FRAME)
        mine = {"compression.type": "lz4", "linger.ms": 5, "transaction.timeout.ms": TRANSACTION_MS}
        config = {**mine, **librdkafka(
            section, self._troubles, transactional_id=identity,
            queue_buffering_max_messages=10 * MAX_RECORDS, queue_buffering_max_kbytes=1 << 20, batch_size=size,
            message_max_bytes=max(size, _BATCH_FRAME), delivery_report_only_error=True,
        )}  # fmt: skip
        self._producer: Any = made(Producer, config)

    def begin(self) -> None:
        """End what an earlier session of this id left open, and keep it from going on.

        Raises:
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        try:
            self._producer.init_transactions(ANSWER_SECONDS)
        except KafkaException as error:
            self._troubles.ask(self._producer)
            raise self._troubles.explain(error_of(error)) from error

    def send(
        self, stream: str, partition: int, records: Sequence[bytes], cursor: bytes, checkpoint: bytes = b""
    ) -> None:
        """One transaction; it is committed on return.

        Args:
            stream: The key of all its messages.
            partition: Of the records.
            records: Exact bytes, in order; at most :data:`MAX_RECORDS`.
            cursor: As it is after them.
            checkpoint: A signed note, where there is a new one.

        Raises:
            SessionOver: It was not, or may not have been, committed.
        """
        key, producer = stream.encode(), self._producer
        try:
            producer.begin_transaction()
            crash_point("relay.begun")
            for at in range(0, len(records), _CALL):
                some = [{"value": record, "key": key} for record in records[at : at + _CALL]]
                if producer.produce_batch(self._names.records, some, partition=partition) != len(some):
                    told = next(str(each["_error"]) for each in some if "_error" in each)
                    raise SessionOver(f"librdkafka did not take all records of a transaction: {told}")
            if checkpoint:
                producer.produce(self._names.checkpoints, checkpoint, key)
            producer.produce(self._names.cursors, cursor, key)
            crash_point("relay.produced")
        except KafkaException as error:
            raise self._over(error_of(error)) from error
        except BufferError as error:
            raise SessionOver(f"librdkafka's queue is full: {error}") from error
        self._commit()
        crash_point("relay.committed")

    def _commit(self) -> None:
        since = time.monotonic()
        while True:
            try:
                self._producer.commit_transaction(_TRY_SECONDS)
            except KafkaException as error:
                told = error_of(error)
                self._troubles.ask(self._producer)
                if not told.retriable():
                    raise self._over(told) from error
                self._require_topic()
                why = self._troubles.explain(told)
                self._waits(f"{why} (for {time.monotonic() - since:.0f} s)")
            else:
                return

    def _require_topic(self) -> None:
        """See that the records' topic is there, where a broker can be asked: a commit would wait a minute for it.

        Raises:
            SessionOver: It is not.
        """
        with suppress(KafkaException):
            found = self._producer.list_topics(self._names.records, timeout=_ASK_SECONDS).topics
            error = found[self._names.records].error
            if error is not None and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise SessionOver(f"there is no topic {self._names.records} any more")

    def _over(self, error: KafkaError) -> Exception:
        self._troubles.ask(self._producer)
        fenced = error.code() in _FENCED
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return SessionOver(f"a record is larger than {self._names.records} takes: raise its max.message.bytes")
        return SessionOver(f"a transaction ended: {error.str()}", fenced=fenced)

    def close(self) -> None:
        """Let go; what is not committed is dropped."""
        self._producer.purge()
        self._troubles.ask(self._producer)
        let_go(self._producer.close)
