"""The demo's story, step by step: records into Kafka, an outage, a kill, and what a reader of the topics can prove."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec

from tests.demo.attempts import Attempt, make
from tests.demo.day import day
from tests.demo.exported import checkpoint_size, sentence
from tests.demo.firm import CONNECTIONS, MAIL_YEARS, TRADE_YEARS
from tests.demo.relayed import topics
from tests.demo.relayed.scene import CHECKPOINTS, RECORDS, opened
from tests.demo.server import COMMAND, Failed, run
from tests.demo.telling import PATIENCE_S, Telling, say, wait

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.demo.attempts import Answered
    from tests.demo.day import Item
    from tests.demo.firm import Place
    from tests.demo.relayed.scene import Scene

#: Orders of the day, of which a third is stored at a time.
ORDERS: Final = 240
#: Events of another system, and what it is called.
EVENTS: Final = 50
SOURCE: Final = "matching-engine"
#: While the third part of the day is stored, after so many seconds, the relay is killed.
KILL_S: Final = 0.2
#: Up to this offset messages are deleted at the end.
DELETED: Final = 100
FORGED: Final = "forged"
READERS: Final = ("librdkafka", "kafka-python")
#: Columns of a record that is shown whole.
_WIDTH: Final = 110


class Story:
    """Prints what it does; the numbered steps are for a reader who has never seen Strongroom.

    Args:
        home: An empty directory for everything it makes.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._telling = Telling(home)
        self._vkey = home / "saved-public-key"

    def tell(self) -> None:
        """Go through all steps. No process of ours is left at the end.

        Raises:
            Failed: One did not go as it must.
        """
        self._telling.step("Start a Kafka broker, and a vault with kafka.bootstrap set to it")
        with opened(self._home) as scene:
            say(f"Kafka on {scene.broker.address}; S3 on {scene.server.s3}; the server runs the relay")
            self._vkey.write_text(scene.vault.run("log", "vkey", scene.stream, "--data", scene.vault.data))
            items = day(ORDERS)
            third = len(items) // 3
            refused = self._store(scene, items[:third])
            self._consume(scene, refused)
            self._verify(scene)
            self._outage(scene, items[third : 2 * third])
            self._kill(scene, items[2 * third :])
            self._tamper(scene)
            self._remove(scene)

    def _store(self, scene: Scene, items: Sequence[Item]) -> Answered:
        """Store the first objects, try to delete one, bring events; that refusal."""
        self._telling.step(f"Store {len(items)} objects, try to delete one, bring {EVENTS} events of another system")
        scene.firm.open_buckets()
        locked = scene.firm.store(items)[0]._asdict()
        say(f"{len(items)} tickets and FIX messages under COMPLIANCE for {TRADE_YEARS} years, e-mails for {MAIL_YEARS}")
        (refused,) = make(
            scene.firm,
            [Attempt("delete a ticket", "root", lambda s3: s3.delete_object(**locked), "AccessDenied", "retention")],
        )
        say(f"root tries to delete a ticket → {refused.attempt.answer}, record {refused.seq}")
        _bring_events(scene)
        say(f"{EVENTS} events of {SOURCE} to /v1/ingest/{SOURCE}: a record each")
        return refused

    def _consume(self, scene: Scene, refused: Answered) -> None:
        self._telling.step("Read them as any consumer does, with isolation.level=read_committed")
        took = scene.catch_up()
        found = topics.messages(scene.broker.address, RECORDS)
        say(f"{len(found)} messages in {RECORDS}, {took:.1f} s after the last answer; that refusal is one of them:")
        message = found[refused.seq]
        if message.headers() is not None:
            raise Failed(f"a message of {RECORDS} has headers: {message.headers()}")
        where = f"partition {message.partition()}, offset {message.offset()}"
        say(f"{where}, key {message.key().decode()}, no headers, value:")
        value = message.value().decode()
        for at in range(0, len(value), _WIDTH):
            say(f"  {value[at : at + _WIDTH]}")
        record = msgspec.json.decode(message.value())
        say(f"which is to say: {' '.join(sentence(record, scene.firm.names).split())}")
        note = topics.messages(scene.broker.address, CHECKPOINTS)[-1].value()
        say(f"the last message in {CHECKPOINTS}, a signed hash of {checkpoint_size(note)} records:")
        for line in note.decode().rstrip("\n").split("\n"):
            say(f"  {line[:_WIDTH]}")

    def _verify(self, scene: Scene) -> None:
        self._telling.step("Verify what is in Kafka, with two libraries that share no code, and the log's public key")
        for reader in READERS:
            report = self._judge(scene, "--reader", reader, "--vkey", self._vkey)
            say(
                f"GOOD: {report['size']} records, of which checkpoints vouch for {report['logs'][0]['checkpoint_size']}"
            )

    def _outage(self, scene: Scene, items: Sequence[Item]) -> None:
        self._telling.step(f"An outage: kill -9 the broker, and store {len(items)} objects meanwhile")
        scene.broker.crash()
        say(f"{_stored(scene, items)}: no write waits for Kafka")
        told = wait(scene.trouble, "a warning in /readyz")
        say(f"/metrics: strongroom_relay_lag_records {scene.lag()}")
        say(f"/readyz: {told}")
        began = time.monotonic()
        scene.broker.begin()
        scene.broker.wait()
        back = time.monotonic() - began
        say(f"the broker is back after {back:.0f} s; {scene.catch_up():.0f} s later the relay had caught up")
        self._compare(scene)

    def _kill(self, scene: Scene, items: Sequence[Item]) -> None:
        self._telling.step(f"kill -9 the relay while it works, and store {len(items)} objects meanwhile")
        killed = scene.server.worker()
        timer = Timer(KILL_S, os.kill, (killed, signal.SIGKILL))
        timer.start()
        try:
            say(_stored(scene, items))
        finally:
            timer.join()

        def another() -> int | None:
            with suppress(Failed):
                worker = scene.server.worker()
                return worker if worker != killed else None
            return None

        wait(another, "another relay")
        took = scene.catch_up()
        say(f"process {killed} is gone, and the server started another one, which had caught up after {took:.0f} s")
        self._compare(scene)

    def _compare(self, scene: Scene) -> None:
        """Hold the topic against the log, and say so."""
        place, held = scene.export()
        scene.catch_up()
        found = [message.value() for message in topics.messages(scene.broker.address, RECORDS)]
        topics.require_each_once(found, held)
        say(f"{len(found)} records in the topic: each once, in order, byte by byte the exported log's ({len(held)})")
        report = self._judge(scene, "--log", place, "--vkey", self._vkey)
        say(f"GOOD: {report['size']} records, held against the log")

    def _tamper(self, scene: Scene) -> None:
        seq = checkpoint_size(topics.messages(scene.broker.address, CHECKPOINTS)[-1].value()) // 2
        self._telling.step("Write the topics again under other names, one byte changed, and verify that")
        topics.forge(scene.broker.address, "strongroom", FORGED, seq)
        report = self._judge(scene, "--topics", FORGED, "--vkey", self._vkey, expect=1)
        bad = report["first_bad"]
        if seq not in {bad["seq"], bad["seq"] - 1}:
            raise Failed(f"record {seq} was changed, and the verifier names record {bad['seq']}")
        say(f"one byte changed in record {seq}: BAD")
        say(f"  record {bad['seq']}, {bad['place']}:")
        say(f"  {bad['why']}")

    def _remove(self, scene: Scene) -> None:
        self._telling.step(
            f"Delete the first messages, up to offset {DELETED}, as retention does; verify, and ask the doctor"
        )
        topics.remove(scene.broker.address, RECORDS, DELETED)
        report = self._judge(scene, "--vkey", self._vkey)
        (gone,) = (state for state in report["states"] if state["name"] == "head removed")
        say(f"GOOD, and it says what is no longer there: {gone['name']}, {gone['place']}")
        say(f"  {gone['detail']}")
        command: list[str | Path] = ["doctor", "--data", scene.vault.data]
        self._telling.show([COMMAND, *command])
        said = msgspec.json.decode(scene.vault.run(*command, "--json", expect=1))
        told = [f"{each['kind']}: {each['text']}" for each in said if f"{RECORDS}/0" in each["text"]]
        if not any("no longer there" in line for line in told):
            raise Failed(f"doctor does not name what is no longer there: {told}")
        for line in told:
            say(line)

    def _judge(self, scene: Scene, *options: str | Path, expect: int = 0) -> dict[str, Any]:
        """Run ``strongroom verify --kafka``, shown as somebody would type it, and return what it reports."""
        command: list[str | Path] = [COMMAND, "verify", "--kafka", scene.broker.address, *options]
        self._telling.show(command)
        report: dict[str, Any] = msgspec.json.decode(run([*command, "--json"], {}, expect=expect))
        return report


