"""The command on topics, run as a process of its own, and the fixtures that it takes."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.integration.served import STRONGROOM, environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.kafka.relay import RelayTopics

READERS: Final = ("librdkafka", "kafka-python")
BOTH: Final = [("--reader", reader) for reader in READERS]
NUMBERS: Final = count()


Answer = tuple[int, dict[str, Any]]


class Verify(Protocol):
    """Runs the command on topics, once for each list of options, all at the same time: exit codes and their JSON."""

    def __call__(self, topics: RelayTopics, *runs: Sequence[Path | str]) -> list[Answer]: ...


class Makes(Protocol):
    """Makes topics of their own."""

    def __call__(self, partitions: int = 1) -> RelayTopics: ...


def ask(address: str, *options: Path | str, patience: float = 60) -> Answer:
    """Run the command, as a process of its own: kafka-python leaves sockets open."""
    arguments = [str(STRONGROOM), "verify", "--kafka", address, "--json", *map(str, options)]
    done = subprocess.run(arguments, env=environment({}), capture_output=True, text=True, timeout=patience, check=False)
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 1) == (answer["result"] == "bad") == bool(answer["first_bad"])
    return done.returncode, answer


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {state["name"]: state["detail"] for state in answer["states"]}


def judge(topics: RelayTopics, *runs: Sequence[Path | str]) -> list[Answer]:
    """See :class:`Verify`."""
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, topics.address, "--topics", topics.prefix, *run) for run in runs]
        return [each.result() for each in waiting]
