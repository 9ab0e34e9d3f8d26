"""What the server makes of what the relay tells it: a lag, a refusal, a cursor, a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.config import load
from audit.feed import Cursor
from audit.relaying import standing as module
from audit.relaying.standing import RELAY, Relaying, RelayStanding
from tests.doubles.stream import Stream
from tests.doubles.traffic import Traffic
from vault.times import NS, parse_rfc3339

if TYPE_CHECKING:
    from pathlib import Path

NAME = "site-a.node-1"
ENTRIES = Traffic(3).mixed(20)


class Vault:
    """A stream with a dozen records, and the account of its relay."""

    def __init__(self, root: Path, **settings: str) -> None:
        self.stream = Stream(root)
        self.cursors = root / "cursors"
        self.cursors.mkdir(exist_ok=True)
        self.now = 0
        found = {f"STRONGROOM_{name}": value for name, value in settings.items()}
        self.relaying = Relaying(load(None, found), NAME, self.stream.feed, self.cursors, wall=lambda: self.now)


BROKERS = {"KAFKA__BOOTSTRAP": "127.0.0.1:9092"}


def test_a_lag_is_what_is_durable_and_not_told_of(tmp_path: Path) -> None:
    vault = Vault(tmp_path, **BROKERS, RELAY__MAX_LAG_RECORDS="2")
    vault.stream.append(ENTRIES[:5])
    assert vault.relaying.lag_records == 5
    vault.relaying.keep()
    assert "5 records wait for Kafka, more than relay.max_lag_records = 2" in vault.relaying.behind
    vault.relaying.tell(RelayStanding(stream=NAME, committed=3))
    vault.relaying.keep()
    assert (vault.relaying.lag_records, vault.relaying.behind) == (2, "")
    assert Cursor(vault.cursors, RELAY, NAME).load() == 3
    vault.relaying.tell(RelayStanding(stream=NAME, committed=99))  # of a ledger that is no more
    assert vault.relaying.lag_records == 0
    vault.relaying.tell(RelayStanding(stream="site-a.node-0", committed=1))  # of another stream
    assert vault.relaying.lag_records == 0
    vault.stream.stop()


def test_what_was_known_is_known_again_after_a_start(tmp_path: Path) -> None:
    vault = Vault(tmp_path, **BROKERS)
    vault.stream.append(ENTRIES[:5])
    vault.relaying.tell(RelayStanding(stream=NAME, committed=4))
    vault.relaying.keep()
    vault.stream.stop()
    again = Vault(tmp_path, **BROKERS)
    assert again.relaying.lag_records == again.stream.feed.end - 4
    again.stream.stop()


def test_trouble_and_warnings_are_told_and_silence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path, **BROKERS)
    assert vault.relaying.notices() == []
    vault.relaying.tell(RelayStanding(stream=NAME, trouble="Kafka does not answer", warnings=("min.insync.replicas",)))
    assert vault.relaying.notices() == ["relay: Kafka does not answer", "relay: min.insync.replicas"]
    vault.relaying.tell(RelayStanding(stream=NAME, committed=0))
    assert vault.relaying.notices() == []
    monkeypatch.setattr(module, "SILENT_SECONDS", -1)
    assert "relay: it has not told of itself for 0 s" in vault.relaying.notices()[0]
    vault.stream.stop()


def test_without_kafka_nothing_waits_and_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", -1)
    vault = Vault(tmp_path, RELAY__MAX_LAG_RECORDS="1")
    assert vault.relaying.standings == []
    vault.relaying.keep()
    assert vault.relaying.behind == ""
    assert vault.relaying.notices() == []
    vault.stream.stop()


def test_the_time_that_the_first_one_waits_is_by_its_own_clock(tmp_path: Path) -> None:
    vault = Vault(tmp_path, **BROKERS, RELAY__MAX_LAG_SECONDS="10")
    assert vault.relaying.lag_seconds() == 0
    vault.stream.append(ENTRIES[:2])
    time = b'"time":"'
    record = vault.stream.feed.record(0)
    start = record.find(time) + len(time)
    vault.now = parse_rfc3339(record[start : record.find(b'"', start)].decode()) + 11 * NS
    assert vault.relaying.lag_seconds() == pytest.approx(11)
    vault.relaying.keep()
    assert "for 11 s, more than relay.max_lag_seconds" in vault.relaying.behind
    vault.stream.stop()
