"""Records that are passed over in a replay without being decoded: only those of which nothing would be made."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.ledger import MemoryState
from vault.record import DENIED, OPS, SUCCESS, Actor, Head, ObjectRef, Origin, Tail, decode, encode_tail, splice
from vault.state.apply import apply, changes_nothing

#: Names that look like fields, or like their ends.
names = st.text(max_size=20) | st.sampled_from(
    ['"op":"object.get"', '","op":"object.get","x":"', '"matters":', "\\", '\\"op\\":\\"object.get\\"', '{"v":1,']
)


def record(op: str, name: str = "", outcome: str = SUCCESS, v: int = 1) -> bytes:
    head = Head(v=v, stream=name, seq=1, prev="0" * 64, time="", clock="", outcome=outcome, reason=name)
    tail = Tail(op=op, actor=Actor(name), origin=Origin("s3", name, name, name), object=ObjectRef(name, name))
    return splice(head, encode_tail(tail))


@given(st.sampled_from(sorted(OPS)), names, st.sampled_from([SUCCESS, DENIED]))
def test_what_is_passed_over_would_change_nothing(op: str, name: str, outcome: str) -> None:
    data = record(op, name, outcome)
    if changes_nothing(data):
        assert apply(*decode(data), MemoryState()) == []


@pytest.mark.parametrize("op", ["object.get", "object.head", "bucket.list", "clock.status", "request.refused"])
@given(name=names)
def test_reads_are_passed_over_whatever_they_name(op: str, name: str) -> None:
    assert changes_nothing(record(op, name))


@pytest.mark.parametrize("op", ["object.put", "object.delete", "principal.disable", "object.get2", "", "matter.open"])
@given(name=names)
def test_nothing_else_is_passed_over_whatever_it_names(op: str, name: str) -> None:
    assert not changes_nothing(record(op, name))


@pytest.mark.parametrize("field", ["class", "event_hold", "matters", "approvals"])
def test_what_a_newer_version_may_have_written_is_not_passed_over(field: str) -> None:
    data = record("object.get")
    assert changes_nothing(data)
    assert not changes_nothing(data[:-1] + b',"%b":1}' % field.encode())
    assert not changes_nothing(record("object.get", v=2))
    assert not changes_nothing(record("object.get", v=10))


@given(st.binary(max_size=100))
def test_bytes_that_are_no_record_are_not_passed_over(data: bytes) -> None:
    assert not changes_nothing(data)
    assert not changes_nothing(msgspec.json.encode({"op": "object.put"}))
