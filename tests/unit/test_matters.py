"""Which versions a query describes."""

from __future__ import annotations

import pytest

from vault.matters import OpenMatter, Stored, describes, holding

VERSION = Stored("trades", "rates/T-1", 1_000, 2_000, "p1")


@pytest.mark.parametrize(
    ("query", "described"),
    [
        (OpenMatter("m"), True),
        (OpenMatter("m", "trades"), True),
        (OpenMatter("m", "trade"), False),
        (OpenMatter("m", "", "rates/"), True),
        (OpenMatter("m", "trades", "rates/T-1"), True),
        (OpenMatter("m", "trades", "rates/T-11"), False),
        (OpenMatter("m", "trades", "ates"), False),
        (OpenMatter("m", actor="p1"), True),
        (OpenMatter("m", actor="p"), False),
        (OpenMatter("m", since=1_000), True),
        (OpenMatter("m", since=1_001), True),  # the other clock is within
        (OpenMatter("m", since=2_001), False),
        (OpenMatter("m", before=2_000), True),
        (OpenMatter("m", before=1_001), True),
        (OpenMatter("m", before=1_000), False),
        (OpenMatter("m", since=1_001, before=2_000), False),
        (OpenMatter("m", since=1_001, before=2_001), True),
        (OpenMatter("m", "trades", "rates/", 0, 5_000, "p2"), False),
    ],
)
def test_a_query_describes_what_all_that_it_names_is_true_of(query: OpenMatter, described: bool) -> None:  # noqa: FBT001 - a table's column
    assert describes(query, VERSION) == described


def test_all_that_hold_are_named_in_their_order() -> None:
    matters = [OpenMatter("c"), OpenMatter("a", "other"), OpenMatter("b", "trades")]
    assert holding(matters, VERSION) == ("c", "b")
    assert holding([], VERSION) == ()
