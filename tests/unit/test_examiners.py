"""What ``strongroom doctor`` is told by other packages, and what the relay's part makes of what it saw in Kafka."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from audit import examiners
from audit.config import Settings, load
from audit.control.stream_messages import Assignment
from audit.doctor import ADVICE, PROBLEM, Finding
from audit.examiners import GROUP, Examined, Shown, examine_all
from exporters.relay import doctor
from exporters.relay.judging import LONG_SECONDS, MANY_RECORDS, Seen, judge
from exporters.relay.position import Held
from tests.doubles.traffic import Traffic
from vault.record import decode
from vault.times import DAY_NS, NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = "site-a.node-1"
RECORDS = [entry.record for entry in Traffic(3).mixed(20)]
#: When the last of them was made.
MADE = parse_rfc3339(decode(RECORDS[-1])[0].time)
SHOWN = Shown("well", {"lag": 0})


class FakeControl:
    """A vault of these records, of which some were pruned."""

    def __init__(self, pruned: int = 0) -> None:
        self._pruned = pruned

    def records(self, stream: str, start: int, end: int) -> Iterator[bytes]:
        assert stream == STREAM
        return iter([b""] * (end - start) if start < self._pruned else RECORDS[start:end])


def judged(
    first: int, last: int, monkeypatch: pytest.MonkeyPatch, *, after: int = 0, pruned: int = 0, **said: Any
) -> list[Finding]:
    """What is said of a topic that has records ``first`` to ``last``, so long after the last one was made."""
    monkeypatch.setattr("time.time_ns", lambda: MADE + after)
    place = Assignment(STREAM, f"strongroom/0/{STREAM}", said.pop("durable", len(RECORDS)), "t.records", "id", 3, 1)
    held = Held(said.pop("bytes_", RECORDS[last]), said.pop("low", first), 99)
    environment = {f"STRONGROOM_RELAY__{name.upper()}": value for name, value in said.items()}
    return judge(FakeControl(pruned), load(None, environment), place, Seen(held, first, -1))  # type: ignore[arg-type]


def test_a_whole_copy_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(0, 19, monkeypatch, after=900 * DAY_NS) == []


@pytest.mark.parametrize(
    ("days", "said", "kinds"),
    [
        (900, {}, [ADVICE]),  # for good
        (9, {"keep_days": "10"}, [ADVICE]),
        (11, {"keep_days": "10"}, []),
        (6, {"create_topics": "false"}, [ADVICE]),
        (8, {"create_topics": "false"}, []),
        (900, {"low": 0}, []),  # Kafka lost nothing: they were pruned before they were copied
    ],
)
def test_what_is_no_longer_there_is_missed_for_as_long_as_it_was_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, days: int, said: dict[str, Any], kinds: list[str]
) -> None:
    found = judged(10, 19, monkeypatch, after=days * DAY_NS, **said)
    assert [finding.kind for finding in found] == kinds
    assert all("records 0 to 9 are no longer there" in finding.text for finding in found)


def test_a_record_that_was_pruned_since_is_old_enough_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(10, 19, monkeypatch, pruned=10, keep_days="10") == []


def test_a_lag_is_large_by_the_time_that_the_first_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(0, 18, monkeypatch, after=(LONG_SECONDS - 1) * NS) == []
    (finding,) = judged(0, 18, monkeypatch, after=(LONG_SECONDS + 1) * NS)
    assert finding.text.startswith(f"1 records of {STREAM} wait for Kafka, the first for {LONG_SECONDS + 1} s: ")


def test_a_lag_is_large_by_the_number_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(0, 18, monkeypatch, durable=19 + MANY_RECORDS) == []
    (finding,) = judged(0, 18, monkeypatch, durable=20 + MANY_RECORDS)
    assert f"{MANY_RECORDS + 1} records of {STREAM} wait for Kafka" in finding.text
    assert judged(0, 18, monkeypatch, after=DAY_NS, pruned=20) == []  # the relay will pass over what was pruned


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"bytes_": b"hello"}, "is no record: others write there"),
        ({"durable": 19}, "the data directory is older than what was published"),
        (
            {"bytes_": RECORDS[19].replace(b'"op":', b'"oq":')},
            "record 19 of site-a.node-1 in t.records/3 is not the ledger's",
        ),
    ],
)
def test_what_stops_the_relay_is_a_problem(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], why: str) -> None:
    (finding,) = judged(0, 19, monkeypatch, **said)
    assert (finding.kind, why in finding.text) == (PROBLEM, True)


def test_where_there_is_no_kafka_nobody_is_asked() -> None:
    assert doctor.examine(object(), Settings()) == Examined([], [])  # type: ignore[arg-type]


def test_all_are_asked_and_one_that_cannot_be_loaded_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("well", f"{__name__}:well", GROUP), EntryPoint("gone", "tests.no_such_module:it", GROUP)]
    monkeypatch.setattr(examiners, "entry_points", lambda group: points if group == GROUP else [])
    findings, shown = examine_all(object(), Settings())  # type: ignore[arg-type]
    assert shown == [SHOWN]
    assert [(finding.kind, finding.text.partition(":")[0]) for finding in findings] == [
        (PROBLEM, "gone could not be looked at"), (ADVICE, "do this"),
    ]  # fmt: skip


def well(control: object, settings: Settings) -> Examined:
    return Examined([Finding(ADVICE, "do this")], [SHOWN])
