from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import S3Error
from vault.record import DefaultRetention, LockRef
from vault.retention import (
    COMPLIANCE,
    GOVERNANCE,
    MIN_RECORD_DAYS,
    Lock,
    active,
    at_creation,
    check_default,
    decide_erasure,
    decide_pruning,
    decide_removal,
    decide_retention,
    default_until,
    from_ref,
)
from vault.times import DAY_NS, MAX_NS, NS, Now, parse_rfc3339, rfc3339

NOW = parse_rfc3339("2026-11-22T12:00:00Z")
BOTH = Now(NOW, NOW)
BEHIND = Now(NOW + 10 * DAY_NS, NOW)  # the clock lags: the wall jumped, or nobody measured
AHEAD = Now(NOW - 10 * DAY_NS, NOW)  # the wall was set back
MODES = (GOVERNANCE, COMPLIANCE)

nows = st.builds(Now, st.integers(0, MAX_NS), st.integers(0, MAX_NS))
matters = st.lists(st.sampled_from(["a" * 16, "b" * 16]), max_size=40).map(tuple)
locks = st.builds(Lock, st.sampled_from(["", *MODES]), st.integers(0, MAX_NS), st.booleans(), matters)


def reason(refusal: pytest.ExceptionInfo[S3Error]) -> str:
    return refusal.value.reason


# Expiry is judged by the earlier clock, a start by the later one


@pytest.mark.parametrize("now", [BEHIND, AHEAD])
def test_a_retention_runs_until_both_clocks_have_passed_it(now: Now) -> None:
    assert active(Lock(COMPLIANCE, min(now) + 1), now)
    assert not active(Lock(COMPLIANCE, min(now)), now)


@pytest.mark.parametrize("now", [BEHIND, AHEAD])
def test_a_default_counts_from_the_later_clock(now: Now) -> None:
    assert default_until(DefaultRetention(COMPLIANCE, days=1), now) == max(now) + DAY_NS


def test_a_hold_alone_is_no_retention() -> None:
    assert not active(Lock(hold=True, until=MAX_NS), BOTH)


# Removal


@given(lock=locks, now=nows, bypass=st.booleans())
def test_nothing_is_removed_under_a_hold_a_matter_or_a_running_compliance_lock(
    lock: Lock, now: Now, *, bypass: bool
) -> None:
    runs = bool(lock.mode) and (lock.until > now.wall or lock.until > now.clock)
    held = lock.hold or lock.matters != ()
    refused = "legal_hold" if held else "retention" if runs and (lock.mode == COMPLIANCE or not bypass) else ""
    if not refused:
        decide_removal(lock, now, bypass=bypass)
        decide_erasure(lock, now, bypassed=bypass)
        return
    with pytest.raises(S3Error, match="protected by object lock") as refusal:
        decide_removal(lock, now, bypass=bypass)
    assert (reason(refusal), refusal.value.http_status) == (refused, 403)
    with pytest.raises(S3Error):
        decide_erasure(lock, now, bypassed=bypass)


# Changes of a retention


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("later", [0, 1, DAY_NS])
def test_anybody_may_keep_or_lengthen(mode: str, later: int) -> None:
    lock = Lock(mode, NOW + DAY_NS, hold=True)
    new = Lock(mode, lock.until + later)
    assert decide_retention(lock, new, BOTH, bypass=False) == Lock(mode, lock.until + later, hold=True)


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize(
    "new",
    [None, Lock(COMPLIANCE, NOW + DAY_NS - 1), Lock(GOVERNANCE, NOW + DAY_NS), Lock(GOVERNANCE, NOW + 2 * DAY_NS)],
)
def test_nobody_weakens_a_running_compliance_lock(new: Lock | None, *, bypass: bool) -> None:
    with pytest.raises(S3Error) as refusal:
        decide_retention(Lock(COMPLIANCE, NOW + DAY_NS), new, BOTH, bypass=bypass)
    assert reason(refusal) == "retention"


@pytest.mark.parametrize(
    "new",
    [None, Lock(GOVERNANCE, NOW + DAY_NS - 1), Lock(COMPLIANCE, NOW + DAY_NS), Lock(COMPLIANCE, NOW + 2 * DAY_NS)],
)
def test_governance_is_weakened_and_its_mode_changed_only_with_bypass(new: Lock | None) -> None:
    lock = Lock(GOVERNANCE, NOW + DAY_NS)
    with pytest.raises(S3Error) as refusal:
        decide_retention(lock, new, BOTH, bypass=False)
    assert reason(refusal) == "retention"
    assert decide_retention(lock, new, BOTH, bypass=True) == (new or Lock())


@pytest.mark.parametrize("now", [BOTH, BEHIND, AHEAD])
def test_a_date_must_lie_after_the_later_clock(now: Now) -> None:
    with pytest.raises(S3Error, match="must be in the future") as refusal:
        decide_retention(Lock(), Lock(GOVERNANCE, max(now)), now, bypass=True)
    assert refusal.value.s3_code == "InvalidArgument"
    assert decide_retention(Lock(), Lock(GOVERNANCE, max(now) + 1), now, bypass=False).until == max(now) + 1


@given(lock=locks, new=st.none() | locks, now=nows, bypass=st.booleans())
def test_a_change_never_ends_a_running_compliance_lock_earlier(
    lock: Lock, new: Lock | None, now: Now, *, bypass: bool
) -> None:
    try:
        after = decide_retention(lock, new, now, bypass=bypass)
    except S3Error:
        return
    assert (after.hold, after.matters) == (lock.hold, lock.matters)
    if lock.mode == COMPLIANCE and lock.until > min(now):
        assert after.mode == COMPLIANCE
        assert after.until >= lock.until


