"""What came of one stream of a relay's topics: what is lost, what is only not there any more or not yet, what vouches.

What vouches for a stream from outside is what does for a log (``anchor``): a key that signed a checkpoint whose root
the records have, or a checkpoint that the caller brought with that root. A log given with ``--log`` is one, as far as
both go, for whoever can write topics need not be able to write that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from audit.verify import gaps
from audit.verify.cursors import shown
from audit.verify.relayed import lost
from audit.verify.report import Finding, LogReport, Report, State

if TYPE_CHECKING:
    from audit.verify.checkpoints import Checkpoints
    from audit.verify.cursors import Cursor
    from audit.verify.gaps import Pruning
    from audit.verify.outside_log import Log
    from audit.verify.relayed import Relayed
    from audit.verify.topic import Part


class Read(NamedTuple):
    """What was read of a stream: its checkpoints, cursor and records, the log given of it, where there are such."""

    notes: Checkpoints
    cursor: Cursor | None
    log: Log | None
    stream: Relayed | None


def judge(key: bytes, read: Read, parts: list[Part], report: Report) -> list[str]:
    """Say what came of a stream.

    Args:
        key: Its name, in UTF-8.
        read: What was read of it.
        parts: The partitions of records.
        report: Receives it.

    Returns:
        What could not be checked.
    """
    notes, cursor, log, stream = read
    if stream is None:
        notes.begin()
        _nothing_left(key, notes, cursor, parts, report)
    else:
        _states(stream, notes, log, report)
        report.logs.append(_vouched(stream, notes, log))
        if stream.repeats:
            report.counts["repeats"] += stream.repeats
    notes.finish()
    report.counts["checkpoints"] += notes.compared
    if notes.skipped:
        report.notes.append(f"stream {shown(key)}: {notes.skipped} checkpoints of fewer records were not compared")
    unchecked = []
    if cursor is None:
        unchecked.append(f"stream {shown(key)} has no cursor: whether its tail is there cannot be said")
    if stream is not None and stream.far >= 0:
        why = f"{stream.place(stream.far)} stands again, too far behind to be compared without --log"
        unchecked.append(why)
    return unchecked


def judge_gaps(stream: Relayed, said: list[Pruning], report: Report) -> None:
    """Say which of the records that are missing were pruned.

    Args:
        stream: The stream.
        said: What was pruned of it.
        report: Receives it.
    """
    findings, pruned = gaps.judge(stream.gaps, said)
    report.findings[:0] = findings  # of one seq, that it is missing comes before that it is there later
    if pruned:
        detail = f"{pruned} records were pruned before they were relayed, as ledger.pruned records say"
        if not stream.rooted:
            detail += "; without --log their hashes are not known, and no checkpoint after them was compared"
        report.states.append(State("pruned", f"{stream.part.place} {shown(stream.key)}", detail))


def _nothing_left(key: bytes, notes: Checkpoints, cursor: Cursor | None, parts: list[Part], report: Report) -> None:
    part = next((part for part in parts if cursor is not None and part.number == cursor.partition), None)
    if cursor is not None and part is None:
        report.findings.append(Finding(None, cursor.place, f"there is no partition {cursor.partition}"))
    elif cursor is not None and part is not None and part.begin > 0 and cursor.next:
        detail = f"{cursor.next} records were written, and none is there any more: they were removed from the partition"
        report.states.append(State("all removed", f"{part.place} {shown(key)}", detail))
    else:
        report.findings += lost(0, cursor, notes, hidden=part is not None and part.hidden)


def _states(stream: Relayed, notes: Checkpoints, log: Log | None, report: Report) -> None:
    place = f"{stream.part.place} {shown(stream.key)}"
    first = stream.first
    if first:
        detail = f"{first} records before record {first} are no longer there"
        if not stream.part.begin:
            detail = f"{first} records before record {first} were never there: nothing was removed from the partition"
        if stream.rooted:
            detail += "; their hashes come from the log"
        elif log is not None:
            detail += f"; the log given has only {log.tiles.size}: the others' chain was checked, and no checkpoint"
        else:
            detail += "; without --log the others' chain was checked, and no checkpoint"
        report.states.append(State("head removed", place, detail))
    if stream.repeats:
        detail = f"{stream.repeats} records stand again with the same bytes; every consumer may drop them"
        report.states.append(State("repeats", place, detail))
    ahead = max([(size, name) for size, name in notes.brought if size > stream.next], default=None)
    if ahead is not None:
        detail = f"{ahead[0] - stream.next} records are not there yet: {ahead[1]} covers {ahead[0]}"
        report.states.append(State("behind", place, detail))


def _vouched(stream: Relayed, notes: Checkpoints, log: Log | None) -> LogReport:
    found = LogReport(notes.origin or shown(stream.key), stream.next)
    growth = stream.growth
    if growth is None:
        return found
    found.root = growth.root().hex()
    found.checkpoint = notes.matched
    vouched = notes.vouched
    if log is not None and log.tiles.size > stream.next and growth.agreed == stream.next:
        vouched = max(vouched, stream.next)
    if vouched > stream.first:
        found.anchored = vouched
    return found
