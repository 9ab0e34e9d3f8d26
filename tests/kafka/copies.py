"""A vault, its relays and what Kafka holds of it, for tests: each seen as a stranger would, through its own door."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import httpx
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from audit.control.worker import WorkerClient
from audit.identity import Layout
from tests.integration.served import STARTED, STRONGROOM, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.integration.served import Server

STREAM: Final = "site-a.node-1"
#: How long anything may take on a busy machine, in seconds.
PATIENCE: Final = 120
_STEP: Final = 0.1
#: How long a broker may take to answer, in seconds: one that was killed is waited for no longer.
_ANSWER: Final = 8


#: What is said of a broker that was started and has not read yet what it leads.
_STARTING: Final = {
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN,
}  # fmt: skip


class Relay:
    """A relay as a process of its own, beside the server. Its log is ``errors``.

    Args:
        server: Whose vault it carries.
        env: Settings beside the server's.
        options: Of the command.
        program: What is run in place of ``strongroom run relay``.
    """

    def __init__(
        self,
        server: Server,
        env: Mapping[str, str],
        *options: str,
        program: Sequence[str | Path] = (STRONGROOM, "run", "relay"),
    ) -> None:
        self._log = server.data.parent / f"relay-{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*program, "--data", server.data, *options], env=environment(env), stderr=log, stdin=subprocess.DEVNULL
            )
        STARTED.add(self)

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def wait(self) -> int:
        """Wait for it to end by itself; its exit code."""
        return self.process.wait(PATIENCE)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class Feeder:
    """Brings events of another system, so that there are records.

    Args:
        server: Running.
    """

    def __init__(self, server: Server) -> None:
        made = json.loads(server.cli("principal", "add", "feeder", "--role", "writer", "--json").stdout)
        self._token = server.cli("token", "add", made["access_key"], "--source", "app").stdout.strip()
        self._server = server
        self._sent = 0

    def send(self, count: int) -> bool:
        """Send so many events, in one request, which has not been sent before. Whether they were taken."""
        return self.answer(count).status_code == 200

    def answer(self, count: int, note: str = "") -> httpx.Response:
        """The same; the whole answer."""
        body = "".join(f'{{"id":"{self._sent + each}","n":"{note}"}}\n' for each in range(count))
        answer = httpx.post(
            f"{self._server.audit_endpoint}/v1/ingest/app",
            content=body,
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/x-ndjson"},
            timeout=PATIENCE,
        )
        if answer.status_code == 200:
            self._sent += count
        return answer


def until(seen: Callable[[], Any], what: str) -> Any:
    """Wait until something is seen; it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := seen()):
        assert time.monotonic() < deadline, what
        time.sleep(_STEP)
    return found


def durable(server: Server) -> int:
    """Number of durable records of the stream."""
    return int(httpx.get(f"{server.audit_endpoint}/readyz", timeout=PATIENCE).json()["durable"])


def warnings(server: Server) -> list[str]:
    """What ``/readyz`` warns of."""
    return list(httpx.get(f"{server.audit_endpoint}/readyz", timeout=PATIENCE).json()["warnings"])


def ledger(server: Server, stream: str = STREAM) -> list[bytes]:
    """Exact bytes of all durable records."""
    client = WorkerClient.connect(Layout(server.data).socket)
    assert client is not None
    found: list[bytes] = []
    with client:
        while run := client.follow(stream, len(found), 1 << 60)[1].records():
            found += run
    return found


class Topic:
    """A topic, as who reads ``read_committed`` sees it.

    Args:
        address: Of the brokers.
        name: Of the topic.
    """

    def __init__(self, address: str, name: str, isolation: str = "read_committed") -> None:
        self._address = address
        self._name = name
        self._isolation = isolation

    def messages(self, partition: int = 0, patience: float = PATIENCE) -> list[Any]:
        """All messages that can be read now; waits so many seconds for a leader."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._address, "group.id": "test", "isolation.level": self._isolation,
                "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest",
            }
        )  # fmt: skip
        found: list[Any] = []
        where = TopicPartition(self._name, partition)
        try:
            low, high = _ends(consumer, where, patience)
            if low == high:
                return []
            consumer.assign([TopicPartition(self._name, partition, low)])
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                message = consumer.poll(1.0)
                error = message.error() if message is not None else None
                if message is not None and error is None:
                    if (message.offset() or 0) >= high:
                        return found
                    found.append(message)
                elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return found
            raise AssertionError(f"{self._name} has no end")
        finally:
            consumer.close()

    def values(self, partition: int = 0) -> list[bytes]:
        """Their values."""
        return [message.value() for message in self.messages(partition)]


def _ends(consumer: Consumer, where: TopicPartition, patience: float) -> tuple[int, int]:
    """The first offset of a partition, and that after its last, as soon as it has a leader."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return consumer.get_watermark_offsets(where, timeout=_ANSWER)
        except KafkaException as error:
            if error.args[0].code() not in _STARTING or time.monotonic() > deadline:
                raise
        time.sleep(_STEP)


def cursor(address: str, topics: str = "strongroom", stream: str = STREAM) -> dict[str, Any]:
    """The last cursor of a stream; empty where there is none."""
    try:
        messages = Topic(address, f"{topics}.cursors").messages(patience=0)
    except KafkaException:  # no such topic yet, or its leader is down: to be asked again
        return {}
    found = [message.value() for message in messages if message.key() == stream.encode()]
    return dict(json.loads(found[-1])) if found else {}


def caught_up(server: Server, address: str, topics: str = "strongroom") -> int:
    """Wait until every record that is durable now is in Kafka; how many."""
    count, deadline = durable(server), time.monotonic() + PATIENCE
    while cursor(address, topics).get("next", -1) < count:
        assert time.monotonic() < deadline, f"{cursor(address, topics)} of {count}"
        time.sleep(_STEP)
    return count


def require_same(server: Server, address: str, topics: str = "strongroom", first: int = 0) -> int:
    """Each record of the ledger, from ``first`` on, is in Kafka once, in order, byte by byte; how many."""
    copied = Topic(address, f"{topics}.records").values()
    held = ledger(server)[first:]
    assert copied == held[: len(copied)]
    return len(copied)


def forget(address: str, topics: str, before: int) -> None:
    """Delete the records' messages before an offset, as retention does; all of them where it is negative."""
    where = TopicPartition(f"{topics}.records", 0, OFFSET_END if before < 0 else before)
    admin = AdminClient({"bootstrap.servers": address})  # kept: nothing answers once it is let go of
    for done in admin.delete_records([where]).values():
        done.result(PATIENCE)


def relay_environment(address: str, topics: str = "strongroom") -> dict[str, str]:
    """Settings by which a relay finds these brokers."""
    return {"STRONGROOM_KAFKA__BOOTSTRAP": address, "STRONGROOM_RELAY__TOPICS": topics}


def run_killed(server: Server, env: Mapping[str, str], seed: int) -> Relay:
    """A relay that kills itself inside a commit (``tests.kafka.killed``)."""
    program = [sys.executable, "-m", "tests.kafka.killed", str(seed)]
    return Relay(server, {**env, "PYTHONPATH": os.getcwd()}, program=program)  # noqa: PTH109


def fed_until_its_end(feeder: Feeder, relay: Relay) -> None:
    """Bring events until a relay ends by itself."""
    until(lambda: feeder.send(1) and not relay.running, "its end")


def records_of(server: Server, op: str) -> list[dict[str, Any]]:
    """Records of one operation."""
    found = [json.loads(record) for record in ledger(server)]
    return [record for record in found if record["op"] == op]
