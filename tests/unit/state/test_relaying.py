"""What the ledger tells of streams in Kafka: an assignment counts up, so that nobody makes one unaware of another."""

from __future__ import annotations

import pytest

from tests.doubles.ledger import MemoryState
from vault.record import SUCCESS, Actor, Head, Origin, RelayRef, Tail
from vault.state import decide, relaying
from vault.state.apply import apply
from vault.state.other_rows import RelayRow
from vault.state.rows import decode_row, encode_row, relay_key
from vault.times import Now

WHEN = "2026-11-28T05:00:00.000000000Z"


def tail(said: RelayRef | None, op: str = "relay.assign") -> Tail:
    return Tail(op=op, actor=Actor("system"), origin=Origin("cli"), relay=said)


def assigned(generation: int, topic_id: str = "T1") -> RelayRef:
    return RelayRef("site-a.node-1", "strongroom.records", topic_id, 3, generation, 0)


def record(state: MemoryState, said: Tail, seq: int) -> None:
    head = Head(v=1, stream="s", seq=seq, prev="0" * 64, time=WHEN, clock=WHEN, outcome=SUCCESS)
    for key, row in apply(head, said, state):
        assert row is not None
        state.rows[key] = row


def test_the_last_assignment_of_a_stream_counts() -> None:
    state = MemoryState()
    assert relaying.found(state, "site-a.node-1") is None
    record(state, tail(assigned(1)), 7)
    record(state, tail(assigned(2, "T2")), 9)
    record(state, tail(assigned(2, "T2"), "relay.rewind"), 11)
    row = relaying.found(state, "site-a.node-1")
    assert row == RelayRow("site-a.node-1", "strongroom.records", "T2", 3, 2, 9)
    assert decode_row(relay_key("site-a.node-1"), encode_row(row)) == row
    assert relaying.found(state, "site-a.node-10") is None


@pytest.mark.parametrize(("generation", "allowed"), [(1, False), (2, True), (3, False)])
def test_an_assignment_follows_the_one_before(generation: int, *, allowed: bool) -> None:
    state = MemoryState()
    record(state, tail(assigned(1)), 7)
    error = decide.decide(tail(assigned(generation)), state, Now(0, 0)).error
    assert (error is None) == allowed
    if error is not None:
        assert error.s3_code == "OperationAborted"


@pytest.mark.parametrize("op", ["relay.assign", "relay.rewind"])
@pytest.mark.parametrize("said", [None, RelayRef("", "t", "T1", 0, 1)])
def test_a_record_says_of_which_stream(op: str, said: RelayRef | None) -> None:
    error = decide.decide(tail(said, op), MemoryState(), Now(0, 0)).error
    assert error is not None
    assert error.s3_code == "InvalidRequest"


@pytest.mark.parametrize("said", [
    RelayRef("s", "", "T1", 0, 1), RelayRef("s", "t", "", 0, 1), RelayRef("s", "t", "T1", -1, 1),
])  # fmt: skip
def test_an_assignment_says_where_to(said: RelayRef) -> None:
    assert decide.decide(tail(said), MemoryState(), Now(0, 0)).error is not None
