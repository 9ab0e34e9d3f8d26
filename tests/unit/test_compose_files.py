"""``compose/compose.yaml`` and ``kafka.yaml``, held to this software's settings and to the broker that tests run."""

from __future__ import annotations

import base64
import re
from typing import Final

import pytest

from audit.config import Settings, load
from compose.lab.kafka import _settings
from tests.doubles.compose_files import kafka_settings, services
from tests.readme import ROOT

README: Final = (ROOT / "compose" / "README.md").read_text()
#: What the lab sets for tests: brokers that are little, and soon back after a kill.
FOR_TESTS: Final = {
    "offsets.topic.num.partitions", "transaction.state.log.num.partitions", "group.initial.rebalance.delay.ms",
    "broker.session.timeout.ms", "broker.heartbeat.interval.ms", "num.network.threads", "num.io.threads",
}  # fmt: skip
#: Where a broker is; of the lab's, ``Broker.form`` says so.
PLACES: Final = {
    "node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs", "inter.broker.listener.name"
}  # fmt: skip


@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "kafka.yaml")])
def test_the_vault_takes_its_settings(files: tuple[str, ...]) -> None:
    environment = services(*files)["vault"]["environment"]
    settings = load(None, environment)
    assert settings.s3.listen == "0.0.0.0:9000"
    assert settings.audit.listen == "0.0.0.0:9001"
    assert settings.relay == Settings().relay
    assert settings.kafka.bootstrap == ("kafka:9092" if "kafka.yaml" in files else "")


def test_the_vault_finds_the_broker_where_it_listens_and_the_host_does() -> None:
    both = services("compose.yaml", "kafka.yaml")
    listeners = dict(each.split("://") for each in kafka_settings()["listeners"].split(","))
    advertised = dict(each.split("://") for each in kafka_settings()["advertised.listeners"].split(","))
    assert both["vault"]["environment"]["STRONGROOM_KAFKA__BOOTSTRAP"] == advertised["PLAINTEXT"]
    assert advertised["PLAINTEXT"] == f"kafka{listeners['PLAINTEXT']}"
    assert both["kafka"]["ports"] == [f"{advertised['HOST']}{listeners['HOST']}"]
    assert kafka_settings()["controller.quorum.voters"] == f"1@kafka{listeners['CONTROLLER']}"
    assert "depends_on" not in both["vault"]  # a vault serves without Kafka, too
    assert both["kafka"]["healthcheck"]["test"][-1] == advertised["HOST"]
    assert both["kafka"]["volumes"] == [f"kafka:{kafka_settings()['log.dirs']}"]


def test_the_broker_is_the_one_that_tests_run() -> None:
    version = re.findall(
        r"<artifactId>kafka_2.13</artifactId>\s*<version>(.*?)<", (ROOT / "compose/lab/kafka.xml").read_text()
    )
    assert services("kafka.yaml")["kafka"]["image"] == f"apache/kafka:{version[0]}"
    lab, mine = _settings(1), kafka_settings()
    assert set(mine) - PLACES == set(lab) - FOR_TESTS
    protocols = {
        name: set(said["listener.security.protocol.map"].split(",")) for name, said in (("lab", lab), ("mine", mine))
    }
    assert protocols["mine"] - protocols["lab"] == {"HOST:PLAINTEXT"}
    same = set(lab) - FOR_TESTS - {"listener.security.protocol.map"}
    assert {name: mine[name] for name in same} == {name: lab[name] for name in same}
    assert len(base64.urlsafe_b64decode(services("kafka.yaml")["kafka"]["environment"]["CLUSTER_ID"] + "==")) == 16


def test_its_readme_shows_how_to_use_both_files() -> None:
    assert "docker compose -f compose/compose.yaml -f compose/kafka.yaml up --detach" in README
    named = set(re.findall(r"-f (compose/[a-z.]+)", README))
    assert {name for name in named if not (ROOT / name).exists()} == set()
