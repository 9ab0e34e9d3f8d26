"""``strongroom doctor`` about what is in Kafka: what is there, what waits, and what to do where that is not right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
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
    forget,
    relay_environment,
    require_same,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compose.lab.kafka import Broker
    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(240)


def ask(server: Server, env: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What it says: how copies stand, and what to do."""
    done = command("doctor", "--json", "--data", server.data, env=env)
    assert (done.returncode, done.stderr) == (1, "")  # a new vault has no backup
    said = json.loads(done.stdout)
    states = [each for each in said if each["kind"] == "state"]
    return states, [f"{each['kind']}: {each['text']}" for each in said if each["kind"] != "state"]


def test_it_shows_offsets_and_what_waits_beside_a_server_and_without_one(
    server: Server, broker: Broker, prefix: str
) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    _, before = ask(server, env)
    assert any(f"there is no topic {prefix}.records" in line for line in before)
    relay = Relay(server, env)
    feeder.send(300)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    count = require_same(server, broker.address, prefix)
    feeder.send(7)
    ((state,), found) = ask(server, env)
    last = Topic(broker.address, f"{prefix}.records").messages()[-1].offset()
    assert (state["stream"], state["topic"], state["partition"]) == (STREAM, f"{prefix}.records", 0)
    assert (state["first"], state["next"], state["first_offset"]) == (0, count, 0)
    assert state["last_offset"] == last + 1  # the end of its transaction
    assert state["lag"] >= 7
    where = f"{STREAM} in {prefix}.records/0: records 0 to {count - 1}, offsets 0 to {last + 1}"
    assert state["text"] == f"{where}; record {count} comes next, and {state['lag']} wait"
    assert [line for line in found if "Kafka" in line or "no longer there" in line] == []
    assert sum("replicas, not 3" in line for line in found) == 3
    shown = command("doctor", "--data", server.data, env=env)
    assert f"state: {where}; record {count} comes next" in shown.stdout
    server.stop()
    ((stopped,), _) = ask(server, env)
    assert stopped["next"] == count
    assert stopped["lag"] > state["lag"]  # what the stop, and this look, recorded
    assert ask(server, {})[0] == []


def test_it_names_what_is_no_longer_there_unless_that_was_asked_for(
    server: Server, broker: Broker, prefix: str
) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder.send(300)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    forget(broker.address, prefix, 150)
    ((state,), found) = ask(server, env)
    assert state["first_offset"] == 150
    first = json.loads(Topic(broker.address, f"{prefix}.records").values()[0])["seq"]
    assert state["first"] == first > 100
    (line,) = (line for line in found if "no longer there" in line)
    assert line.startswith(
        f"advice: {prefix}.records/0 begins with record {first} of {STREAM}: records 0 to {first - 1}"
    )
    assert "retention.ms" in line
    assert "strongroom run relay --accept-topic" in line
    forget(broker.address, prefix, -1)
    ((state,), found) = ask(server, env | {"STRONGROOM_RELAY__KEEP_DAYS": "1"})  # too early for that, too
    assert (state["first"], state["next"]) == (-1, cursor(broker.address, prefix)["next"])
    assert "no record, no offset; record" in state["text"]
    assert any(f"records 0 to {state['next'] - 1} are no longer there" in line for line in found)


def test_a_broker_that_is_away_is_one_line_and_all_else_is_said(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    env = relay_environment(broker.address)
    server = Server(tmp_path, env)
    caught_up(server, broker.address)
    broker.crash()
    states, found = ask(server, env)
    assert states == []
    (line,) = (line for line in found if "asked from here" in line)
    assert "Kafka does not answer: " in line
    assert f"kafka.bootstrap = {broker.address}" in line
    assert "\n" not in line
    assert any("strongroom key backup" in line for line in found)
    server.stop()


def test_a_topic_that_was_made_anew_and_what_others_wrote_are_problems(
    server: Server, broker: Broker, prefix: str
) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    relay = Relay(server, env)
    feeder.send(50)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    states, found = ask(server, relay_environment(broker.address, prefix) | {"STRONGROOM_KAFKA__TLS": "true"})
    assert states == []
    assert any("asked from here: Kafka" in line for line in found)
    admin = AdminClient({"bootstrap.servers": broker.address})
    for done in admin.delete_topics([f"{prefix}.records"]).values():
        done.result(PATIENCE)
    until(lambda: f"{prefix}.records" not in admin.list_topics(timeout=10).topics, "the end of the topic")
    stopped = Relay(server, env)
    assert stopped.wait() == 3
    states, found = ask(server, env)
    assert states == []
    assert any(line.startswith(f"problem: stream {STREAM} goes to topic {prefix}.records with id ") for line in found)


def test_metrics_have_the_offsets_that_the_topic_has(tmp_path: Path, broker: Broker, prefix: str) -> None:
    server = Server(tmp_path, relay_environment(broker.address, prefix))
    feeder = Feeder(server)
    feeder.send(300)
    caught_up(server, broker.address, prefix)
    forget(broker.address, prefix, 100)
    last = Topic(broker.address, f"{prefix}.records").messages()[-1].offset()
    until(lambda: _offset(server, "first") == 100 and _offset(server, "next") > last, "offsets in /metrics")
    server.stop()


def _offset(server: Server, edge: str) -> float:
    lines = httpx.get(f"{server.audit_endpoint}/metrics").text.splitlines()
    (line,) = (line for line in lines if line.startswith("strongroom_relay_topic_offset{") and f'edge="{edge}"' in line)
    return float(line.rpartition(" ")[2])
