"""Work spread over processes: in order, and never without an end."""

from __future__ import annotations

import os
import time
from multiprocessing import active_children

import pytest

from audit.verify import pool
from audit.verify.pool import in_order
from audit.verify.report import Unchecked


def assert_no_worker_is_left() -> None:
    # Killed, and perhaps not reaped yet; while the pool's own thread reaps one, joining it here tells nothing.
    end = time.monotonic() + 30
    while active_children() and time.monotonic() < end:
        time.sleep(0.01)
    assert not active_children()


def double(number: int) -> int:
    return number * 2


def die_at_three(number: int) -> int:
    if number == 3:
        os._exit(9)
    return number


def sleep_at_three(number: int) -> int:
    if number == 3:
        time.sleep(600)
    return number


def refuse(number: int) -> int:
    raise Unchecked(f"not {number}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    assert list(in_order(double, range(20), jobs)) == [number * 2 for number in range(20)]
    assert_no_worker_is_left()


def test_a_worker_that_dies_ends_the_verification() -> None:
    with pytest.raises(Unchecked, match="died"):
        list(in_order(die_at_three, range(10), 2))
    assert_no_worker_is_left()


def test_a_worker_that_stalls_ends_the_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "STALL_SECONDS", 1)
    with pytest.raises(Unchecked, match="did nothing"):
        list(in_order(sleep_at_three, range(10), 2))


def test_what_a_worker_could_not_check_is_said_here() -> None:
    with pytest.raises(Unchecked, match="not 0"):
        list(in_order(refuse, range(10), 2))


def test_workers_end_when_the_results_are_not_wanted_any_more() -> None:
    results = in_order(double, range(1000), 2)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert_no_worker_is_left()
