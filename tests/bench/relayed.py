"""A vault whose records go to a real Kafka on this machine, and a look at how far they are."""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import httpx
from confluent_kafka import Consumer, TopicPartition

from compose.lab import kafka
from exporters.relay.cursor import Cursor
from tests.bench import ingesting, vaults
from tests.bench.measure import Process
from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from compose.lab.kafka import Broker
    from tests.demo.server import Server, Vault

PATIENCE_S: Final = 300.0
_PORT: Final = 19_492
#: Records a second meanwhile, and of a request: as many transactions as there are at any rate.
_WARM_RATE: Final = 1_000
_WARM_EVENTS: Final = 50
_CURSORS: Final = "strongroom.cursors"


class Relayed(NamedTuple):
    """What is measured together: processes by name, and how they are reached."""

    vault: Vault
    broker: Broker
    server: Server
    token: str
    processes: dict[str, Process]

    @property
    def address(self) -> str:
        """Of the audit listener, without its scheme."""
        return self.server.audit.partition("://")[2]

    def durable(self) -> int:
        """How many records the stream has."""
        count: int = json.loads(httpx.get(f"{self.server.audit}/readyz").content)["durable"]
        return count


@contextmanager
def relayed(home: Path, warm: float) -> Iterator[Relayed]:
    """Serve a vault beside a broker of its own, and warm them up.

    Args:
        home: An existing directory; the broker's part of it is removed at the end.
        warm: Seconds of that: for a minute and a half of transactions a broker's compilers take more than its work.
    """
    (broker,) = kafka.start(home / "brokers", [_PORT])
    try:
        vault = vaults.make(home / "vault", {"KAFKA__BOOTSTRAP": broker.address})
        with vault.serve() as server:
            made = Relayed(vault, broker, server, ingesting.source(vault), {})
            with Copied(broker.address) as copied:
                coming = ingesting.paced(made.address, made.token, "warm", _WARM_RATE, lambda: warm, _WARM_EVENTS)
                ingesting.send(made.address, coming)
                copied.wait(made.durable())
            pids = {"server": server.pid, "relay": server.worker(), "broker": broker.pid}
            made.processes.update((name, Process(pid)) for name, pid in pids.items())
            yield made
    finally:
        broker.wipe()


class Copied:
    """When Kafka had how many records, as who reads what is committed sees it: by the cursor of each transaction.

    A cursor is in its records' transaction and so seen with them; it is read alone because reading all records would
    take as much of the machine as the relay does. Use it as a context manager.

    Args:
        address: The broker's.
    """

    def __init__(self, address: str) -> None:
        config = {"bootstrap.servers": address, "group.id": "bench", "isolation.level": "read_committed"}
        quick = {"fetch.wait.max.ms": 10, "reconnect.backoff.max.ms": 500, "log_level": 0}
        self._consumer = Consumer({**config, **quick, "enable.auto.commit": False})
        self._counts: list[int] = []
        self._moments: list[float] = []
        self._ended = Event()
        self._reading = Thread(target=self._read, name="cursors")

    def __enter__(self) -> Self:
        self._consumer.assign([TopicPartition(_CURSORS, 0, 0)])
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._reading.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            cursor = Cursor.decode(message.value()) if message is not None and message.error() is None else None
            if cursor is not None:
                self._moments.append(time.monotonic())
                self._counts.append(cursor.next)  # last: who waits goes by it

    @property
    def count(self) -> int:
        """How many records it has now."""
        return self._counts[-1] if self._counts else 0

    def when(self, count: int) -> float:
        """When it first had so many, of :func:`time.monotonic`; they must be there."""
        return self._moments[bisect_left(self._counts, count)]

    def wait(self, count: int) -> float:
        """Wait until it has so many; when that was.

        Raises:
            Failed: It does not get them.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self.count < count:
            if time.monotonic() > deadline:
                raise Failed(f"Kafka has {self.count} records of {count}")
            time.sleep(0.01)
        return self.when(count)
