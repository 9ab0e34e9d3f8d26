"""The figures to reach, and how far what was measured is from them.

A goal set for a certain amount (a million records, 5 GiB) is not judged on less: ``--quick`` shows figures only.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.bench import relaying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.measure import Results

#: Metric that says how much one run handled, where a goal asks for an amount.
AMOUNT: Final = "amount"
#: Metric of what a process needs at most, see :func:`tests.bench.measure.most_anonymous`.
MEMORY: Final = "most anonymous memory, MiB"


class Goal(NamedTuple):
    """One figure to reach.

    Attributes:
        row: What a reader calls it.
        what: Under which name :class:`~tests.bench.measure.Results` has it.
        metric: Which of its metrics counts.
        limit: The figure.
        unit: Its unit.
        most: It must not be exceeded; else it must be reached.
        amount: How much must have been handled, in the terms of :data:`AMOUNT`.
    """

    row: str
    what: str
    metric: str
    limit: float
    unit: str
    most: bool = False
    amount: float = 0


class Verdict(NamedTuple):
    """A goal and what was measured; ``figure`` is None where nothing was."""

    row: str
    goal: str
    figure: float | None
    unit: str
    verdict: str


def _put(conns: int) -> str:
    return f"strongroom: PUT 1 KiB under COMPLIANCE, {conns} at a time"


_LARGE: Final = "strongroom: {} 64 MiB, one at a time"
_GROWTH: Final = "most memory beyond before, MiB"
_APPEND: Final = "ledger: append records of 400 bytes"
_INGEST: Final = "ingest: 500 events of 400 bytes a request, 4 connections"
_BATCH: Final = "batch put: tars of 1,000 objects of 1 KiB, 2 connections"
_VERIFY: Final = "verify: records of 400 bytes"
_MIXED: Final = "verify: a mixed load"

_VIEW: Final = "view of records, built anew"
_FRESH: Final = "ask: what was just recorded, while others come"
_HEAD: Final = "index: HEAD among all versions"
_LAG: Final = relaying.LAG.format(relaying.LAG_RATE)
_PRODUCED: Final = "production of versions of 1 KiB"

GOALS: Final = (
    Goal("PUT 1 KiB, 8 connections", _put(8), "server CPU µs an operation", 300, "CPU µs", most=True),
    Goal("PUT 1 KiB, 32 connections", _put(32), "server CPU µs an operation", 300, "CPU µs", most=True),
    Goal("PUT 1 KiB, 1 connection, p50 beyond one fdatasync", _put(1), "p50 beyond it, ms", 1, "ms", most=True),
    Goal("PUT 64 MiB, growth of memory", _LARGE.format("PUT"), _GROWTH, 64, "MiB", most=True, amount=5),
    Goal("GET 64 MiB, growth of memory", _LARGE.format("GET"), _GROWTH, 64, "MiB", most=True, amount=5),
    Goal("ledger append, processor time", _APPEND, "CPU µs a record", 7, "CPU µs", most=True),
    Goal("ledger append, records a second a core", _APPEND, "records a second a core", 140_000, "/s"),
    Goal("ingest over HTTP, records a second", _INGEST, "records a second", 100_000, "/s"),
    Goal("ingest over HTTP, processor time", _INGEST, "server CPU µs a record", 12, "CPU µs", most=True),
    Goal("batch put, objects a second", _BATCH, "objects a second", 30_000, "/s"),
    Goal("relay, committed in Kafka a second", relaying.WHAT, "committed in Kafka a second", 100_000, "/s"),
    Goal("relay, with server and broker", relaying.WHAT, "CPU µs a record, all three", 18, "CPU µs", most=True),
    Goal("relay, lag at 10,000 a second, p99", _LAG, "99 of 100, ms", 250, "ms", most=True),
    Goal("relay, lag at full rate, p99", relaying.FULL_LAG, "99 of 100, ms", 1000, "ms", most=True),
    Goal("relay, PUT 1 KiB beside it, to none", relaying.PUTS, "with a relay, to without", 0.85, "times"),
    Goal("relay, after an outage, to what comes", relaying.OUTAGE, "to those that came", 3, "times"),
    Goal("verify --kafka, records a second", relaying.READ, "records a second", 60_000, "/s"),
    Goal("verify, hash pass, a core", _VERIFY, "hash pass, records a second a core", 150_000, "/s", amount=1e6),
    Goal("verify, full pass, a core", _VERIFY, "full pass, records a second a core", 80_000, "/s", amount=1e6),
    Goal("the same, mixed load and bodies", _MIXED, "full pass, records a second a core", 80_000, "/s", amount=1e6),
    Goal("start after kill -9, all past the index sync", "start after kill -9", "s", 15, "s", most=True, amount=1e6),
    Goal("settled records of the demo", "settled records of the demo", "ratio", 8, ":1"),
    Goal("view of records, built, a core", _VIEW, "records a second a core", 60_000, "/s"),
    Goal("the same, size", _VIEW, "bytes a record", 45, "B", most=True, amount=1e6),
    Goal("ask for one day, one actor", "ask: one day, one actor", "ms", 150, "ms", most=True, amount=1e7),
    Goal(
        "ask for one actor, half of all",
        "ask: a page of one actor from a time on",
        "ms",
        150,
        "ms",
        most=True,
        amount=1e7,
    ),
    Goal("ask for a key's history", "ask: a key's history", "ms", 50, "ms", most=True, amount=1e7),
    Goal("found once acknowledged, at 2,000 a second, p99", _FRESH, "p99, ms", 2000, "ms", most=True),
    Goal("count all", "ask: count of all", "ms", 1000, "ms", most=True, amount=1e7),
    Goal(
        "HEAD decided, to a tenth of the versions",
        _HEAD,
        "p50 to that among a tenth",
        2,
        "times",
        most=True,
        amount=1e7,
    ),
    Goal("the same, memory", _HEAD, MEMORY, 400, "MiB", most=True, amount=1e7),
    Goal("production of 10,000 versions", _PRODUCED, "s", 30, "s", most=True, amount=1e4),
    Goal("the same, verified by the .pyz", _PRODUCED, "s to verify, by the .pyz", 30, "s", most=True, amount=1e4),
)

_RATES: Final = "operations a second"
_BYTES: Final = "10⁶ bytes a second"
PEER_GOALS: Final = (
    Goal("PUT 1 KiB, 8 connections, to MinIO", _put(8), _RATES, 4, "times"),
    Goal("PUT 1 KiB, 32 connections, to MinIO", _put(32), _RATES, 4, "times"),
    Goal("GET 1 KiB, 32 connections, to MinIO", "strongroom: GET 1 KiB, 32 at a time", _RATES, 1, "times"),
    Goal("PUT 64 MiB, bytes a second, to MinIO", _LARGE.format("PUT"), _BYTES, 1, "times"),
    Goal("GET 64 MiB, bytes a second, to MinIO", _LARGE.format("GET"), _BYTES, 1, "times"),
)


def judge(results: Results, goals: Sequence[Goal], *, peer: str = "") -> list[Verdict]:
    """Compare medians with goals.

    Args:
        results: What was measured.
        goals: What was to be reached.
        peer: Where given, a figure is the ratio to the same load on this server.

    Returns:
        One verdict for each goal, in order.
    """
    return [_judge(results, goal, peer) for goal in goals]


def _judge(results: Results, goal: Goal, peer: str) -> Verdict:
    wanted = f"{'≤' if goal.most else '≥'} {goal.limit:,.10g}"
    if goal.metric not in results.values.get(goal.what, {}):
        return Verdict(goal.row, wanted, None, goal.unit, "not measured")
    figure = results.median(goal.what, goal.metric)
    if peer:
        figure /= results.median(f"{peer}: {goal.what.partition(': ')[2]}", goal.metric)
    if goal.amount and results.median(goal.what, AMOUNT) < goal.amount:
        return Verdict(goal.row, wanted, figure, goal.unit, f"not judged: measured on less than {goal.amount:,.10g}")
    if (operator.le if goal.most else operator.ge)(figure, goal.limit):
        return Verdict(goal.row, wanted, figure, goal.unit, "met")
    by = abs(figure - goal.limit)
    return Verdict(goal.row, wanted, figure, goal.unit, f"missed by {by:,.3g} ({100 * by / goal.limit:.0f} %)")


def show(verdicts: Sequence[Verdict]) -> None:
    """Print the table."""
    print(f"\n{'what':<52} {'goal':>10} {'figure':>12} {'':<7} verdict")
    for verdict in verdicts:
        figure = "-" if verdict.figure is None else f"{verdict.figure:,.3g}"
        if verdict.figure is not None and abs(verdict.figure) >= 100:
            figure = f"{verdict.figure:,.0f}"
        print(f"{verdict.row:<52} {verdict.goal:>10} {figure:>12} {verdict.unit:<7} {verdict.verdict}", flush=True)


def as_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """The table for the file."""
    return [verdict._asdict() for verdict in verdicts]
