"""A broker with the settings of ``compose/kafka.yaml``: Kafka takes them all, and the relay finds what one has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compose.lab import kafka
from tests.doubles.compose_files import kafka_settings, services
from tests.integration.served import Server
from tests.kafka.conftest import require_java
from tests.kafka.copies import Feeder, caught_up, relay_environment, require_same, warnings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conftest import Starts

pytestmark = pytest.mark.timeout(300)


def test_kafka_takes_the_settings_as_they_are(tmp_path: Path) -> None:
    require_java()
    said = kafka_settings() | {"log.dirs": str(tmp_path / "data")}
    file = tmp_path / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    cluster = services("kafka.yaml")["kafka"]["environment"]["CLUSTER_ID"]
    kafka.tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file))
    assert f"cluster.id={cluster}" in (tmp_path / "data" / "meta.properties").read_text().splitlines()


def test_the_relay_warns_of_nothing_but_that_there_is_one_broker(tmp_path: Path, cluster: Starts) -> None:
    (broker,) = cluster(1, kafka_settings())
    server = Server(tmp_path, relay_environment(broker.address))
    Feeder(server).send(100)
    caught_up(server, broker.address)
    told = [line for line in warnings(server) if line.startswith("relay: ")]
    assert len(told) == 6
    assert all("has 1 replicas, not 3" in line or "min.insync.replicas of" in line for line in told)
    require_same(server, broker.address)
    server.stop()
