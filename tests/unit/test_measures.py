from __future__ import annotations

from itertools import pairwise
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from vault.measures import ANSWER_SECONDS, Counts, Histogram, Tallies

BOUNDS = (0.5, 1, 8)


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.75, 1.0, 1.5, 8.0, 8.5, 1e9])))
def test_a_value_counts_in_the_first_range_whose_bound_it_does_not_pass(values: list[float]) -> None:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.add(value)
    ranges = pairwise((-inf, *BOUNDS, inf))
    assert histogram.counts == [sum(low < value <= high for value in values) for low, high in ranges]
    assert histogram.sum == sum(values)


def test_bounds_ascend() -> None:
    assert list(ANSWER_SECONDS) == sorted(set(ANSWER_SECONDS))


def test_requests_are_counted_by_operation() -> None:
    tallies = Tallies()
    tallies["object.put"].answered(200, 0.003, 10)
    tallies["object.put"].answered(403, 0.1, 5)
    tallies["object.get"].answered(304, 0.001, 0)
    assert tallies["object.put"].answers == [0, 0, 1, 0, 1, 0]
    assert tallies["object.put"].received == 15
    assert sum(tallies["object.put"].seconds.counts) == 2
    assert sorted(tallies) == ["object.get", "object.put"]


def test_what_never_happened_is_zero_and_not_remembered() -> None:
    counts = Counts()
    assert counts["x"] == 0
    assert not counts
    counts["x"] += 1
    assert counts.copy() == {"x": 1}
