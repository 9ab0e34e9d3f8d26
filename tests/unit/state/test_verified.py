"""What the ledger tells of its verifications: a finding stands until everything was read and was good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.ledger import MemoryState
from vault.record import SUCCESS, Actor, Head, Origin, Tail, VerifiedRef
from vault.state import decide, verified
from vault.state.apply import apply
from vault.state.other_rows import VerifiedRow
from vault.state.rows import VERIFIED_KEY, decode_row, encode_row
from vault.times import Now, parse_rfc3339, rfc3339

NOW = parse_rfc3339("2026-11-27T17:00:00Z")


def ref(result: str, share: int = 1, shares: int = 1, findings: int = 0) -> VerifiedRef:
    place = f"packs/{share}.pack" if findings else ""
    return VerifiedRef(result, share, shares, 10, 10, 5, 4096, 7, findings, place, 3 if findings else -1)


def record(state: MemoryState, said: VerifiedRef | None, time: int = NOW) -> None:
    when = rfc3339(time)
    head = Head(v=1, stream="s", seq=1, prev="0" * 64, time=when, clock=when, outcome=SUCCESS)
    tail = Tail(op="ledger.verified", actor=Actor("system"), origin=Origin("server"), verified=said)
    for key, row in apply(head, tail, state):
        assert row is not None
        state.rows[key] = row


def test_nothing_was_told_yet() -> None:
    assert verified.found(MemoryState()) == VerifiedRow()


OUTCOMES = st.one_of(
    st.builds(ref, st.just("good"), st.integers(1, 3), st.just(3)),
    st.builds(ref, st.just("bad"), st.integers(1, 3), st.just(3), st.integers(1, 9)),
    st.just(ref("good")),
    st.just(ref("bad", findings=2)),
    st.just(ref("unchecked", 2, 3)),
)


@given(st.lists(OUTCOMES, min_size=1, max_size=20))
def test_a_finding_stands_until_a_whole_verification_is_good(said: list[VerifiedRef]) -> None:
    state, since = MemoryState(), 0
    for at, one in enumerate(said, 1):
        record(state, one, NOW + at)
        if one.findings:
            since = since or NOW + at
        elif one.result == "good" and one.shares == 1:
            since = 0
        row = verified.found(state)
        assert row.bad_since == since
        assert (row.findings > 0, row.place != "", row.seq >= 0) == (since > 0,) * 3
        assert (row.tried, row.result) == (NOW + at, one.result)
        done = [other for other in said[:at] if other.result != "unchecked"]
        assert (row.share, row.shares) == ((done[-1].share, done[-1].shares) if done else (0, 0))
        assert decode_row(VERIFIED_KEY, encode_row(row)) == row


@pytest.mark.parametrize("said", [None, ref("fine"), ref("good", 0, 3), ref("good", 4, 3), ref("", 1, 1)])
def test_a_record_of_a_verification_says_what_came_of_it(said: VerifiedRef | None) -> None:
    tail = Tail(op="ledger.verified", actor=Actor("system"), origin=Origin("server"), verified=said)
    assert decide.decide(tail, MemoryState(), Now(0, 0)).error is not None


def test_a_good_one_is_allowed() -> None:
    tail = Tail(op="ledger.verified", actor=Actor("system"), origin=Origin("server"), verified=ref("good"))
    assert decide.decide(tail, MemoryState(), Now(0, 0)).error is None


def test_nobody_but_the_server_can_say_so() -> None:
    tail = Tail(op="ledger.verified", actor=Actor("p1", roles=("root",)), origin=Origin("s3"), verified=ref("good"))
    assert decide.decide(tail, MemoryState(), Now(0, 0)).error is not None
