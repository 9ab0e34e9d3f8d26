from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.clock import BUDGET_NS, TOLERANCE_NS, WINDOW_DAYS, ComplianceClock, HostSource
from audit.discipline import Discipline, _Timex, host_discipline
from vault.record import ClockState, DefaultRetention
from vault.retention import COMPLIANCE, Lock, active, default_until
from vault.times import DAY_NS, NS, parse_rfc3339

START = parse_rfc3339("2026-11-22T12:00:00Z")
MINUTE = 60 * NS
YEAR = 365 * DAY_NS


@dataclass
class Host:
    """A machine whose clocks go only when told, and the ledger that outlives its processes.

    Attributes:
        state: The newest durable account.
        last: Clock of the newest durable record.
        measured: What CLOCK_MONOTONIC measured in all processes.
        advances: What the clock was set forward, with ``measured`` at that time.
    """

    now: int = START
    ticks: int = 7 * NS
    state: ClockState | None = None
    last: int = 0
    measured: int = 0
    advances: list[tuple[int, int]] = field(default_factory=list)
    clock: ComplianceClock = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> int:
        return self.ticks

    def discipline(self) -> Discipline:
        return Discipline("kernel", -1_200, 40_000, synchronised=True)

    def run(self, span: int) -> None:
        """Time passes, and the process measures it."""
        self.now += span
        self.ticks += span
        self.measured += span

    def suspend(self, span: int) -> None:
        """Time passes, and CLOCK_MONOTONIC stands still."""
        self.now += span

    def record(self) -> int:
        """A durable record."""
        self.last = self.clock.now().clock
        return self.last

    def account(self) -> None:
        """A durable clock record, as the committer writes it."""
        state = self.clock.status()
        self.record()
        self.state = state
        before = self.clock.now().clock
        self.clock.take(state)
        self.advances.append((self.measured, self.clock.now().clock - before))

    def start(self) -> None:
        """A new process after a crash; then its first clock record."""
        self.ticks = 11 * NS
        self.clock = ComplianceClock(self, self.state, self.last)
        self.account()

    def restart(self, jump: int = 0) -> None:
        """The process ends and the wall moves before the next one begins."""
        self.record()
        self.now += jump
        self.start()

    @property
    def advanced(self) -> int:
        return sum(taken for _, taken in self.advances)


def test_a_new_stream_begins_at_the_wall_clock() -> None:
    host = Host()
    assert host.clock.now() == (START, START)
    assert host.state is not None
    assert (host.state.credited, host.state.lag, host.state.grants) == (0, 0, ())


def test_time_that_is_measured_is_credited() -> None:
    host = Host()
    host.run(3 * DAY_NS + 5)
    assert host.clock.now() == (START + 3 * DAY_NS + 5,) * 2
    host.account()
    assert host.state is not None
    assert (host.state.credited, host.state.lag, host.state.grants) == (3 * DAY_NS + 5, 0, ())


def test_four_hundred_restarts_together_get_one_budget() -> None:
    host = Host()
    for _ in range(400):
        host.restart(BUDGET_NS - NS)
    assert host.advanced == BUDGET_NS
    host.account()
    assert host.state is not None
    assert host.state.lag == 400 * (BUDGET_NS - NS) - BUDGET_NS


@pytest.mark.parametrize("credited", [MINUTE, 3_600 * NS, DAY_NS, 7 * DAY_NS])
def test_restarts_gain_one_budget_for_each_thirty_credited_days(credited: int) -> None:
    host = Host()
    for _ in range(400):
        host.run(credited)
        host.restart(BUDGET_NS - NS)
    windows = 400 * credited // (WINDOW_DAYS * DAY_NS) + 1
    assert BUDGET_NS <= host.advanced <= windows * BUDGET_NS


@pytest.mark.parametrize(("credited", "again"), [(30 * DAY_NS, 0), (31 * DAY_NS - 1, 0), (31 * DAY_NS, BUDGET_NS)])
def test_a_grant_late_on_a_day_counts_until_thirty_whole_days_lie_between(credited: int, again: int) -> None:
    host = Host()
    host.run(DAY_NS - NS)
    host.account()
    host.restart(BUDGET_NS)
    host.run(credited - (DAY_NS - NS))
    host.account()
    before = host.advanced
    host.restart(BUDGET_NS)
    assert host.advanced - before == again


def test_nothing_expires_after_the_wall_jumped_ten_years() -> None:
    host = Host()
    lock = Lock(COMPLIANCE, START + YEAR)
    host.restart(10 * YEAR)
    host.account()
    assert active(lock, host.clock.now())
    assert host.clock.now().clock == START + BUDGET_NS
    host.run(YEAR - BUDGET_NS - 13 * BUDGET_NS)  # its year, less what 13 windows may have given
    host.account()
    assert active(lock, host.clock.now())


def test_a_jump_of_the_wall_while_it_runs_is_no_measured_time() -> None:
    host = Host()
    host.now += 10 * YEAR
    assert host.clock.now().clock == START
    host.account()
    assert host.clock.now().clock == START + BUDGET_NS


def test_the_wall_set_back_takes_nothing_from_the_clock_and_ends_no_lock() -> None:
    host = Host()
    host.run(DAY_NS)
    host.restart(-YEAR)
    assert host.clock.now() == (START + DAY_NS - YEAR, START + DAY_NS)
    assert active(Lock(COMPLIANCE, START + DAY_NS), host.clock.now())
    host.run(NS)
    host.account()
    assert host.clock.now().clock == START + DAY_NS + NS
    assert host.advanced == 0
    assert host.state is not None
    assert host.state.lag == -YEAR


