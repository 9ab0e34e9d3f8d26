"""The relay against a real broker: each record once, whatever happens to relay, broker and topics."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.checkpoint import Checkpoint
from audit.note import parse_note
from tests.integration.served import Server
from tests.kafka.copies import (
    STREAM,
    Feeder,
    Relay,
    Topic,
    caught_up,
    cursor,
    fed_until_its_end,
    ledger,
    records_of,
    relay_environment,
    require_same,
    until,
    warnings,
)
from vault.merkle import leaf_hash

if TYPE_CHECKING:
    from compose.lab.kafka import Broker

pytestmark = pytest.mark.timeout(240)


def test_every_record_is_there_once_with_checkpoints_and_a_cursor(server: Server, broker: Broker, prefix: str) -> None:
    feeder = Feeder(server)
    feeder.send(1000)
    relay = Relay(server, relay_environment(broker.address, prefix))
    feeder.send(500)
    caught_up(server, broker.address, prefix)
    feeder.send(1)
    count = caught_up(server, broker.address, prefix)
    assert require_same(server, broker.address, prefix) >= count > 1500
    until(lambda: _covered(broker, prefix) >= count, "a checkpoint over all of it")
    assert relay.stop() == 0
    last = cursor(broker.address, prefix)
    held = ledger(server)
    assert last["leaf"] == leaf_hash(held[last["next"] - 1]).hex()
    assert {name: last[name] for name in ("v", "generation", "partition")} == {"v": 1, "generation": 1, "partition": 0}
    assert last["origin"].endswith(f"/{STREAM}")
    (assigned,) = records_of(server, "relay.assign")
    assert assigned["relay"] == {
        "stream": STREAM, "topic": f"{prefix}.records", "topic_id": last["topic"], "partition": 0, "generation": 1,
        "first": 0,
    }  # fmt: skip
    assert {message.key() for message in Topic(broker.address, f"{prefix}.records").messages()} == {STREAM.encode()}


def _covered(broker: Broker, prefix: str) -> int:
    notes = Topic(broker.address, f"{prefix}.checkpoints").values()
    return max((Checkpoint.parse(parse_note(note).text).size for note in notes), default=0)


@pytest.mark.parametrize("point", ["relay.begun", "relay.produced", "relay.committed"])
def test_killed_between_two_steps_it_goes_on_where_it_was(
    server: Server, broker: Broker, prefix: str, point: str
) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    for passing in (1, 2, 4):
        feeder.send(300)
        killed = Relay(server, {**env, "STRONGROOM_CRASH_POINT": f"{point}:{passing}"})
        feeder.send(50)
        fed_until_its_end(feeder, killed)
        assert killed.wait() == -signal.SIGKILL
    relay = Relay(server, env)
    caught_up(server, broker.address, prefix)
    relay.stop()
    require_same(server, broker.address, prefix)
    assert not records_of(server, "relay.rewind")


def test_the_server_runs_it_again_when_it_ends_and_it_ends_with_the_server(
    tmp_path: Path, broker: Broker, prefix: str
) -> None:
    server = Server(tmp_path, relay_environment(broker.address, prefix))
    Feeder(server).send(100)
    caught_up(server, broker.address, prefix)
    first = _child(server)
    os.kill(first, signal.SIGKILL)
    second = until(lambda: (found := _child(server)) != first and found, "another one")
    assert any("worker relay ended with code -9" in line for line in warnings(server))
    caught_up(server, broker.address, prefix)
    server.kill()
    until(lambda: not _alive(second), "its end with the server's")
    server.start()
    caught_up(server, broker.address, prefix)
    assert server.stop() == 0
    server.start()
    caught_up(server, broker.address, prefix)
    require_same(server, broker.address, prefix)
    server.stop()


def _child(server: Server) -> int:
    """The relay that the server has started; 0 where there is none."""
    for task in Path(f"/proc/{server.pid}/task").iterdir():
        for pid in map(int, _bytes(f"{task}/children").split()):
            if _alive(pid):
                return pid
    return 0


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _alive(pid: int) -> bool:
    return b"supervised" in _bytes(f"/proc/{pid}/cmdline")


def test_a_second_relay_ends_the_first(server: Server, broker: Broker, prefix: str) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    first = Relay(server, env)
    feeder.send(100)
    caught_up(server, broker.address, prefix)
    second = Relay(server, env)
    fed_until_its_end(feeder, first)
    assert first.wait() == 3
    assert "another relay of site-a.node-1 began" in first.errors
    caught_up(server, broker.address, prefix)
    assert second.stop() == 0
    require_same(server, broker.address, prefix)


def test_a_zombie_writes_nothing_any_more(server: Server, broker: Broker, prefix: str) -> None:
    feeder, env = Feeder(server), relay_environment(broker.address, prefix)
    zombie = Relay(server, env)
    feeder.send(100)
    caught_up(server, broker.address, prefix)
    zombie.pause()
    feeder.send(400)
    relay = Relay(server, env)
    caught_up(server, broker.address, prefix)
    zombie.go_on()
    feeder.send(10)
    assert zombie.wait() == 3
    caught_up(server, broker.address, prefix)
    relay.stop()
    require_same(server, broker.address, prefix)


def test_a_transaction_that_the_broker_gave_up_on_is_done_again(server: Server, broker: Broker, prefix: str) -> None:
    """Paused in the middle of one, for longer than it may last: as for a zombie, but nobody else took over."""
    feeder = Feeder(server)
    env = relay_environment(broker.address, prefix) | {
        "STRONGROOM_KAFKA__LIBRDKAFKA": '{"transaction.timeout.ms":"2000"}'
    }
    relay, chance = Relay(server, env), random.Random(1)
    feeder.send(100)
    caught_up(server, broker.address, prefix)
    while "a transaction ended" not in relay.errors:  # it did not stand still within one
        feeder.send(4000)
        time.sleep(chance.uniform(0.02, 0.5))  # when it begins depends on how busy the machine is
        relay.pause()
        time.sleep(4)
        relay.go_on()
        caught_up(server, broker.address, prefix)
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    require_same(server, broker.address, prefix)


def test_without_a_server_it_waits_and_goes_on_when_there_is_one(server: Server, broker: Broker, prefix: str) -> None:
    Feeder(server).send(10)
    server.stop()
    relay = Relay(server, relay_environment(broker.address, prefix))
    until(lambda: "no server has the vault open: waiting for one" in relay.errors, "that it waits")
    server.start()
    caught_up(server, broker.address, prefix)
    server.kill()
    server.start()
    caught_up(server, broker.address, prefix)
    assert relay.stop() == 0
    require_same(server, broker.address, prefix)
