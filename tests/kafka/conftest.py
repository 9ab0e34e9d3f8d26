"""Real brokers for tests, which end with whatever began them."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from compose.lab import kafka
from tests.integration.served import Server
from tests.integration.verify.conftest import whole_log
from tests.kafka.judged import NUMBERS, judge
from tests.kafka.relay import RelayTopics
from tests.ports import broker_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from compose.lab.kafka import Broker
    from tests.doubles.logbuilder import LogBuilder
    from tests.kafka.judged import Makes, Verify

    #: Starts so many brokers, which are one cluster, with these settings of Kafka's own.
    Starts = Callable[[int, dict[str, str]], list[Broker]]


def require_java() -> None:
    """Skip where there can be no broker."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


@contextmanager
def starting(home: Path) -> Iterator[Starts]:
    """Starts brokers; all are gone at the end."""
    require_java()
    started: list[Broker] = []

    def start(count: int, settings: dict[str, str]) -> list[Broker]:
        ports = broker_ports(count)
        started.extend(kafka.Broker(home, port) for port in ports)
        return kafka.start(home, ports, settings, brief=True)

    try:
        yield start
    finally:
        for broker in started:
            broker.wipe()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Starts]:
    """Starts brokers; all are gone after the test."""
    with starting(tmp_path / "brokers") as start:
        yield start


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all tests that take topics of their own; it soon gives up on a transaction that takes too long."""
    with starting(tmp_path_factory.mktemp("brokers")) as start:
        yield start(1, {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500"})[0]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.running:
        server.stop()


@pytest.fixture
def prefix() -> str:
    """What the names of a test's own topics begin with, where a relay makes them."""
    return f"relayed-{next(NUMBERS)}"


@pytest.fixture
def topics(broker: Broker) -> Makes:
    def make(partitions: int = 1) -> RelayTopics:
        return RelayTopics(broker.address, f"case-{next(NUMBERS)}", partitions)

    return make


@pytest.fixture
def verify() -> Verify:
    return judge


@pytest.fixture(scope="session")
def log() -> LogBuilder:
    """601 records of all kinds."""
    return whole_log()


@pytest.fixture
def export(log: LogBuilder, tmp_path: Path) -> Path:
    log.write_export(tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def vkey(log: LogBuilder, tmp_path: Path) -> Path:
    (tmp_path / "vkey").write_text(f"{log.vkey()}\n")
    return tmp_path / "vkey"