def test_what_the_machine_slept_is_taken_from_the_budget() -> None:
    host = Host()
    host.suspend(10 * MINUTE)
    host.account()
    assert host.clock.now().clock == START + 10 * MINUTE
    host.suspend(8 * 3_600 * NS)
    host.account()
    assert host.clock.now().clock == START + BUDGET_NS


def test_a_default_of_one_day_taken_while_the_clock_lags_lasts_a_full_day_and_more() -> None:
    host = Host()
    host.restart(10 * DAY_NS)
    lock = Lock(COMPLIANCE, default_until(DefaultRetention(COMPLIANCE, days=1), host.clock.now()))
    host.run(DAY_NS - 1)
    assert active(lock, host.clock.now())
    host.run(9 * DAY_NS)  # the clock comes to where the wall was
    assert active(lock, host.clock.now())


def test_a_default_of_one_day_taken_while_the_wall_is_set_back_lasts_a_full_day_and_more() -> None:
    host = Host()
    host.restart(-10 * DAY_NS)
    lock = Lock(COMPLIANCE, default_until(DefaultRetention(COMPLIANCE, days=1), host.clock.now()))
    host.now += 10 * DAY_NS  # somebody sets the wall right
    host.run(DAY_NS - 1)
    assert active(lock, host.clock.now())
    host.run(1)
    assert not active(lock, host.clock.now())


def test_small_differences_of_the_two_clocks_are_not_charged() -> None:
    host = Host()
    host.now += TOLERANCE_NS
    host.account()
    assert host.clock.now().clock == START
    host.now += 1
    host.account()
    assert host.clock.now().clock == START + TOLERANCE_NS + 1


def test_an_advance_is_taken_only_once_its_record_is_durable() -> None:
    host = Host()
    host.suspend(MINUTE)
    state = host.clock.status()
    assert host.clock.now().clock == START
    assert state.grants == ((0, MINUTE),)
    host.clock.take(state)
    assert host.clock.now().clock == START + MINUTE
    host.clock.take(state)
    assert host.clock.now().clock == START + MINUTE


def test_an_account_that_another_one_followed_is_not_taken() -> None:
    host = Host()
    host.suspend(MINUTE)
    first = host.clock.status()
    host.suspend(MINUTE)
    second = host.clock.status()
    host.clock.take(first)
    assert host.clock.now().clock == START
    host.clock.take(second)
    assert host.clock.now().clock == START + 2 * MINUTE


def test_a_crash_before_the_record_is_durable_leaves_the_budget_whole() -> None:
    host = Host()
    host.suspend(BUDGET_NS)
    host.clock.status()
    host.start()
    assert host.clock.now().clock == START + BUDGET_NS


def test_a_crash_after_it_leaves_the_advance_charged_and_not_taken() -> None:
    host = Host()
    host.suspend(BUDGET_NS)
    host.state = host.clock.status()
    host.start()
    assert host.clock.now().clock == START
    host.run(31 * DAY_NS)
    host.account()
    assert host.clock.now().clock == START + 31 * DAY_NS + BUDGET_NS


def test_a_stream_without_an_account_goes_on_from_its_last_record_or_the_wall() -> None:
    host = Host()
    assert ComplianceClock(host, None, START + DAY_NS).now().clock == START + DAY_NS
    assert ComplianceClock(host, None, START - DAY_NS).now().clock == START


def test_the_account_stays_short() -> None:
    host = Host()
    for _ in range(100):
        host.run(DAY_NS)
        host.restart(BUDGET_NS // WINDOW_DAYS)
    assert host.state is not None
    assert len(host.state.grants) <= WINDOW_DAYS + 1


def test_the_hosts_monotonic_clock_never_goes_back() -> None:
    source = HostSource()
    readings = [source.monotonic() for _ in range(100)]
    assert readings == sorted(readings)
    assert source.wall() > START - 10 * YEAR


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["run", "run", "suspend", "ahead", "back", "account", "account", "record", "crash", "unaccounted"]
        ),
        st.sampled_from([1, NS, MINUTE, 10 * MINUTE, 14 * MINUTE, DAY_NS, 9 * DAY_NS, 29 * DAY_NS, 31 * DAY_NS]),
    ),
    max_size=60,
)


@given(steps)
def test_no_window_of_thirty_credited_days_gets_more_than_one_budget_and_nothing_goes_back(
    steps: list[tuple[str, int]],
) -> None:
    host = Host()
    recorded = [host.last]
    for what, span in steps:
        before = host.clock.now().clock
        if what == "run":
            host.run(span)
            assert host.clock.now().clock == before + span
        elif what == "suspend":
            host.suspend(span)
        elif what in {"ahead", "back"}:
            host.now += span if what == "ahead" else -span
        elif what == "account":
            host.account()
        elif what == "record":
            host.record()
        elif what == "unaccounted":
            host.clock.status()  # and its record never became durable
        else:
            host.start()
        assert what == "crash" or host.clock.now().clock >= before
        recorded.append(host.last)
    assert recorded == sorted(recorded)
    for start, _ in host.advances:
        window = [taken for at, taken in host.advances if start <= at <= start + WINDOW_DAYS * DAY_NS]
        assert sum(window) <= BUDGET_NS


def test_a_status_says_how_the_host_keeps_its_clock() -> None:
    state = Host().clock.status()
    assert (state.source, state.offset, state.max_error, state.synchronised) == ("kernel", -1_200, 40_000, True)


def test_the_kernel_is_asked_as_the_c_library_lays_it_out() -> None:
    """``struct timex`` has 208 bytes where ``long`` has 8; a clock that no daemon keeps has the largest error."""
    assert ctypes.sizeof(_Timex) == 208
    kept = host_discipline()
    if kept.source == "kernel":
        assert kept.max_error >= 0
        assert abs(kept.offset) <= NS
