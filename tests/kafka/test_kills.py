"""Relay, broker and server killed again and again: each record is in Kafka once, in order, byte by byte.

A few kills here; :data:`tests.soak.test_kafka` asks for many, and a million records.
"""

from __future__ import annotations

import json
import random
import time
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from tests.integration.served import PATIENCE, Server, command
from tests.kafka.copies import Feeder, Relay, caught_up, relay_environment, require_same, run_killed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conftest import Starts


class Kills:
    """A vault that is fed, and whose relay, broker and server are killed.

    Args:
        root: An empty directory.
        cluster: Starts the broker.
        seed: Of all that is left to chance.
        batch: Events of one request.
    """

    def __init__(self, root: Path, cluster: Starts, seed: int, batch: int) -> None:
        (self.broker,) = cluster(1, {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"})
        self.server = Server(root)
        self.env = relay_environment(self.broker.address)
        self.chance = random.Random(seed)
        self.counts = {"relay": 0, "relay inside a commit": 0, "broker": 0, "server": 0, "paused": 0}
        self.records = 0
        self._batch = batch
        self._stop = Event()
        self._feeding = Thread(target=self._feed, args=(Feeder(self.server),), daemon=True)
        self.relay = Relay(self.server, self.env)
        self._feeding.start()

    def _feed(self, feeder: Feeder) -> None:
        while not self._stop.wait(0.02):
            try:
                self.records += self._batch * feeder.send(self._batch)
            except OSError:  # between a kill and the next start
                time.sleep(0.2)
            except Exception as error:
                if type(error).__module__.split(".")[0] not in {"httpx", "httpcore"}:
                    raise

    def kill_relay(self) -> None:
        time.sleep(self.chance.uniform(0.5, 3))
        self.relay.kill()
        self.counts["relay"] += 1
        self.relay = Relay(self.server, self.env)

    def kill_relay_inside_a_commit(self) -> None:
        self.relay.stop()
        killed = run_killed(self.server, self.env, self.chance.randrange(1 << 30))
        assert killed.wait() == -9, killed.errors
        said = self.server.data.with_suffix(".killed").read_text().splitlines()
        self.counts["relay"] += 1
        self.counts["relay inside a commit"] = said.count("inside")
        self.relay = Relay(self.server, self.env)

    def kill_broker(self) -> None:
        time.sleep(self.chance.uniform(0.5, 2))
        self.broker.crash()
        self.counts["broker"] += 1
        time.sleep(self.chance.uniform(0, 1))
        self.broker.begin()
        self.broker.wait()

    def kill_server(self) -> None:
        time.sleep(self.chance.uniform(0.5, 2))
        self.server.kill()
        self.counts["server"] += 1
        self.server.start()

    def pause(self, who: str, seconds: float) -> None:
        """Have the relay or the broker stand still."""
        paused = self.relay if who == "relay" else self.broker
        paused.pause()
        time.sleep(seconds)
        paused.go_on()
        self.counts["paused"] += 1

    def end(self) -> int:
        """See that all is there; how many records."""
        self._stop.set()
        self._feeding.join()
        if not self.relay.running:
            raise AssertionError(self.relay.errors)
        caught_up(self.server, self.broker.address)
        assert self.relay.stop() == 0
        count = require_same(self.server, self.broker.address)
        self.server.stop()
        patience = PATIENCE + count / 5_000
        for reader in ("librdkafka", "kafka-python"):  # strangers to the relay, and to each other
            told = command("verify", "--kafka", self.broker.address, "--reader", reader, "--json", patience=patience)
            assert told.returncode == 0, told.stdout
            assert json.loads(told.stdout)["size"] == count
        return count


@pytest.mark.timeout(400)
def test_through_kills_each_record_is_there_once(tmp_path: Path, cluster: Starts) -> None:
    kills = Kills(tmp_path, cluster, seed=11, batch=200)
    for kill in (
        kills.kill_relay, kills.kill_server, kills.kill_relay_inside_a_commit, kills.kill_broker, kills.kill_relay,
        kills.kill_relay_inside_a_commit, kills.kill_server, kills.kill_relay_inside_a_commit,
    ):  # fmt: skip
        kill()
    count = kills.end()
    print(f"{count} records through {kills.counts}")  # noqa: T201 - what was seen
    assert count > 5_000
    assert kills.counts["relay inside a commit"] >= 1
