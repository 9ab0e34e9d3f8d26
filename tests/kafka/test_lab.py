"""The lab's brokers are real ones: what is acknowledged is there after kills, and a cluster lives on without one."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from compose.lab.kafka import Broker, LabFailed, main, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(300)  # the first one fetches the jars


def asked(brokers: Sequence[Broker], *what: str) -> list[str]:
    """What another's client finds."""
    command = [sys.executable, "-m", "tests.kafka.client", ",".join(broker.address for broker in brokers), *what]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_broker_acknowledged_is_there_after_a_kill_and_after_a_stop(cluster: Starts) -> None:
    (broker,) = brokers = cluster(1, {})
    asked(brokers, "create", "1")
    asked(brokers, "write", "one", "two")
    broker.crash()
    assert (broker.pid, broker.answers()) == (0, False)
    broker.begin()
    broker.wait()
    asked(brokers, "write", "three")
    broker.stop()
    broker.begin()
    broker.wait()
    assert asked(brokers, "read", "3") == ["one", "two", "three"]


def test_three_are_one_cluster_that_goes_on_without_any_one(cluster: Starts) -> None:
    brokers = cluster(3, {})
    asked(brokers, "create", "3")
    expected = []
    for number, broker in enumerate(brokers):
        broker.crash()
        expected.append(f"without {number}")
        asked([each for each in brokers if each is not broker], "write", expected[-1])
        broker.begin()
        broker.wait()
    assert asked(brokers, "read", "3") == expected


def test_a_broker_of_a_cluster_is_taken_into_no_other(cluster: Starts) -> None:
    (broker,) = cluster(1, {})
    with pytest.raises(LabFailed, match="is of another cluster: wipe it first"):
        start(broker.directory.parent, [broker.port, broker.port + 1])


def test_a_broker_that_cannot_start_says_why(cluster: Starts) -> None:
    with pytest.raises(LabFailed, match=r"StorageTool failed: .*num\.io\.threads"):
        cluster(1, {"num.io.threads": "0"})
    with pytest.raises(LabFailed, match=r"does not answer; .*broker\.log ends in: .*no\.such\.Class"):
        cluster(1, {"metric.reporters": "no.such.Class"})


def test_one_that_hangs_does_not_answer_until_it_goes_on_and_one_that_does_not_run_is_left_alone(
    cluster: Starts,
) -> None:
    (broker,) = cluster(1, {})
    broker.pause()
    while broker.answers():  # its threads stop one after the other
        time.sleep(0.1)
    assert broker.pid
    broker.go_on()
    broker.wait()
    broker.pause()
    broker.stop()
    assert broker.pid == 0
    for act in (broker.pause, broker.go_on, broker.stop, broker.crash):
        act()


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
