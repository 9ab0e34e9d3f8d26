from __future__ import annotations

import pytest

from audit.api.access import MAX_RATES, WINDOW_S, Fetches, Rates, TooManyRequests


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_principal_may_ask_a_minutes_worth_at_once_and_then_evenly() -> None:
    time = Time()
    rates = Rates(60, time)
    for _ in range(60):
        rates.take("ann")
    with pytest.raises(TooManyRequests, match="more than 60 requests a minute"):
        rates.take("ann")
    rates.take("bob")
    time.now += 1
    rates.take("ann")
    with pytest.raises(TooManyRequests):
        rates.take("ann")


def test_who_is_refused_does_not_wait_longer_for_it() -> None:
    time = Time()
    rates = Rates(60, time)
    for _ in range(60):
        rates.take("ann")
    for _ in range(10):
        time.now += 0.1
        if time.now < 101:
            with pytest.raises(TooManyRequests):
                rates.take("ann")
    time.now = 101.0
    rates.take("ann")


def test_only_so_many_are_remembered() -> None:
    rates = Rates(1, Time())
    for number in range(MAX_RATES + 10):
        rates.take(f"p{number}")
    assert len(rates._left) == MAX_RATES
    with pytest.raises(TooManyRequests):
        rates.take(f"p{MAX_RATES + 9}")


def test_entries_are_recorded_once_a_window_for_each_token_and_stream() -> None:
    time = Time()
    fetches = Fetches(time)
    assert fetches.begins("t1", "s")
    fetches.began("t1", "s")
    assert not fetches.begins("t1", "s")
    assert fetches.begins("t2", "s")
    assert fetches.begins("t1", "other")
    time.now += WINDOW_S
    assert fetches.begins("t1", "s")
