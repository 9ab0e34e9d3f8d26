"""Everything is read within a cycle: shares cut all bodies without rest, and every share has its turn in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.config import ScrubSection
from audit.scrub import plan
from audit.verify.share import MAX_TURNS, WHOLE, Share, parse
from tests.doubles.ledger import MemoryState
from tests.unit.state.test_verified import record, ref
from vault.state import verified
from vault.state.other_rows import VerifiedRow
from vault.times import DAY_NS, NS

HOUR_NS = 3600 * NS


@given(st.integers(1, 1000), st.integers(0, 1 << 60))
def test_every_body_has_its_turn_exactly_once(turns: int, position: int) -> None:
    assert sum(Share(turn, turns).holds(position) for turn in range(1, turns + 1)) == 1
    assert WHOLE.holds(position)


@given(st.integers(1, MAX_TURNS), st.data())
def test_a_share_is_read_as_it_is_written(turns: int, data: st.DataObject) -> None:
    turn = data.draw(st.integers(1, turns))
    assert parse(f"{turn}/{turns}") == (turn, turns)


@pytest.mark.parametrize(
    "text",
    ["", "1", "/", "0/3", "4/3", "1/0", "-1/3", "1/10001", "1/3/5", "a/b", "\u0661/\u0663", " 1/3", "1/99999999999"],
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no share"):
        parse(text)


STEPS = st.lists(st.sampled_from(["done", "done", "done", "bad", "unchecked", "stopped"]), max_size=200)


@given(st.floats(0.5, 200), st.integers(1, 40), STEPS)
def test_all_shares_are_read_within_as_many_verifications_that_could_be_done(
    interval: float, days: int, steps: list[str]
) -> None:
    settings = ScrubSection(interval_hours=interval, cycle_days=days)
    count = plan.shares(settings)
    assert 1 <= count <= plan.MAX_SHARES
    assert count * interval <= max(days * 24, interval)
    state, read = MemoryState(), []
    for step in steps:
        share = plan.next_share(verified.found(state), count)
        if step == "unchecked":
            record(state, ref("unchecked", share, count))
        elif step != "stopped":  # by a stop or a crash: not recorded
            record(state, ref("bad", share, count, 1) if step == "bad" else ref("good", share, count))
            read.append(share)
    for at in range(len(read) - count + 1):
        assert set(read[at : at + count]) == set(range(1, count + 1))


@given(st.integers(1, 50), st.integers(0, 50), st.integers(1, 50))
def test_after_another_cut_or_a_whole_one_the_cycle_begins_again(shares: int, share: int, count: int) -> None:
    row = VerifiedRow(share=min(share, shares), shares=shares)
    following = plan.next_share(row, count)
    assert 1 <= following <= count
    if shares != count:
        assert following == 1


@given(st.floats(0.001, 8760), st.integers(-400 * DAY_NS, 400 * DAY_NS))
def test_a_start_catches_up_and_a_clock_that_was_set_delays_it_by_one_interval(interval: float, since: int) -> None:
    settings = ScrubSection(interval_hours=interval)
    now = 1000 * DAY_NS
    wait = plan.first_wait(VerifiedRow(done=now - since), settings, now)
    rest = min(plan.REST_S, interval * plan.HOUR_S)
    assert rest <= wait <= max(interval * plan.HOUR_S, rest)
    if since >= interval * HOUR_NS:
        assert wait == rest
    assert plan.first_wait(VerifiedRow(), settings, now) == rest or interval > 1000 * 24


@given(interval=st.floats(0.001, 8760), took=st.floats(0, 1e7), done=st.booleans())
def test_the_next_is_an_interval_from_begin_to_begin_and_sooner_where_it_could_not_be_done(
    *, interval: float, took: float, done: bool
) -> None:
    wait = plan.next_wait(ScrubSection(interval_hours=interval), took, done=done)
    seconds = interval * plan.HOUR_S
    assert min(plan.REST_S, seconds) <= wait <= max(plan.REST_S, seconds)
    if done and took < seconds - plan.REST_S:
        assert wait + took == pytest.approx(seconds)
    if not done:
        assert wait <= plan.RETRY_S
