"""The relay and what becomes of its topics: deleted, made anew, expired, shared with others, written to by others."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.integration.served import Server, command
from tests.kafka.copies import (
    PATIENCE,
    STREAM,
    Feeder,
    Relay,
    Topic,
    caught_up,
    cursor,
    durable,
    fed_until_its_end,
    forget,
    ledger,
    records_of,
    relay_environment,
    require_same,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from compose.lab.kafka import Broker

pytestmark = pytest.mark.timeout(240)


def test_a_topic_that_is_made_anew_is_left_alone_until_somebody_says_so(
    server: Server, broker: Broker, prefix: str
) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder.send(200)
    caught_up(server, broker.address, prefix)
    relay.stop()
    before = cursor(broker.address, prefix)["topic"]
    _delete(broker, f"{prefix}.records")
    stopped = Relay(server, env)
    assert stopped.wait() == 3
    assert f"goes to topic {prefix}.records with id {before}" in stopped.errors
    assert "strongroom run relay --accept-topic" in stopped.errors
    assert not Topic(broker.address, f"{prefix}.records").messages()
    accepted = Relay(server, env, "--accept-topic")
    until(lambda: cursor(broker.address, prefix).get("topic", before) != before, "a cursor in the new one")
    caught_up(server, broker.address, prefix)
    assert accepted.stop() == 0
    require_same(server, broker.address, prefix)
    assert [record["relay"]["generation"] for record in records_of(server, "relay.assign")] == [1, 2]
    relay = Relay(server, env)
    feeder.send(5)
    caught_up(server, broker.address, prefix)
    relay.stop()


def test_a_topic_that_is_made_anew_under_it_stops_it(server: Server, broker: Broker, prefix: str) -> None:
    feeder = Feeder(server)
    relay = Relay(server, relay_environment(broker.address, prefix))
    feeder.send(200)
    caught_up(server, broker.address, prefix)
    _delete(broker, f"{prefix}.records")
    fed_until_its_end(feeder, relay)
    assert relay.wait() == 3
    assert "somebody deleted the one it was" in relay.errors


def _delete(broker: Broker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    for done in admin.delete_topics([topic]).values():
        done.result(PATIENCE)
    until(lambda: topic not in admin.list_topics(timeout=10).topics, "the end of the topic")


def test_what_has_expired_is_not_missed(server: Server, broker: Broker, prefix: str) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder.send(300)
    caught_up(server, broker.address, prefix)
    forget(broker.address, prefix, 150)
    feeder.send(10)
    count = caught_up(server, broker.address, prefix)
    relay.stop()
    feeder.send(7)
    forget(broker.address, prefix, -1)  # all of it: only the cursor knows
    relay = Relay(server, env)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    copied = Topic(broker.address, f"{prefix}.records").values()
    held = ledger(server)
    assert copied
    assert copied == held[len(held) - len(copied) :] or copied == held[-len(copied) - 1 : -1]
    assert json.loads(copied[0])["seq"] == count
    assert not records_of(server, "relay.rewind")


def test_a_cursor_that_was_lost_is_found_in_the_records(server: Server, broker: Broker, prefix: str) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder.send(100)
    count = caught_up(server, broker.address, prefix)
    relay.stop()
    _delete(broker, f"{prefix}.cursors")
    relay = Relay(server, env)
    feeder.send(10)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    require_same(server, broker.address, prefix)
    (rewound,) = records_of(server, "relay.rewind")
    assert rewound["relay"]["first"] == rewound["relay"]["readable"] >= count
    assert "cursor" not in rewound["relay"]


def test_a_stream_of_another_vault_has_a_partition_of_its_own_and_the_same_name_is_refused(
    server: Server, tmp_path: Path, broker: Broker, prefix: str
) -> None:
    env = relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    Feeder(server).send(50)
    caught_up(server, broker.address, prefix)
    others = []
    for name, node in (("same", "node-1"), ("other", "node-2")):
        home = tmp_path / name
        home.mkdir()
        made = command("init", "--data", home / "data", "--node", node)
        assert made.returncode == 0, made.stderr
        others.append(Server(home))
    same, other = others
    refused = Relay(same, env)
    assert refused.wait() == 3
    assert "of another vault" in refused.errors
    beside = Relay(other, env)
    until(lambda: cursor(broker.address, prefix, "site-a.node-2").get("next", 0) >= durable(other), "its records")
    assert beside.stop() == 0
    copied = Topic(broker.address, f"{prefix}.records").values(1)
    assert copied == ledger(other, "site-a.node-2")[: len(copied)]
    assert cursor(broker.address, prefix, "site-a.node-2")["partition"] == 1
    relay.stop()
    require_same(server, broker.address, prefix)
    for each in others:
        each.stop()


def test_what_somebody_else_wrote_there_stops_it(server: Server, broker: Broker, prefix: str) -> None:
    env = relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder = Feeder(server)
    feeder.send(50)
    caught_up(server, broker.address, prefix)
    relay.stop()
    feeder.send(50)
    last = Topic(broker.address, f"{prefix}.records").values()[-1]
    _write(broker, prefix, _next(last))
    relay = Relay(server, env)
    assert relay.wait() == 3
    assert "is not the ledger's" in relay.errors
    _write(broker, prefix, b"no record")
    relay = Relay(server, env)
    assert relay.wait() == 3
    assert "is no record: others write there" in relay.errors


def _next(record: bytes) -> bytes:
    """A record that could follow, and does not."""
    seq = json.loads(record)["seq"]
    return record.replace(b'"seq":%d,' % seq, b'"seq":%d,' % (seq + 1))


def _write(broker: Broker, prefix: str, value: bytes, key: bytes = STREAM.encode()) -> None:
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce(f"{prefix}.records", value, key, partition=0)
    assert producer.flush(PATIENCE) == 0
    producer.close()


def test_a_strangers_message_of_another_key_is_passed_over(server: Server, broker: Broker, prefix: str) -> None:
    env = relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder = Feeder(server)
    feeder.send(50)
    caught_up(server, broker.address, prefix)
    relay.stop()
    _write(broker, prefix, b"hello", b"stranger")
    relay = Relay(server, env)
    feeder.send(50)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    found = Topic(broker.address, f"{prefix}.records").messages()
    mine = [message.value() for message in found if message.key() == STREAM.encode()]
    assert len(mine) == len(found) - 1
    assert mine == ledger(server)[: len(mine)]


def test_an_older_data_directory_than_what_was_published_is_not_copied(
    server: Server, tmp_path: Path, broker: Broker, prefix: str
) -> None:
    env, feeder = relay_environment(broker.address, prefix), Feeder(server)
    feeder.send(20)
    server.stop()
    shutil.copytree(server.data, tmp_path / "old")
    server.start()
    relay = Relay(server, env)
    feeder.send(5000)
    caught_up(server, broker.address, prefix)
    relay.stop()
    server.stop()
    shutil.rmtree(server.data)
    (tmp_path / "old").rename(server.data)
    shutil.rmtree(tmp_path / "data.anchor")  # else the server would not start: it knows better
    (server.data / "streams" / STREAM / "checkpoint").unlink()
    server.start()
    stopped = Relay(server, env)
    assert stopped.wait() == 3
    assert "the data directory is older than what was published" in stopped.errors
