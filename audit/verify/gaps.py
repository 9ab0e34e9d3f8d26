"""Records that are missing from a topic: those that were pruned before the relay came to them, and those that are lost.

A gap is excused where ``ledger.pruned`` records of the same vault name exactly those seqs: of a segment each has a
digest of which records are gone as of that record (ARCHITECTURE, Settled ledger segment). Both must hold:

1. What is missing in the segment is what the digest says; a segment of which a part was relayed before it was pruned,
   and a part of what is gone with it, excuses nothing.
2. The next record that is there was at least 184 days old then (``pruned``).

Not handled here: what follows from the missing hashes (``relayed``), and that what was pruned had changed nothing,
which is taken on trust as in a data directory.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.pruned import MIN_DAYS, date
from audit.verify.report import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.verify.event import Event

#: Records of a segment, more than any has.
_MAX_SEGMENT: Final = 1 << 22
#: ``ledger.pruned`` records that are kept; what later ones say counts for nothing.
MAX_PRUNINGS: Final = 10_000


class Gap(NamedTuple):
    """Records ``first`` to ``end`` are missing; ``clock`` is that of the next one, seen at ``place``."""

    first: int
    end: int
    clock: bytes
    place: str


class Pruning(NamedTuple):
    """What a ``ledger.pruned`` record says of a segment of a stream, with the earlier of its clocks."""

    stream: bytes
    first: int
    end: int
    number: int
    digest: bytes
    at: bytes


def pruning_in(event: Event) -> Pruning:
    """What an operation ``ledger.pruned`` says."""
    stream = str(json.loads(event.pruned_stream)).encode("utf-8", "surrogatepass")
    numbers = int(event.pruned_first), int(event.pruned_end), int(event.pruned_count)
    return Pruning(stream, *numbers, event.pruned_digest, event.at)


def judge(gaps: list[Gap], said: Iterable[Pruning]) -> tuple[list[Finding], int]:
    """Hold gaps of a stream against what its vault says was pruned of it.

    Args:
        gaps: By seq.
        said: What ``ledger.pruned`` records say of that stream.

    Returns:
        What is bad, and how many records were pruned.
    """
    starts = [gap.first for gap in gaps]
    proven: list[tuple[int, int]] = []
    for pruning in said:
        if not 0 < pruning.end - pruning.first <= _MAX_SEGMENT:
            continue
        at = max(0, bisect_right(starts, pruning.first) - 1)
        within = []
        while at < len(gaps) and gaps[at].first < pruning.end:
            if gaps[at].end > pruning.first:
                within.append(gaps[at])
            at += 1
        parts = [(max(gap.first, pruning.first), min(gap.end, pruning.end)) for gap in within]
        if sum(end - first for first, end in parts) == pruning.number > 0 and _is(pruning, parts, within):
            proven += parts
    proven = sorted(set(proven))
    findings, pruned = [], 0
    for gap in gaps:
        seq = gap.first
        for first, end in proven[bisect_right(proven, (gap.first, 0)) :]:
            if first > seq or seq >= gap.end:
                break
            seq = max(seq, end)
        pruned += seq - gap.first
        if seq < gap.end:
            missing = f"record {seq} is" if gap.end == seq + 1 else f"records {seq} to {gap.end - 1} are"
            findings.append(Finding(seq, gap.place, f"{missing} missing before record {gap.end}"))
    return findings, pruned


def _is(pruning: Pruning, parts: list[tuple[int, int]], within: list[Gap]) -> bool:
    bits = bytearray(-(-(pruning.end - pruning.first) // 8))
    for first, end in parts:
        one, other = first - pruning.first, end - pruning.first
        full, after = -(-one // 8), other // 8
        if full < after:
            bits[full:after] = b"\xff" * (after - full)
        for at in (*range(one, min(other, full * 8)), *range(max(one, after * 8, full * 8), other)):
            bits[at // 8] |= 1 << at % 8
    if sha256(bits).hexdigest().encode() != pruning.digest:
        return False
    newest = max(gap.clock for gap in within)
    return newest != b"" and date(newest) + timedelta(days=MIN_DAYS) <= date(pruning.at)
