"""Each rule of a record, broken alone: the finding names the record; and what is good is good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit.verify.records import Checker, Event, Run
from audit.verify.schema import AFTER_PREV, MAX_RECORD_BYTES, OPS, parse_strict
from tests.doubles.logbuilder import LogBuilder, instant
from vault.record import OPS as WRITTEN

STREAM = b'"site-a.node-1"'


def check(records: list[bytes], first: int = 0) -> Run:
    checker = Checker(STREAM, first, lambda seq: f"record {seq}")
    checker.feed(records)
    return checker.run()


def log() -> LogBuilder:
    builder = LogBuilder()
    builder.start()
    builder.put("key", lock={"mode": "GOVERNANCE", "until": instant(0, 30), "hold": True})
    builder.denied("object.get", object={"bucket": "b", "key": "key"})
    builder.fill(8)
    return builder


def bad(builder: LogBuilder) -> list[tuple[int | None, str]]:
    builder.rechain()
    return [(finding.seq, finding.why) for finding in check([entry.bytes() for entry in builder.entries]).findings]


def test_a_good_run_has_no_findings_and_says_what_it_holds() -> None:
    builder = log()
    run = check([entry.bytes() for entry in builder.entries])
    assert not run.findings
    assert run.leaves == b"".join(builder.leaves())
    assert run.clocks == (instant(0).encode(), instant(7).encode())
    assert [event.op for event in run.events] == [b"ledger.open", b"principal.add", b"bucket.create", b"object.put"]
    assert run.ops.count(b"object.get") == 3


def test_a_run_may_begin_anywhere_and_says_what_was_before_it() -> None:
    builder = log()
    run = check([entry.bytes() for entry in builder.entries[5:]], 5)
    assert not run.findings
    assert run.prev == builder.leaf(4).hex().encode()


def test_events_are_the_groups_of_the_grammar_in_order() -> None:
    left_out = {"time", "clock", "outcome", "lock", "content", "reserved"}
    left_out |= {"event_digest", "event_text", "event_base64"}  # of events of other systems, which change nothing here
    assert Event._fields[3:] == tuple(name for name in AFTER_PREV.groupindex if name not in left_out)


def test_the_operations_are_those_the_writer_knows() -> None:
    assert {op.decode() for op in OPS} == WRITTEN


def test_a_changed_record_shows_at_the_next_one() -> None:
    builder = log()
    builder.entries[4].fields["origin"]["ip"] = "198.51.100.1"
    findings = check([entry.bytes() for entry in builder.entries]).findings
    assert [(finding.seq, "prev" in finding.why) for finding in findings] == [(5, True)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seq": 4}, "says it is record 4"),
        ({"stream": "other"}, "another stream"),
        ({"v": 0}, "no schema version"),
        ({"v": "1"}, "no schema version"),
        ({"v": True}, "no schema version"),
        ({"outcome": "perhaps"}, "outcome"),
        ({"clock": instant(3)}, "clock"),
        ({"time": "2026-11-01T00:00:05.5Z"}, "time"),
        ({"time": "2026-13-01T00:00:05.000000000Z"}, "time"),
        ({"op": "Object.Get"}, "op"),
        ({"surprise": 1}, "unknown field surprise"),
        ({"ref": 1.5}, "integer"),
        ({"ref": -1}, "ref"),
        ({"reason": None}, "reason"),
        ({"actor": {}}, "actor"),
        ({"actor": {"id": "p1", "x": 1}}, "actor"),
        ({"object": {"key": "k", "bucket": "b"}}, "object"),
        ({"object": {"bucket": "b", "size": True}}, "object"),
        ({"storage": {"suite": 1}}, "storage"),
        ({"window": {"opened": "yesterday"}}, "window"),
        ({"reason": "x" * MAX_RECORD_BYTES}, "more than"),
    ],
)
def test_a_field_that_is_wrong_is_found_at_its_record(change: dict[str, Any], why: str) -> None:
    builder = log()
    fields = builder.entries[5].fields | change
    order = ["v", "stream", "seq", "prev", "time", "clock", "outcome", "reason", "version", "lock", "op", "actor"]
    builder.entries[5].fields = {name: fields[name] for name in [*order, *fields] if name in fields}
    found = bad(builder)
    assert found[0][0] == 5
    assert why in found[0][1]


@pytest.mark.parametrize("missing", ["time", "clock", "outcome", "op", "actor", "origin"])
def test_a_field_that_is_missing_is_named(missing: str) -> None:
    builder = log()
    del builder.entries[5].fields[missing]
    assert bad(builder)[0] == (5, f"no field {missing}")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"op"', b' "op"', "whitespace"),
        (b'"op":', b'"op": ', "whitespace"),
        (b'"outcome"', b'"clock":"x","outcome"', "twice"),
        (b'"outcome":"success",', b'"outcome":"success","outcome":"success",', "twice"),
        (b"}}", b"},}", "not JSON"),
        (b'"ip"', b'"\xff"', "utf-8"),
        (b'"ip"', b'"i\\x70"', "not JSON"),
        (b'"ip"', b'"i\np"', "not JSON"),
        (b"192.0.2.1", b"\\ud800", "origin"),
        (b'"via":"s3",', b'"via":"s3","via":"s3",', "twice"),
        (b'"origin"', b'"or\\u0069gin"', "origin"),
    ],
)
def test_json_that_is_not_strict_is_refused(old: bytes, new: bytes, why: str) -> None:
    builder = log()
    builder.fill(9)
    entry = builder.entries[8]
    raw = entry.bytes()
    assert old in raw
    entry.raw = raw.replace(old, new)
    findings = check([item.bytes() for item in builder.entries]).findings
    assert [finding.seq for finding in findings] == [8]
    assert why in findings[0].why


@pytest.mark.parametrize("text", ["ключ", "漢字", 'a\\b"c', "\t\n\x00\x1f\x7f", "\u2028", "😀", "a/b"])
def test_any_text_can_stand_in_a_record(text: str) -> None:
    builder = LogBuilder()
    builder.start()
    builder.record("object.get", object={"bucket": "b", "key": text})
    assert not check([entry.bytes() for entry in builder.entries]).findings


def test_fields_out_of_order_are_refused() -> None:
    builder = log()
    entry = builder.entries[5]
    entry.fields = dict(sorted(entry.fields.items(), key=lambda item: item[0] == "outcome"))
    assert bad(builder) == [(5, "its fields are not in the order of the schema")]


@pytest.mark.parametrize("change", [{"version_id": "00000002" + "0" * 24}, {"manifest": "0" * 64}])
def test_version_id_and_manifest_must_follow_from_the_record(change: dict[str, str]) -> None:
    builder = log()
    builder.entries[4].fields["version"] |= change
    assert {seq for seq, _ in bad(builder)} == {4}


@pytest.mark.parametrize("field", ["content", "lock", "time", "key"])
def test_what_the_manifest_binds_cannot_change(field: str) -> None:
    builder = log()
    fields = builder.entries[4].fields
    if field == "content":
        fields["object"]["content"] = "0" * 64
    elif field == "lock":
        fields["lock"]["until"] = instant(0, 1)
    elif field == "time":
        fields["time"] = instant(3)
    else:
        fields["object"]["key"] = "other"
    assert bad(builder) == [(4, "the manifest digest does not follow from the record")]


def test_a_put_that_names_no_version_is_found() -> None:
    builder = log()
    del builder.entries[4].fields["version"]
    assert bad(builder) == [(4, "it made a version and does not name it")]


def test_an_unknown_operation_is_no_fault_and_is_counted() -> None:
    builder = log()
    builder.record("object.levitate", object={"bucket": "b"})
    run = check([entry.bytes() for entry in builder.entries])
    assert not run.findings
    assert b"object.levitate" in run.ops


def test_of_another_version_chain_and_form_are_still_checked() -> None:
    builder = log()
    builder.entries[5].fields = {"v": 2, "seq": 5, "prev": builder.leaf(4).hex(), "anything": [1, {"x": None}]}
    assert bad(builder) == []
    builder.entries[5].fields["seq"] = 6
    assert bad(builder) == [(5, "its seq is not the next one")]
    builder.entries[5].fields |= {"seq": 5, "anything": 1.5}
    assert bad(builder)[0][0] == 5


def test_reserved_fields_may_hold_any_strict_json() -> None:
    builder = log()
    builder.record("object.get", matters=[{"id": "m1"}], approvals={"n": 2})
    assert bad(builder) == []
    builder.entries[-1].fields["approvals"] = {"n": 0.5}
    assert bad(builder)[0][0] == 8


def test_deeply_nested_json_is_refused_and_does_not_end_the_program() -> None:
    assert isinstance(parse_strict(b'{"a":' * 6000 + b"1" + b"}" * 6000), str)


def test_the_fast_grammar_and_strict_json_agree_on_every_record_of_a_log() -> None:
    for entry in log().entries:
        assert parse_strict(entry.bytes()) == json.loads(entry.bytes())