# At creation


def test_what_is_asked_for_replaces_the_default() -> None:
    asked = LockRef(GOVERNANCE, rfc3339(NOW + NS), hold=True)
    assert at_creation(asked, DefaultRetention(COMPLIANCE, years=1), BOTH) == Lock(GOVERNANCE, NOW + NS, hold=True)


@pytest.mark.parametrize("hold", [False, True])
def test_a_hold_alone_leaves_the_default_on(*, hold: bool) -> None:
    lock = at_creation(LockRef(hold=hold), DefaultRetention(COMPLIANCE, days=1), BOTH)
    assert lock == Lock(COMPLIANCE, NOW + DAY_NS, hold)


def test_an_object_cannot_be_created_under_a_date_that_has_passed_on_either_clock() -> None:
    for now in (BEHIND, AHEAD):
        with pytest.raises(S3Error, match="must be in the future"):
            at_creation(LockRef(COMPLIANCE, rfc3339(max(now))), None, now)


# Defaults


@pytest.mark.parametrize(
    ("start", "years", "until"),
    [
        ("2026-11-22T12:00:00.5Z", 1, "2027-11-22T12:00:00.5Z"),
        ("2028-02-29T23:59:59Z", 1, "2029-03-01T23:59:59Z"),
        ("2028-02-29T23:59:59Z", 4, "2032-02-29T23:59:59Z"),
        ("2000-02-29T00:00:00Z", 100, "2100-03-01T00:00:00Z"),
        ("2028-02-28T23:59:59.9999Z", 1, "2029-03-01T00:00:00Z"),
        ("2026-11-22T12:00:00.000000001Z", 1, "2027-11-22T12:00:00.001Z"),
    ],
)
def test_years_are_calendar_years(start: str, years: int, until: str) -> None:
    now = parse_rfc3339(start)
    found = default_until(DefaultRetention(COMPLIANCE, years=years), Now(now, now))
    # rounding up to S3's milliseconds comes first: the last instant of 28 February is 29 February in a leap year
    assert found == parse_rfc3339(until)


@given(st.integers(0, MAX_NS), st.integers(1, 36_500))
def test_a_default_of_days_is_never_shorter_and_ends_on_a_millisecond(start: int, days: int) -> None:
    until = default_until(DefaultRetention(COMPLIANCE, days=days), Now(start, 0))
    assert until == MAX_NS or (until % 1_000_000 == 0 and 0 <= until - start - days * DAY_NS < 1_000_000)


def test_a_default_past_the_last_year_ends_with_it() -> None:
    for default in (DefaultRetention(COMPLIANCE, years=100), DefaultRetention(COMPLIANCE, days=36_500)):
        assert default_until(default, Now(MAX_NS - NS, 0)) == MAX_NS


@pytest.mark.parametrize(
    ("default", "code"),
    [
        (DefaultRetention(COMPLIANCE, days=1), ""),
        (DefaultRetention(GOVERNANCE, days=36_500), ""),
        (DefaultRetention(GOVERNANCE, years=100), ""),
        (DefaultRetention(COMPLIANCE, days=36_501), "InvalidRetentionPeriod"),
        (DefaultRetention(COMPLIANCE, years=101), "InvalidRetentionPeriod"),
        (DefaultRetention(COMPLIANCE, days=-1), "InvalidRetentionPeriod"),
        (DefaultRetention(COMPLIANCE), "MalformedXML"),
        (DefaultRetention(COMPLIANCE, days=1, years=1), "MalformedXML"),
        (DefaultRetention("compliance", days=1), "MalformedXML"),
    ],
)
def test_bounds_of_a_default(default: DefaultRetention, code: str) -> None:
    if not code:
        check_default(default)
        return
    with pytest.raises(S3Error) as refusal:
        check_default(default)
    assert refusal.value.s3_code == code


# In records


@given(locks)
def test_a_lock_reads_back_from_a_record(lock: Lock) -> None:
    ref = lock.ref()
    assert from_ref(ref) == lock._replace(until=lock.until if lock.mode else 0, matters=())  # which are of the moment
    assert (ref is None) == (not lock.mode and not lock.hold and not lock.matters)
    if ref is not None:
        assert ref.matters == lock.matters[:32]
        assert len(ref.matters) + ref.more == len(lock.matters)
        assert ref.held == (lock.hold or lock.matters != ())


# Records


@pytest.mark.parametrize("days", [0, 1, MIN_RECORD_DAYS, 400])
@pytest.mark.parametrize("now", [BOTH, BEHIND, AHEAD])
def test_a_record_is_kept_for_its_days_and_never_for_fewer_than_184(now: Now, days: int) -> None:
    edge = min(now) - max(days, MIN_RECORD_DAYS) * DAY_NS
    decide_pruning(edge, days, [], now)
    with pytest.raises(S3Error) as refusal:
        decide_pruning(edge + 1, days, [], now)
    assert reason(refusal) == "record_age"


@given(found=st.lists(locks, max_size=4), now=nows)
def test_a_record_stays_while_anything_it_names_is_locked_or_held(found: list[Lock], now: Now) -> None:
    stays = any(lock.hold or lock.matters or (lock.mode and lock.until > min(now)) for lock in found)
    if stays or min(now) < MIN_RECORD_DAYS * DAY_NS:
        with pytest.raises(S3Error):
            decide_pruning(0, MIN_RECORD_DAYS, found, now)
    else:
        decide_pruning(0, MIN_RECORD_DAYS, found, now)
