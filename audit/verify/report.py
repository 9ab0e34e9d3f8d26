"""What a verification found, its exit code, and its two written forms."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

GOOD: Final = 0
BAD: Final = 1
UNCHECKED: Final = 2

#: Findings written out; the rest are counted.
MAX_FINDINGS: Final = 100


class Finding(NamedTuple):
    """Something that is not as it was written: the record's seq where there is one, the place, and why."""

    seq: int | None
    place: str
    why: str


class State(NamedTuple):
    """Something a reader should know that is no fault: an unrecovered tail, a legal erasure."""

    name: str
    place: str
    detail: str


class Bad(Exception):
    """The target is bad: raised where a parser cannot go on, turned into a finding by its caller."""

    def __init__(self, place: str, why: str, seq: int | None = None) -> None:
        super().__init__(place, why, seq)
        self.finding = Finding(seq, place, why)


class Unchecked(Exception):
    """The target could not be checked; says why and what to do. Never means that it is good."""


@dataclass(slots=True)
class LogReport:
    """One log (stream).

    Attributes:
        origin: As its checkpoint says.
        size: Records read and checked; of a topic, which may have lost its first ones, up to this seq.
        root: RFC 6962 root over them, lowercase hex; empty where it cannot be known.
        checkpoint: Size of its checkpoint, -1 where it has none.
        anchored: Records vouched for from outside, -1 where nothing is.
    """

    origin: str
    size: int = 0
    root: str = ""
    checkpoint: int = -1
    anchored: int = -1


@dataclass(slots=True)
class Report:
    """Everything that one verification says.

    Attributes:
        target: What was verified, as the caller named it.
        logs: One for each log in it.
        findings: What is bad. Empty means good, if ``unchecked`` is empty too.
        states: Named states.
        notes: What was not checked, and why.
        counts: Records by operation, bodies, files.
        unchecked: Why the verification could not be done; overrides everything.
    """

    target: str
    logs: list[LogReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    unchecked: str = ""

    @property
    def anchored(self) -> bool:
        """Whether something from outside the target vouches for every log in it."""
        return bool(self.logs) and all(log.anchored >= 0 for log in self.logs)

    def ordered(self) -> list[Finding]:
        """Findings by seq, those without one last; of one seq in the order in which they were made."""
        return sorted(dict.fromkeys(self.findings), key=lambda finding: (finding.seq is None, finding.seq or 0))

    def exit_code(self, *, require_anchor: bool) -> int:
        """0 good, 1 bad, 2 could not check."""
        if self.findings:
            return BAD
        if self.unchecked or (require_anchor and not self.anchored):
            return UNCHECKED
        return GOOD


_RESULT: Final = {GOOD: "good", BAD: "bad", UNCHECKED: "unchecked"}


def as_json(report: Report, *, require_anchor: bool) -> str:
    """Write the report as one JSON object on one line, ASCII."""
    findings = report.ordered()
    current = report.logs[-1] if report.logs else LogReport("")
    return json.dumps(
        {
            "result": _RESULT[report.exit_code(require_anchor=require_anchor)],
            "anchored": report.anchored,
            "target": report.target,
            "size": current.size,
            "root": current.root,
            "first_bad": findings[0]._asdict() if findings else None,
            "findings": [finding._asdict() for finding in findings[:MAX_FINDINGS]],
            "findings_total": len(findings),
            "states": [state._asdict() for state in report.states],
            "notes": report.notes,
            "counts": dict(sorted(report.counts.items())),
            "logs": [
                {
                    "origin": log.origin,
                    "size": log.size,
                    "root": log.root,
                    "checkpoint_size": log.checkpoint,
                    "anchored_size": log.anchored,
                }
                for log in report.logs
            ],
            "unchecked": report.unchecked,
        }
    )


def as_text(report: Report, *, require_anchor: bool) -> str:
    """Write the report for people. ASCII without control characters: names inside it are foreign."""
    code = report.exit_code(require_anchor=require_anchor)
    findings = report.ordered()
    lines = [f"{_RESULT[code].upper()}: {report.target}"]
    for log in report.logs if not report.unchecked else ():
        lines += [
            f"log {log.origin}",
            f"  {log.size} records, {f'root {log.root}' if log.root else 'no root known'}",
            f"  {_vouched(log)}",
        ]
    if report.counts:
        lines.append("counted: " + ", ".join(f"{name} {count}" for name, count in sorted(report.counts.items())))
    lines += [f"state: {state.name}: {state.place}: {state.detail}" for state in report.states]
    lines += [f"note: {note}" for note in report.notes]
    if report.unchecked:
        lines.append(f"could not check: {report.unchecked}")
    elif not report.anchored:
        lines.append("SELF-CONSISTENT, NOT ANCHORED" if not findings else "NOT ANCHORED")
        lines.append("  no key (--vkey) or checkpoint (--checkpoint) from outside the target vouches for it")
    for finding in findings[:MAX_FINDINGS]:
        seq = "" if finding.seq is None else f"seq {finding.seq}: "
        lines.append(f"bad: {seq}{finding.place}: {finding.why}")
    if len(findings) > MAX_FINDINGS:
        lines.append(f"bad: {len(findings) - MAX_FINDINGS} more")
    return "\n".join(map(printable, lines))


def _vouched(log: LogReport) -> str:
    if log.checkpoint < 0:
        return "no checkpoint"
    past = log.size - log.checkpoint
    text = f"checkpoint at {log.checkpoint}" + (f", {past} newer records chained to it" if past > 0 else "")
    return text + (f", anchored up to {log.anchored}" if log.anchored >= 0 else "")


def printable(text: str) -> str:
    """Make foreign text safe for a terminal and for any encoding of it."""
    return "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in text
    )
