"""A vault's topics as anybody sees them who may read them, and what somebody can do to them who may write there.

Nothing of the relay is used here: confluent's client, and names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.demo.server import Failed
from tests.demo.tamper import flipped
from tests.demo.telling import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KINDS: Final = ("records", "checkpoints", "cursors")
#: Of librdkafka's lines, errors alone: what it tells of clients that end is nothing to a reader of the demo.
_QUIET: Final = {"log_level": 3}


def messages(address: str, topic: str) -> list[Any]:
    """All messages of a topic's one partition, as a plain ``read_committed`` consumer gets them.

    Raises:
        Failed: They do not come.
        KafkaException: The broker refuses.
    """
    consumer = Consumer({
        **_QUIET, "bootstrap.servers": address, "group.id": "demo", "isolation.level": "read_committed",
        "enable.auto.commit": False, "enable.partition.eof": True,
    })  # fmt: skip
    found: list[Any] = []
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_S)
        consumer.assign([TopicPartition(topic, 0, low)])
        while low < high:
            message = consumer.poll(PATIENCE_S)
            if message is None:
                raise Failed(f"{topic} cannot be read to its end")
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                break
            else:
                raise KafkaException(error)
    finally:
        consumer.close()
    return found


def forge(address: str, prefix: str, copy: str, seq: int) -> None:
    """Write the topics again under other names, with one byte of one record changed.

    Args:
        address: Of the broker.
        prefix: What the names of the topics begin with.
        copy: What those of the copies are to begin with.
        seq: Of the record.
    """
    mark = b'"seq":%d,' % seq
    admin = AdminClient({**_QUIET, "bootstrap.servers": address})
    _wait(admin.create_topics([NewTopic(f"{copy}.{kind}", 1, 1) for kind in KINDS]).values())
    producer = Producer({**_QUIET, "bootstrap.servers": address})
    for kind in KINDS:
        for message in messages(address, f"{prefix}.{kind}"):
            value = message.value()
            if kind == "records" and mark in value:
                value = flipped(value, value.index(b'"time":"') + 26)  # a digit of its time
            producer.produce(f"{copy}.{kind}", value, message.key(), partition=0)
            producer.poll(0)
    if producer.flush(PATIENCE_S):
        raise Failed("the broker does not take the forged copy")
    producer.close()


def remove(address: str, topic: str, before: int) -> None:
    """Delete messages before an offset, as retention does, or whoever may."""
    admin = AdminClient({**_QUIET, "bootstrap.servers": address})
    _wait(admin.delete_records([TopicPartition(topic, 0, before)]).values())


def _wait(answers: Iterable[Any]) -> None:
    for answer in answers:
        answer.result(PATIENCE_S)


def require_each_once(found: Sequence[bytes], held: Sequence[bytes]) -> None:
    """See that records are there once each, in order, byte by byte those of the log.

    Args:
        found: Values of the topic's messages.
        held: Records of the exported log from seq 0 on, which may end earlier.

    Raises:
        Failed: They are not.
    """
    for seq, record in enumerate(found):
        if b'"seq":%d,' % seq not in record or (seq < len(held) and record != held[seq]):
            raise Failed(
                f"message {seq} of the topic is not record {seq} of the log: {record.decode(errors='replace')}"
            )
    if len(found) < len(held):
        raise Failed(f"{len(held)} records are in the log, and {len(found)} in the topic")
