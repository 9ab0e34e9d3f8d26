"""The records of a period that a production carries: that none between its edges is missing, and that edges are shown.

The streams of a vault are one history: the first record of each but the first says which stream it takes over, and how
many records that one holds. What a production says of each stream is therefore one range of one history. It begins with
the vault, or after a record of a time before the period; it ends before a record of a time after the period, or with
the record that asked for the production.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.verify.natives import Question
    from audit.verify.sparse import Part

_OPENS: Final = b'"op":"ledger.open"'


class _Stretch(NamedTuple):
    """One stream of the history: ``base`` records before it, ``length`` of its own."""

    name: str
    base: int
    length: int


def why_not_all(
    said: Sequence[dict[str, Any]], parts: dict[str, Part], question: Question, asked: tuple[str, int]
) -> str:
    """Why the records of the period may not be all of them, or an empty string.

    Args:
        said: What ``production.json`` says of each stream.
        parts: Their records.
        question: What was asked for.
        asked: Stream and seq of the record that asked for the production.
    """
    ranges = {each["stream"]: (each["first"], each["end"]) for each in said}
    history, begins = _history(parts, asked)
    left = ranges.keys() - {stretch.name for stretch in history}
    if left:
        return f"no record here says that {min(left)} is a stream of the same history"
    first, end = (sum(ranges[stretch.name][at] for stretch in history) for at in (0, 1))
    for name, base, length in history:
        inside = min(max(first - base, 0), length), min(max(end - base, 0), length)
        if inside != ranges[name]:
            return f"of {name} records {ranges[name][0]} to {ranges[name][1]} are not a range of one history"
    before, after = _time(history, parts, first - 1), _time(history, parts, end)
    if not (first == 0 and begins) and not "" < before < question.since:
        return (
            "the record before the first is not here, or not of a time before the period: where it begins is not shown"
        )
    if end != history[-1].base + asked[1] and not (question.until and after >= question.until):
        return "the record after the last is not here, or not of a time after the period: where it ends is not shown"
    return ""


def _history(parts: dict[str, Part], asked: tuple[str, int]) -> tuple[list[_Stretch], bool]:
    """Streams from the first that is here to the one that asked, and whether that first one begins the vault."""
    names, lengths, begins = [asked[0]], [asked[1]], False
    while not begins:
        opening = parts[names[-1]].records.get(0, b"")
        taken = json.loads(opening).get("ledger", {}).get("takes_over") if _OPENS in opening else None
        begins = bool(opening) and taken is None
        if taken is None or taken["stream"] not in parts or taken["stream"] in names:
            break
        names.append(taken["stream"])
        lengths.append(taken["held"])
    found, base = [], 0
    for name, length in zip(reversed(names), reversed(lengths), strict=True):
        found.append(_Stretch(name, base, length))
        base += length
    return found, begins


def _time(history: Sequence[_Stretch], parts: dict[str, Part], position: int) -> str:
    """Time of a record that is here, by its place in the history; else an empty string."""
    for name, base, _ in reversed(history):
        if position >= base:
            record = parts[name].records.get(position - base)
            return str(json.loads(record)["time"]) if record is not None else ""
    return ""
