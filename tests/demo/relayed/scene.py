"""A vault and its broker, and how far the one is behind the other."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from confluent_kafka import KafkaException

from compose.lab.kafka import Broker, LabFailed, start
from tests.demo.exported import records, sealed
from tests.demo.firm import Firm
from tests.demo.relayed.topics import messages
from tests.demo.server import Failed, Server, Vault
from tests.demo.telling import get, wait
from tests.ports import broker_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDS: Final = "strongroom.records"
CHECKPOINTS: Final = "strongroom.checkpoints"
CURSORS: Final = "strongroom.cursors"
_LAG: Final = re.compile(rb"^strongroom_relay_lag_records(?:\{.*\})? (\d+)", re.MULTILINE)


@dataclass
class Scene:
    """All that there is.

    Attributes:
        vault: Served by ``server``.
        server: See ``vault``.
        broker: Where its records go.
        stream: Its log's name.
        firm: The people with keys to it.
    """

    vault: Vault
    server: Server
    broker: Broker
    stream: str
    firm: Firm
    _exports: int = field(default=0, init=False)

    def readyz(self) -> dict[str, Any]:
        """What ``/readyz`` answers."""
        answer: dict[str, Any] = msgspec.json.decode(get(f"{self.server.audit}/readyz"))
        return answer

    def lag(self) -> int:
        """Records that wait for Kafka, as ``/metrics`` has it."""
        (lag,) = _LAG.findall(get(f"{self.server.audit}/metrics"))
        return int(lag)

    def trouble(self) -> str | None:
        """What ``/readyz`` warns of because no broker answers."""
        return next((text for text in self.readyz()["warnings"] if "Kafka does not answer" in text), None)

    def catch_up(self) -> float:
        """Wait until Kafka has every record that is durable now; how long that took, in seconds.

        Raises:
            Failed: It does not get them.
        """
        wanted, began = self.readyz()["durable"], time.monotonic()
        wait(lambda: True if self._copied() >= wanted else None, f"{wanted} records in Kafka")
        return time.monotonic() - began

    def _copied(self) -> int:
        """How many records the relay says it has written."""
        try:
            found = messages(self.broker.address, CURSORS)
        except KafkaException:  # not there yet, or the broker has just come back
            return 0
        return max((msgspec.json.decode(message.value())["next"] for message in found), default=0)

    def export(self) -> tuple[Path, list[bytes]]:
        """Export the log, all that is durable now; where it is, and the exact bytes of its records."""
        sealed(self.server.audit, self.stream)
        self._exports += 1
        place = self.vault.home / f"exported-log-{self._exports}"
        self.vault.run("log", "export", self.stream, place, "--data", self.vault.data)
        kept = records(place)
        return place, [kept[seq] for seq in range(len(kept))]


@contextmanager
def opened(home: Path) -> Iterator[Scene]:
    """Start a broker, make a vault whose records go there, and serve it; all of that ends with the block.

    Args:
        home: An empty directory.

    Raises:
        Failed: One of them does not start, or does not end well.
    """
    (port,) = broker_ports(1)
    broker = Broker(home / "brokers", port, brief=True)
    vault = Vault(home, {"KAFKA__BOOTSTRAP": broker.address})
    try:
        start(home / "brokers", [port], brief=True)
        made = msgspec.json.decode(vault.run("init", "--data", vault.data, "--json"))
        with vault.serve() as server:
            yield Scene(vault, server, broker, made["stream"], Firm(vault, server))
    except (LabFailed, KafkaException) as error:
        raise Failed(str(error)) from error
    finally:
        broker.wipe()
