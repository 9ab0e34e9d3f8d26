"""The lab's brokers are real ones: what is acknowledged is there after kills, and a cluster lives on without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from compose.lab.kafka import Broker, LabFailed, main, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(300)  # the first one fetches the jars

TOPIC = "t"


def bootstrap(brokers: Sequence[Broker]) -> list[str]:
    return [broker.address for broker in brokers]


def create(brokers: Sequence[Broker], replicas: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap(brokers))
    admin.create_topics([NewTopic(TOPIC, 1, replicas)])
    admin.close()


def write(brokers: Sequence[Broker], values: Sequence[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap(brokers), acks="all", retries=50)
    written = [producer.send(TOPIC, value) for value in values]
    for each in written:
        each.get(timeout=60)
    producer.close()


def read(brokers: Sequence[Broker], count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap(brokers), auto_offset_reset="earliest")
    partition = TopicPartition(TOPIC, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    found: list[bytes] = []
    while len(found) < count:
        found += [each.value for several in consumer.poll(timeout_ms=1000).values() for each in several]
    consumer.close()
    return found


def test_what_a_broker_acknowledged_is_there_after_a_kill_and_after_a_stop(cluster: Starts) -> None:
    (broker,) = brokers = cluster(1, {})
    create(brokers, 1)
    write(brokers, [b"one", b"two"])
    broker.crash()
    assert (broker.pid, broker.answers()) == (0, False)
    broker.begin()
    broker.wait()
    write(brokers, [b"three"])
    broker.stop()
    broker.begin()
    broker.wait()
    assert read(brokers, 3) == [b"one", b"two", b"three"]


def test_three_are_one_cluster_that_goes_on_without_any_one(cluster: Starts) -> None:
    brokers = cluster(3, {})
    create(brokers, 3)
    expected = []
    for number, broker in enumerate(brokers):
        broker.crash()
        expected.append(b"without %d" % number)
        write([each for each in brokers if each is not broker], expected[-1:])
        broker.begin()
        broker.wait()
    assert read(brokers, 3) == expected


def test_a_broker_of_a_cluster_is_taken_into_no_other(cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    with pytest.raises(LabFailed, match="is of another cluster: wipe it first"):
        start(broker.directory.parent, [broker.port, broker.port + 1])


def test_a_broker_that_cannot_start_says_why(cluster: Starts) -> None:
    with pytest.raises(LabFailed, match=r"StorageTool failed: .*num\.io\.threads"):
        cluster(1, {"num.io.threads": "0"})
    with pytest.raises(LabFailed, match=r"does not answer; .*broker\.log ends in: .*no\.such\.Class"):
        cluster(1, {"metric.reporters": "no.such.Class"})


def test_the_command_starts_shows_stops_and_wipes(
    cluster: Starts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (broker,) = cluster(1, {})
    monkeypatch.setattr("compose.lab.kafka.brokers", lambda: broker.directory.parent)

    def said(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["kafka", *arguments])
        assert main() == 0
        return capsys.readouterr().out

    port = str(broker.port)
    assert said("start", port) == f"{broker.address}\n"
    assert said("status") == f"{broker.address} runs as {broker.pid}\n"
    assert said("stop", port) == ""
    assert said("status", port) == f"{broker.address} does not run\n"
    said("wipe")
    assert said("status") == ""