def _stored(scene: Scene, items: Sequence[Item]) -> str:
    """Store objects; at which rate, in words."""
    began = time.monotonic()
    places: list[Place] = scene.firm.store(items)
    rate = len(places) / (time.monotonic() - began)
    return (
        f"{len(places)} objects stored, {rate:.0f} a second over {CONNECTIONS} connections, each durable when answered"
    )


def _bring_events(scene: Scene) -> None:
    """Have another system bring its events, as README shows it."""
    vault = scene.vault
    made = vault.run("principal", "add", "collector", "--role", "writer", "--data", vault.data, "--json")
    holder = msgspec.json.decode(made)["access_key"]
    token = vault.run("token", "add", holder, "--source", SOURCE, "--format", "json", "--data", vault.data).strip()
    lines = b"".join(b'{"id":"match-%d","sequence":%d,"action":"match"}\n' % (seq, seq) for seq in range(1, EVENTS + 1))
    answer = httpx.post(
        f"{scene.server.audit}/v1/ingest/{SOURCE}",
        content=lines,
        headers={"authorization": f"Bearer {token}", "content-type": "application/x-ndjson"},
        timeout=PATIENCE_S,
        trust_env=False,
    )
    stored = answer.json().get("stored")
    if stored != EVENTS:
        raise Failed(f"{EVENTS} events were brought, and {stored} are stored: {answer.text}")
