"""The whole way: events over HTTP, durable in the ledger, committed in Kafka, all of it on this machine.

Afterwards, what it takes to read them back and verify them (``strongroom verify --kafka``).
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from confluent_kafka import Consumer, TopicPartition

from audit.relaying.settings import KafkaSection
from compose.lab import kafka
from exporters.relay.position import Position
from tests.bench import vaults
from tests.bench.ingesting import CONNECTIONS, EVENTS, _request, _send
from tests.bench.measure import Process
from tests.demo.server import Failed

if TYPE_CHECKING:
    from tests.bench.measure import Results

WHAT: Final = "relay: 500 events of 400 bytes a request, 4 connections, into Kafka"
READ: Final = "relay: read back and verified"
LAG: Final = "relay: acknowledged until a read_committed consumer has it, 10,000 a second"
_PORT: Final = 19_492
_SOURCE: Final = "bench"
_PATIENCE_S: Final = 120.0


def relay(home: Path, results: Results, *, count: int, repeats: int) -> None:
    """Send events, and wait until Kafka has them all.

    Args:
        home: An existing directory.
        results: Where figures go.
        count: Events of one run.
        repeats: Runs.

    Raises:
        Failed: Kafka does not get them, or they do not verify.
    """
    (broker,) = kafka.start(home / "brokers", [_PORT])
    try:
        vault = vaults.make(home / "vault", {"KAFKA__BOOTSTRAP": broker.address})
        with vault.serve() as server:
            made = json.loads(
                vault.run("principal", "add", "bench", "--role", "writer", "--json", "--data", vault.data)
            )
            token = vault.run("token", "add", made["access_key"], "--source", _SOURCE, "--data", vault.data).strip()
            address = server.audit.partition("://")[2]
            _send(address, [_request(address, token, f"warm-{number}") for number in range(20)])
            _wait(server.audit, broker.address)
            processes = {
                "server": Process(server.pid), "relay": Process(_worker(server.pid)), "broker": Process(broker.pid)
            }  # fmt: skip
            for run in range(repeats):
                requests = _lanes(address, token, count, run)
                before = {name: process.cpu_seconds() for name, process in processes.items()}
                started = time.monotonic()
                with ThreadPoolExecutor(CONNECTIONS) as pool:
                    stored = sum(pool.map(lambda lane: _send(address, lane), requests))
                acknowledged = time.monotonic() - started
                _wait(server.audit, broker.address)
                took = time.monotonic() - started
                used = {
                    f"{name} CPU µs a record": (process.cpu_seconds() - before[name]) * 1e6 / stored
                    for name, process in processes.items()
                }
                total = {"CPU µs a record, all three": sum(used.values())}
                rates = {"acknowledged a second": stored / acknowledged, "committed in Kafka a second": stored / took}
                results.add(WHAT, {**rates, **used, **total})
            with closing(_Reader(broker.address)) as reader:
                _lag(results, address, token, reader)
        started = time.monotonic()
        said = json.loads(vault.run("verify", "--kafka", broker.address, "--json"))
        results.add(READ, {"records a second": said["size"] / (time.monotonic() - started), "records": said["size"]})
    finally:
        broker.wipe()


def _lanes(address: str, token: str, count: int, run: int) -> list[list[bytes]]:
    each = max(1, count // EVENTS // CONNECTIONS)
    return [
        [_request(address, token, f"{run}-{lane}-{number}") for number in range(each)] for lane in range(CONNECTIONS)
    ]


def _wait(audit: str, address: str) -> None:
    """Wait until Kafka has every record that is durable now."""
    count, deadline = json.loads(httpx.get(f"{audit}/readyz").content)["durable"], time.monotonic() + _PATIENCE_S
    with Position(KafkaSection(bootstrap=address)) as position:
        while max((cursor.next for cursor in position.cursors("strongroom.cursors").values()), default=0) < count:
            if time.monotonic() > deadline:
                raise Failed(f"Kafka does not get {count} records")
            time.sleep(0.02)


def _lag(results: Results, address: str, token: str, reader: _Reader) -> None:
    """Five hundred events each 50 ms, and when a consumer has the last of each."""
    waited = []
    for number in range(200):
        began = time.monotonic()
        _send(address, [_request(address, token, f"lag-{number}")])
        acknowledged = time.monotonic()
        reader.wait(b'"lag-%d-%04d' % (number, EVENTS - 1))
        waited.append((time.monotonic() - acknowledged) * 1000)
        time.sleep(max(0.0, 0.05 - (time.monotonic() - began)))
    waited.sort()
    results.add(LAG, {"median, ms": waited[len(waited) // 2], "99 of 100, ms": waited[int(len(waited) * 0.99)]})


def _worker(server: int) -> int:
    """The relay that a server has started."""
    for task in Path(f"/proc/{server}/task").iterdir():
        for pid in map(int, (task / "children").read_text().split()):
            if b"supervised" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    raise Failed("the server has no relay")


class _Reader:
    """A ``read_committed`` consumer at the end of the topic."""

    def __init__(self, address: str) -> None:
        config = {"bootstrap.servers": address, "group.id": "bench", "isolation.level": "read_committed"}
        self._consumer = Consumer({**config, "enable.auto.commit": False, "fetch.wait.max.ms": 10})
        where = TopicPartition("strongroom.records", 0)
        _, where.offset = self._consumer.get_watermark_offsets(where)
        self._consumer.assign([where])

    def close(self) -> None:
        self._consumer.close()

    def wait(self, event: bytes) -> None:
        """Wait until a record with this in it comes."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            message = self._consumer.poll(1.0)
            if message is not None and message.error() is None and event in (message.value() or b""):
                return
        raise Failed("a record does not come")
