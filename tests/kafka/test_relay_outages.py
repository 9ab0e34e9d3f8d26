"""The relay while Kafka is down, full, loses what it acknowledged, or lets nobody in; and what writes see of that."""

from __future__ import annotations

import json
import os
import random
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tests.fault.small_disk import small_disk
from tests.integration.served import Server
from tests.kafka.copies import (
    STREAM,
    Feeder,
    Relay,
    Topic,
    caught_up,
    durable,
    ledger,
    relay_environment,
    require_same,
    until,
    warnings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(300)


def test_while_a_broker_is_down_records_wait_and_somebody_is_told(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    server = Server(tmp_path, relay_environment(broker.address))
    feeder = Feeder(server)
    feeder.send(100)
    caught_up(server, broker.address)
    broker.crash()
    assert feeder.send(1000)
    until(lambda: any("Kafka does not answer" in line for line in warnings(server)), "a warning")
    found = {line.split(" ")[0].split("{")[0]: line for line in _metrics(server)}
    assert float(found["strongroom_relay_lag_records"].rpartition(" ")[2]) >= 1000
    assert found["strongroom_relay_failing"].endswith(" 1")
    told = server.errors
    broker.begin()
    broker.wait()
    caught_up(server, broker.address)
    until(lambda: not any("Kafka does not answer" in line for line in warnings(server)), "its end")
    assert told.count("Kafka does not answer") <= 3, told  # one line, not one for each try
    require_same(server, broker.address)
    server.stop()


def test_messages_that_are_given_up_while_a_broker_hangs_come_all_the_same(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    server = Server(tmp_path)
    feeder = Feeder(server)
    program = [sys.executable, "-m", "tests.kafka.impatient"]
    relay = Relay(server, relay_environment(broker.address) | {"PYTHONPATH": os.getcwd()}, program=program)  # noqa: PTH109
    feeder.send(100)
    caught_up(server, broker.address)
    broker.pause()
    feeder.send(5000)
    until(lambda: "a transaction ended: " in relay.errors, "that they were given up")
    feeder.send(100)
    broker.go_on()
    caught_up(server, broker.address)
    require_same(server, broker.address)
    assert relay.stop() == 0
    assert "timed out" in relay.errors
    server.stop()


def _metrics(server: Server) -> list[str]:
    return httpx.get(f"{server.audit_endpoint}/metrics").text.splitlines()


def test_where_too_many_wait_new_writes_are_refused_until_kafka_has_them(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    env = relay_environment(broker.address)
    server = Server(tmp_path, env | {"STRONGROOM_RELAY__MAX_LAG_RECORDS": "500"})
    feeder = Feeder(server)
    feeder.send(100)
    caught_up(server, broker.address)
    broker.crash()
    while (answer := feeder.answer(200)).status_code == 200:
        assert durable(server) < 20_000
    assert answer.status_code == 503
    assert "too far behind" in answer.text or "more than relay.max_lag_records = 500" in answer.text
    assert any("new writes are refused" in line for line in warnings(server))
    held = durable(server)
    assert server.cli("log", "list").returncode == 0  # what is no write goes on
    assert durable(server) >= held
    broker.begin()
    broker.wait()
    until(lambda: feeder.send(10), "that it takes events again")
    caught_up(server, broker.address)
    require_same(server, broker.address)
    server.stop()


def test_a_restart_knows_how_far_the_copy_was_and_no_record_that_was_copied_is_cut(
    tmp_path: Path, cluster: Starts
) -> None:
    (broker,) = cluster(1, {})
    server = Server(tmp_path, relay_environment(broker.address))
    feeder = Feeder(server)
    feeder.send(300)
    caught_up(server, broker.address)
    kept = server.data / "views" / "cursors" / f"relay@{STREAM}"
    until(lambda: kept.exists() and json.loads(kept.read_bytes())["next"] > 300, "the cursor")
    server.stop()
    broker.crash()
    server.start({"STRONGROOM_RELAY__MAX_LAG_RECORDS": "50"})  # 300 are there: they do not count
    assert feeder.send(10)
    server.stop()


@pytest.mark.timeout(400)
def test_three_brokers_go_on_without_any_one(tmp_path: Path, cluster: Starts) -> None:
    brokers = cluster(3, {})
    addresses = ",".join(broker.address for broker in brokers)
    server = Server(tmp_path, relay_environment(addresses))
    feeder, chance = Feeder(server), random.Random(3)
    feeder.send(100)
    caught_up(server, addresses)
    for _ in range(2):
        down = chance.choice(brokers)
        down.crash()
        for _ in range(30):
            feeder.send(1000)
        caught_up(server, addresses)  # while it is down
        down.begin()
        down.wait()
        feeder.send(500)
    caught_up(server, addresses)
    assert not [line for line in warnings(server) if "replicas" in line]
    count = require_same(server, addresses)
    assert count > 60_000
    server.stop()


def test_what_a_broker_lost_of_what_it_acknowledged_is_copied_again(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    server = Server(tmp_path)
    feeder, env = Feeder(server), relay_environment(broker.address)
    relay = Relay(server, env)
    for _ in range(8):
        feeder.send(200)
        caught_up(server, broker.address)
    relay.stop()
    before = len(Topic(broker.address, "strongroom.records").values())
    broker.crash()
    folder = broker.directory / "data" / "strongroom.records-0"
    (log,) = folder.glob("*.log")
    with log.open("r+b") as file:  # as after a power cut: acknowledged, and not on the disk
        file.truncate(log.stat().st_size * 2 // 3)
    for state in folder.glob("*.snapshot"):
        state.unlink()
    (broker.directory / "data" / "recovery-point-offset-checkpoint").write_text("0\n0\n")
    broker.begin()
    broker.wait()
    assert len(Topic(broker.address, "strongroom.records").values()) < before
    relay = Relay(server, env)
    feeder.send(10)
    caught_up(server, broker.address)
    assert relay.stop() == 0
    require_same(server, broker.address)
    rewound = [record for record in map(json.loads, ledger(server)) if record["op"] == "relay.rewind"]
    assert [record["relay"]["first"] for record in rewound] == [rewound[0]["relay"]["readable"]]
    assert rewound[0]["relay"]["cursor"] > rewound[0]["relay"]["readable"]
    assert "going on with record" in relay.errors
    server.stop()


def test_a_broker_without_room_for_records_has_them_wait(tmp_path: Path, cluster: Starts) -> None:
    with small_disk(tmp_path / "brokers", 160) as disk:
        (broker,) = cluster(1, {"log.segment.bytes": "1048576"})
        server = Server(tmp_path, relay_environment(broker.address))
        feeder = Feeder(server)
        feeder.send(100)
        caught_up(server, broker.address)
        disk.fill(leaving=256 * 1024)
        for _ in range(40):
            assert feeder.send(500)
        until(lambda: any("relay: " in line and "Kafka" in line for line in warnings(server)), "a warning")
        disk.release()
        broker.crash()
        broker.begin()
        broker.wait()
        caught_up(server, broker.address)
        require_same(server, broker.address)
        server.stop()
        broker.wipe()


def test_records_larger_than_the_topic_takes_are_told_of_before_they_are_sent(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {"message.max.bytes": "20000"})
    server = Server(tmp_path)
    relay = Relay(server, relay_environment(broker.address) | {"STRONGROOM_RELAY__CREATE_TOPICS": "false"})
    until(lambda: "there is no topic strongroom.records" in relay.errors, "that they are missing")
    small = {"max.message.bytes": "20000"}
    _make_topics(broker.address, small)
    until(lambda: "max.message.bytes of strongroom.records is 20000: a record can take" in relay.errors, "that")
    _set(broker.address, "max.message.bytes", "34000")
    feeder = Feeder(server)
    feeder.send(1000)
    answer = feeder.answer(1, "x" * 20_000)
    assert answer.status_code == 200
    caught_up(server, broker.address)
    relay.stop()
    require_same(server, broker.address)
    server.stop()


def test_a_topic_that_is_compacted_is_refused_and_other_settings_are_warned_of(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    server = Server(tmp_path, relay_environment(broker.address))
    caught_up(server, broker.address)
    bad = {"retention.ms": "3600000", "unclean.leader.election.enable": "true", "retention.bytes": "9"}
    for name, value in bad.items():
        _set(broker.address, name, value)

    def warned() -> bool:
        lines = "\n".join(warnings(server))
        return all(f"{name} of strongroom.records" in lines for name in bad)

    until(warned, "a warning of each")
    _set(broker.address, "cleanup.policy", "compact")
    until(lambda: any("cleanup.policy of strongroom.records is compact" in line for line in warnings(server)), "that")
    _set(broker.address, "cleanup.policy", "delete")
    Feeder(server).send(10)
    caught_up(server, broker.address)
    server.stop()


def _make_topics(address: str, config: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    topics = [
        NewTopic("strongroom.records", 1, 1, config=config),
        NewTopic("strongroom.checkpoints", 1, 1),
        NewTopic("strongroom.cursors", 1, 1, config={"cleanup.policy": "compact"}),
    ]
    for done in admin.create_topics(topics).values():
        done.result(60)


def _set(address: str, name: str, value: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, "strongroom.records", incremental_configs=[entry])
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(60)
