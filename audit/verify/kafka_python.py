"""Topics read with kafka-python, which shares no code with what the relay writes with: the independent reader."""

from __future__ import annotations

import gc
import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from audit.verify.report import Unchecked
from audit.verify.topic import AHEAD_BYTES, ANSWER_SECONDS, BATCH, SILENCE_SECONDS, Batch, Extent, Part, moved, silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_WAIT_MS: Final = 1000
#: What it calls a client's settings, by librdkafka's names for them.
NAMES: Final[Mapping[str, str]] = {
    "client.id": "client_id",
    "client.rack": "client_rack",
    "sasl.kerberos.service.name": "sasl_kerberos_service_name",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.password": "sasl_plain_password",
    "sasl.username": "sasl_plain_username",
    "security.protocol": "security_protocol",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.cipher.suites": "ssl_ciphers",
    "ssl.crl.location": "ssl_crlfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}
_HOST_CHECK: Final = "ssl.endpoint.identification.algorithm"


class KafkaPython:
    """See :class:`audit.verify.topic.Reader`.

    Args:
        bootstrap: Addresses of brokers, with commas between them.
        properties: Settings of the client, by librdkafka's names.

    Raises:
        Unchecked: The library is not installed, does not take a setting, or reaches no broker.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        settings = _translated(properties)
        try:
            import kafka  # noqa: PLC0415 - the verifier as one file does without
            import kafka.errors  # noqa: PLC0415 - as above
        except ImportError as error:
            raise Unchecked("install strongroom to verify topics of Kafka: they are read with kafka-python") from error
        self._kafka: Any = kafka
        logger = logging.getLogger("kafka")  # what counts comes as errors
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        gc.enable()  # unlike records, its requests make cycles
        self._consumers: list[Any] = []
        said = {
            "client_id": "strongroom-verify",
            **settings,
            "bootstrap_servers": bootstrap.split(","),
            "allow_auto_create_topics": False,
            "auto_offset_reset": "none",
            "bootstrap_timeout_ms": ANSWER_SECONDS * 1000,
            "check_crcs": False,  # in Python a fifth of its time; the hashes of records say more
            "enable_auto_commit": False,
            "fetch_max_bytes": AHEAD_BYTES,
            "fetch_max_wait_ms": 10,
            "group_id": None,
            "max_partition_fetch_bytes": AHEAD_BYTES // 4,
            "max_poll_records": BATCH,
            "metrics_enabled": False,
            "request_timeout_ms": ANSWER_SECONDS * 1000,
        }
        with self._answers():
            for level in ("read_committed", "read_uncommitted"):
                self._consumers.append(kafka.KafkaConsumer(**said, isolation_level=level))
        self._committed, self._all = self._consumers

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn whatever the library raises into our own."""
        try:
            yield
        except Unchecked:
            raise
        except Exception as error:  # its own errors, and those of sockets, TLS and codecs beneath
            text = f"{type(error).__name__}: {error}".rstrip(": ")
            raise Unchecked(f"the brokers do not answer as they should: {text}") from error

    def partitions(self, topic: str) -> list[int]:
        """See :class:`audit.verify.topic.Reader`."""
        with self._answers():
            return sorted(self._committed.partitions_for_topic(topic) or ())

    def extents(self, topic: str, numbers: Iterable[int]) -> dict[int, Extent]:
        """See :class:`audit.verify.topic.Reader`."""
        partitions = [self._kafka.TopicPartition(topic, number) for number in numbers]
        with self._answers():
            begins, ends = self._all.beginning_offsets(partitions), self._all.end_offsets(partitions)
            stable = self._committed.end_offsets(partitions)
            return {each.partition: Extent(begins[each], stable[each], ends[each]) for each in partitions}

    def read(self, part: Part) -> Iterator[Batch]:
        """See :class:`audit.verify.topic.Reader`."""
        partition = self._kafka.TopicPartition(part.topic, part.number)
        with self._answers():
            self._committed.assign([partition])
            self._committed.seek(partition, part.begin)
        at, deadline = part.begin, time.monotonic() + SILENCE_SECONDS
        while at < part.end:
            if time.monotonic() > deadline:
                raise silent(part)
            with self._answers():
                try:
                    polled = self._committed.poll(timeout_ms=_WAIT_MS, max_records=BATCH)
                    after = self._committed.position(partition)
                except self._kafka.errors.OffsetOutOfRangeError as error:
                    raise moved(part, "offset out of range") from error
            messages = [message for message in polled.get(partition, ()) if message.offset < part.end]
            if messages:
                yield Batch(
                    [message.offset for message in messages],
                    [message.key or b"" for message in messages],
                    [message.value or b"" for message in messages],
                )
            if messages or after > at:
                at, deadline = after, time.monotonic() + SILENCE_SECONDS

    def close(self) -> None:
        """See :class:`audit.verify.topic.Reader`."""
        for consumer in self._consumers:
            with suppress(Exception):  # what was read was read
                consumer.close()


def _translated(properties: Mapping[str, str]) -> dict[str, object]:
    said: dict[str, object] = {}
    for name, value in properties.items():
        if name == _HOST_CHECK:
            said["ssl_check_hostname"] = value.lower() not in {"", "none"}
        elif name in NAMES:
            said[NAMES[name]] = value.upper() if name == "security.protocol" else value
        else:
            raise Unchecked(f"--reader kafka-python has no setting {name}; it has {', '.join(sorted(NAMES))}")
    return said
