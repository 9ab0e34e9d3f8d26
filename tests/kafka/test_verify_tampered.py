"""A relay's topics on a real broker, tampered with: exit code, the first bad record, and why."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tests.kafka.judged import BOTH, Makes, Verify
from tests.kafka.relay import values_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.doubles.logbuilder import LogBuilder

pytestmark = pytest.mark.timeout(300)  # the first one fetches the jars


def changed(record: bytes) -> bytes:
    """Another time of day."""
    at = record.index(b'"time":"2') + 26
    return record[:at] + (b"1" if record[at : at + 1] != b"1" else b"2") + record[at + 1 :]


CASES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int, str]] = {
    "dropped": (lambda all_: all_[:400] + all_[401:], 400, "record 400 is missing before record 401"),
    "several dropped": (lambda all_: all_[:400] + all_[420:], 400, "records 400 to 419 are missing before record 420"),
    "altered": (lambda all_: [*all_[:400], changed(all_[400]), *all_[401:]], 401, "does not follow the record before"),
    "swapped": (lambda all_: [*all_[:400], all_[401], all_[400], *all_[402:]], 400, "record 400 is missing before"),
    "other bytes": (lambda all_: [*all_, changed(all_[400])], 400, "the same seq stands twice with different bytes"),
    "tail lost": (lambda all_: all_[:500], 500, "records 500 to 600 are not there: the tail is lost"),
    "garbage": (lambda all_: [*all_[:400], b"\xff\x00", *all_[400:]], 400, "no record: "),
    "no value": (lambda all_: [*all_[:400], b"", *all_[400:]], 400, "a message without a value"),
    "too long": (lambda all_: [*all_[:400], b'{"v":1,' + b"x" * 500_000, *all_[400:]], 400, "no record: 500007 bytes"),
    "of another stream": (
        lambda all_: [*all_, all_[400].replace(b"node-1", b"node-2")],
        400,
        'record 400 of stream "site-a.node-2" has the key of site-a.node-1',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_was_done_to_records_is_named(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path, case: str
) -> None:
    do, seq, why = CASES[case]
    written = topics()
    written.changed(log, do(values_of(log)))
    ((code, answer), (again, held)) = verify(written, [], ["--reader", "kafka-python", "--log", export])
    assert (code, again) == (1, 1)
    assert (answer["first_bad"]["seq"], why in answer["first_bad"]["why"]) == (seq, True), answer["findings"]
    if case == "altered":  # the log says which of the two it is
        assert (held["first_bad"]["seq"], held["first_bad"]["why"][:32]) == (400, "the log has another record here:")
    else:
        assert held["first_bad"] == answer["first_bad"]


def test_a_history_forged_whole_is_found_by_the_log_and_by_the_key(
    topics: Makes, verify: Verify, log: LogBuilder, export: Path, vkey: Path
) -> None:
    forged = deepcopy(log)
    forged.seed = b"\3" * 32
    forged.entries[300].fields["actor"]["id"] = "p2"
    forged.rechain(300)
    written = topics()
    written.whole(forged)
    alone, logged, signed = verify(written, [], ["--log", export], ["--vkey", vkey])
    assert (alone[0], alone[1]["anchored"]) == (0, False)
    assert (logged[0], logged[1]["first_bad"]["seq"]) == (1, 300)
    assert (signed[0], signed[1]["first_bad"]["why"].partition("+")[0]) == (1, f"not signed by {log.origin}")


def wrong_root(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.entries[3].fields["actor"]["id"] = "p2"
    return other.checkpoint(300)


def other_key(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.seed = b"\3" * 32
    return other.checkpoint(300)


def other_vault(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.vault = "fedcba9876543210"
    return other.checkpoint(300)


def ahead(log: LogBuilder) -> bytes:
    other = deepcopy(log)
    other.fill(700)
    return other.checkpoint()


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (wrong_root, "its root at size 300 is not the root of the records"),
        (other_key, "not signed by strongroom/0123456789abcdef/site-a.node-1+"),
        (other_vault, "it is a checkpoint of strongroom/fedcba9876543210/site-a.node-1, and this stream is of"),
        (ahead, "it covers 700 records, and never comes before them; records 601 to 699 are not there"),
        (lambda _: b"\xff", "not UTF-8"),
        (lambda _: None, "not a signed note"),
    ],
)
def test_a_checkpoint_that_is_not_the_logs_is_named_by_its_offset(
    topics: Makes, verify: Verify, log: LogBuilder, vkey: Path, note: Callable[[LogBuilder], bytes], why: str
) -> None:
    written = topics()
    written.whole(log)
    with written.transaction():
        written.write("checkpoints", log.stream, note(log))
    ((code, answer),) = verify(written, ["--vkey", vkey])
    assert (code, len(answer["findings"])) == (1, 1)
    assert why in answer["first_bad"]["why"]
    assert answer["first_bad"]["place"] == f"{written.prefix}.checkpoints[0] offset 8"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"leaf": "00" * 32}, "the cursor has another hash of this record"),
        ({"partition": 3}, "it says partition 3, and the records are in"),
        ({"origin": "strongroom/fedcba9876543210/site-a.node-1"}, "it is a checkpoint of"),
        ({"origin": "strongroom/0123456789abcdef/other"}, "has the key of stream"),
        ({"v": 2}, "a cursor of a version"),
        ({"next": "601"}, "no cursor: it lacks"),
    ],
)
def test_a_cursor_that_is_not_so_is_named(
    topics: Makes, verify: Verify, log: LogBuilder, change: dict[str, Any], why: str
) -> None:
    written = topics()
    written.whole(log)
    fields = {"partition": 0, **change}
    with written.transaction():
        cursor = {"v": 1, "origin": log.origin, "next": 601, "leaf": log.leaf(600).hex(), **fields}
        written.write("cursors", log.stream, json.dumps(cursor, separators=(",", ":")).encode())
    ((code, answer),) = verify(written, [])
    assert code == 1
    assert why in " ".join(finding["why"] for finding in answer["findings"])


def test_a_stream_in_two_partitions_is_bad(topics: Makes, verify: Verify, log: LogBuilder) -> None:
    written = topics(2)
    written.whole(log)
    with written.transaction():
        written.records(log, values_of(log)[:50], partition=1)
    for code, answer in verify(written, *BOTH):
        assert (code, answer["findings_total"]) == (1, 1)
        assert "is in two partitions" in answer["first_bad"]["why"]
