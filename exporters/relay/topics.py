"""The relay's topics: made where they are missing, judged, and known by their ids. Control plane: kafka-python.

What would lose records is refused, what might is warned of, and each line names Kafka's own setting.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from kafka import TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic, OffsetSpec

from exporters.errors import TopicUnfit
from exporters.relay.admin import Admin
from exporters.relay.connection import ANSWER_SECONDS, kafka_python
from vault.record import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from concurrent.futures import Future

    from kafka.admin import KafkaAdminClient

    from audit.config import Settings

#: The least ``max.message.bytes`` that holds one record with what Kafka adds.
MIN_MESSAGE_BYTES: Final = MAX_RECORD_BYTES + 1024
#: What topics that we make are given: Kafka's own default, named because batches go by it.
MESSAGE_BYTES: Final = 1_048_588
_DAY_MS: Final = 86_400_000
#: Replicas and acknowledgements that exactly-once rests on (DESIGN §8).
_REPLICAS: Final = 3
_IN_SYNC: Final = 2
_UNKNOWN_TOPIC: Final = 3
#: Cursors are read whole at each start: short segments are compacted soon.
_COMPACTED: Final = {
    "cleanup.policy": "compact", "segment.ms": "3600000", "segment.bytes": "16777216",
    "min.cleanable.dirty.ratio": "0.1",
}  # fmt: skip


class Names(NamedTuple):
    """What the topics are called."""

    records: str
    checkpoints: str
    cursors: str

    @classmethod
    def of(cls, prefix: str) -> Names:
        """Those that begin with ``prefix``."""
        return cls(f"{prefix}.records", f"{prefix}.checkpoints", f"{prefix}.cursors")


class Look(NamedTuple):
    """How the topics stand.

    Attributes:
        topic_id: Of the records' topic: its UUID.
        partitions: How many that topic has.
        message_bytes: Its ``max.message.bytes``.
        warnings: What somebody should look at.
        offsets: Of each partition of the records' topic, the first offset that is there and the one after the last that
            can be read; empty where they were not asked for.
    """

    topic_id: str
    partitions: int
    message_bytes: int
    warnings: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...] = ()


class _Topic(NamedTuple):
    topic_id: str
    partitions: int
    replicas: int
    settings: dict[str, str]


class Topics:
    """Topics of one cluster. Not thread-safe; :meth:`close` gives its connections back.

    Args:
        settings: How the cluster is reached, and what its topics should be.

    Raises:
        ConfigInvalid: The password's file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._relay = settings.relay
        self.names = Names.of(settings.relay.topics)
        self._admin = Admin(kafka_python(settings.kafka))

    def close(self) -> None:
        """Let go."""
        self._admin.close()

    def ensure(self) -> Look:
        """Make what is missing, where we may; then as :meth:`look`.

        Raises:
            TopicUnfit: A topic is missing and is not to be made by us, or is not fit for records.
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        there = self._admin.ask(self._describe)
        missing = [name for name in self.names if name not in there]
        if missing and not self._relay.create_topics:
            raise TopicUnfit(f"there is no topic {', '.join(missing)}: make it, or set relay.create_topics = true")
        if missing:
            self._admin.ask(lambda admin: self._make(admin, missing))
        return self.look()

    def _make(self, admin: KafkaAdminClient, missing: list[str]) -> None:
        brokers = len(admin.describe_cluster()["brokers"])
        replicas = self._relay.replication_factor or min(_REPLICAS, brokers)
        with suppress(errors.TopicAlreadyExistsError):  # another relay made it first
            admin.create_topics([self._new(name, replicas) for name in missing])
        admin.wait_for_topics(missing, timeout_ms=int(ANSWER_SECONDS * 1000))

    def _new(self, name: str, replicas: int) -> NewTopic:
        days = self._relay.keep_days
        kept = {
            "cleanup.policy": "delete",
            "retention.ms": str(days * _DAY_MS if days else -1),
            "retention.bytes": "-1",
            "max.message.bytes": str(MESSAGE_BYTES),
        }
        config = _COMPACTED if name == self.names.cursors else kept
        safe = {"unclean.leader.election.enable": "false", "min.insync.replicas": str(min(_IN_SYNC, replicas))}
        return NewTopic(name, 1, replicas, topic_configs={**config, **safe})

    def look(self) -> Look:
        """Judge the topics.

        Raises:
            TopicUnfit: One is missing, or is not fit for records.
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        return self._judged(self._admin.ask(self._describe))

    def look_soon(self) -> Future[Look]:
        """The same with offsets, and do not wait for it (``exporters.relay.admin``)."""

        def look(admin: KafkaAdminClient) -> Look:
            found = self._judged(self._describe(admin))
            return found._replace(offsets=self._offsets(admin, found.partitions))

        return self._admin.begin(look)

    def _offsets(self, admin: KafkaAdminClient, partitions: int) -> tuple[tuple[int, int], ...]:
        asked = [TopicPartition(self.names.records, number) for number in range(partitions)]
        first, following = (
            admin.list_partition_offsets(dict.fromkeys(asked, edge), isolation_level="read_committed")
            for edge in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
        )
        return tuple((first[each].offset, following[each].offset) for each in asked)

    def forget(self) -> None:
        """Give up on an answer that does not come."""
        self._admin.forget()

    def _judged(self, found: dict[str, _Topic]) -> Look:
        missing = [name for name in self.names if name not in found]
        if missing:
            raise TopicUnfit(f"there is no topic {', '.join(missing)}")
        records = found[self.names.records]
        size = int(records.settings.get("max.message.bytes", MESSAGE_BYTES))
        if "compact" in records.settings.get("cleanup.policy", ""):
            raise TopicUnfit(
                f"cleanup.policy of {self.names.records} is compact, which keeps one record of each stream and deletes "
                "the others: set it to delete"
            )
        if size < MIN_MESSAGE_BYTES:
            raise TopicUnfit(
                f"max.message.bytes of {self.names.records} is {size}: a record can take {MIN_MESSAGE_BYTES}"
            )
        warnings = [text for name in self.names for text in self._warnings(name, found[name])]
        return Look(records.topic_id, records.partitions, size, tuple(warnings))

    def _warnings(self, name: str, topic: _Topic) -> list[str]:
        said, found = topic.settings, []
        if topic.replicas < _REPLICAS:
            found.append(f"{name} has {topic.replicas} replicas, not {_REPLICAS}: who loses a broker may lose records")
        if int(said.get("min.insync.replicas", 1)) < _IN_SYNC:
            found.append(f"min.insync.replicas of {name} is {said.get('min.insync.replicas')}, not {_IN_SYNC}")
        if said.get("unclean.leader.election.enable") == "true":
            found.append(f"unclean.leader.election.enable of {name} is true: an election may lose records")
        if name == self.names.cursors:
            if "compact" not in said.get("cleanup.policy", ""):
                found.append(f"cleanup.policy of {name} is not compact: it grows, or loses the cursor")
            return found
        kept, days = int(said.get("retention.ms", -1)), self._relay.max_outage_days
        if 0 <= kept < days * _DAY_MS:
            found.append(
                f"retention.ms of {name} is {kept / _DAY_MS:.3g} days, less than relay.max_outage_days = {days}"
            )
        if int(said.get("retention.bytes", -1)) >= 0:
            found.append(f"retention.bytes of {name} is set: how many days it keeps depends on how much comes")
        return found

    def grow(self, partitions: int) -> None:
        """Give the records' topic so many partitions.

        Raises:
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        self._admin.ask(lambda admin: admin.create_partitions({self.names.records: NewPartitions(partitions)}))

    def _describe(self, admin: KafkaAdminClient) -> dict[str, _Topic]:
        """Those of the topics that there are."""
        described = {topic["name"]: topic for topic in admin.describe_topics(list(self.names))}
        there = [name for name, topic in described.items() if topic["error_code"] != _UNKNOWN_TOPIC]
        for name in there:
            if code := described[name]["error_code"]:
                raise errors.for_code(code)(name)
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
        configs = admin.describe_configs(resources, config_filter="all").get("topic", {}) if there else {}
        return {
            name: _Topic(
                str(described[name]["topic_id"]),
                len(described[name]["partitions"]),
                min((len(each["replica_nodes"]) for each in described[name]["partitions"]), default=0),
                {key: str(entry["value"]) for key, entry in configs.get(name, {}).items()},
            )
            for name in there
        }
