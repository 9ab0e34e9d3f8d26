"""Which ranges of which streams are all of a period, and which leave something out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit.verify.natives import Question
from audit.verify.period import why_not_all
from audit.verify.sparse import Part

#: Records of each stream that took over the one before: seqs and, as minutes, their times.
STREAMS = {"one": [10, 11, 12, 13], "two": [20, 21], "three": [30, 31, 32, 33, 34]}
ASKED = "three", 4


def at(minute: int) -> str:
    return f"2026-11-28T00:{minute:02}:00.000000000Z" if minute else ""


def record(stream: str, seq: int) -> bytes:
    said: dict[str, Any] = {"op": "ledger.open" if seq == 0 else "object.put", "time": at(STREAMS[stream][seq])}
    before = list(STREAMS)[list(STREAMS).index(stream) - 1]
    if seq == 0 and stream != "one":
        said["ledger"] = {"takes_over": {"stream": before, "held": len(STREAMS[before])}}
    return json.dumps(said, separators=(",", ":")).encode()


def judged(
    ranges: dict[str, tuple[int, int]], since: int = 0, until: int = 0, without: tuple[tuple[str, int], ...] = ()
) -> str:
    said = [{"stream": name, "first": first, "end": end} for name, (first, end) in ranges.items()]
    parts = {
        name: Part({seq: record(name, seq) for seq in range(len(STREAMS[name])) if (name, seq) not in without}, b"")
        for name in ranges
    }
    return why_not_all(said, parts, Question("b", "", at(since), at(until), only_matching=False), ASKED)


WHOLE = {"one": (0, 4), "two": (0, 2), "three": (0, 4)}


def test_all_of_all_streams_is_all() -> None:
    assert judged(WHOLE) == ""


@pytest.mark.parametrize(
    ("ranges", "since", "until"),
    [
        ({"three": (2, 4)}, 32, 0),
        ({"three": (2, 3)}, 32, 33),
        ({"two": (1, 2), "three": (0, 1)}, 21, 31),
        ({"two": (2, 2), "three": (0, 4)}, 25, 0),
        ({"one": (0, 2), "two": (0, 0), "three": (0, 0)}, 0, 12),
        ({"one": (0, 4), "two": (0, 0), "three": (0, 0)}, 0, 15),
        ({"one": (4, 4), "two": (0, 0), "three": (0, 0)}, 15, 16),
        ({"one": (0, 0), "two": (0, 0), "three": (0, 0)}, 0, 5),
        ({"three": (4, 4)}, 50, 0),
    ],
)
def test_a_period_is_all_where_its_edges_are_seen(ranges: dict[str, tuple[int, int]], since: int, until: int) -> None:
    assert judged(ranges, since, until) == ""


@pytest.mark.parametrize(
    ("ranges", "since", "until", "why"),
    [
        ({"three": (0, 4)}, 0, 0, "where it begins"),  # the streams before are left out
        ({"two": (0, 2), "three": (0, 4)}, 0, 0, "where it begins"),
        ({"one": (0, 4), "three": (0, 4)}, 0, 0, "is a stream of the same history"),  # the one between is
        (WHOLE | {"one": (1, 4)}, 0, 0, "where it begins"),
        (WHOLE | {"one": (0, 3)}, 0, 0, "not a range of one history"),
        (WHOLE | {"two": (1, 2)}, 0, 0, "not a range of one history"),
        (WHOLE | {"three": (0, 3)}, 0, 0, "where it ends"),
        (WHOLE | {"three": (0, 5)}, 0, 0, "not a range of one history"),
        ({"three": (3, 4)}, 32, 0, "where it begins"),
        ({"three": (2, 3)}, 32, 34, "where it ends"),
        ({"one": (0, 4), "two": (0, 0), "three": (0, 0)}, 0, 21, "where it ends"),
    ],
)
def test_what_leaves_something_out_is_not(ranges: dict[str, tuple[int, int]], since: int, until: int, why: str) -> None:
    assert why in judged(ranges, since, until)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (("three", 1), "where it begins"),
        (("three", 3), "where it ends"),
        (("three", 0), "is a stream of the same history"),
    ],
)
def test_an_edge_that_is_not_here_is_not_seen(without: tuple[str, int], why: str) -> None:
    ranges = {"two": (2, 2), "three": (2, 3)} if without == ("three", 0) else {"three": (2, 3)}
    assert why in judged(ranges, 32, 33, (without,))
