"""What the ledger tells of its own verifications: the last one, and what was found and is not known to be mended.

A finding stands until a verification that read everything found nothing: one of a share cannot tell.

Pure. Not handled here: verifying (``audit.scrub``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from vault.errors import S3Error
from vault.state import rows
from vault.state.decision import Decision
from vault.state.other_rows import VerifiedRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case

GOOD: Final = "good"
BAD: Final = "bad"
UNCHECKED: Final = "unchecked"


def told(case: Case) -> Decision:
    """A record of a verification; it says what came of it."""
    said = case.tail.verified
    if said is None or said.result not in {GOOD, BAD, UNCHECKED} or not 1 <= said.share <= said.shares:
        raise S3Error("InvalidRequest")
    return Decision()


def found(state: State) -> VerifiedRow:
    """What the ledger told last; all zero where it told nothing yet."""
    row = state.get(rows.VERIFIED_KEY)
    return row if isinstance(row, VerifiedRow) else VerifiedRow()


def after(head: Head, tail: Tail, state: State) -> list[tuple[bytes, rows.Row | None]]:
    """What the row is after a ``ledger.verified`` record."""
    said, before, now = tail.verified, found(state), parse_rfc3339(head.time)
    if said is None:
        return []
    row = replace(before, tried=now, result=said.result)
    if said.result != UNCHECKED:
        row = replace(
            row,
            done=now,
            share=said.share,
            shares=said.shares,
            records=said.records,
            bodies=said.bodies,
            bytes=said.bytes,
            seconds=said.seconds,
            anchored=said.anchored,
            anchor=said.anchor,
        )
    if said.findings:
        row = replace(row, bad_since=before.bad_since or now, findings=said.findings, seq=said.seq, place=said.place)
    elif said.result == GOOD and said.shares == 1:
        row = replace(row, bad_since=0, findings=0, seq=-1, place="")
    return [(rows.VERIFIED_KEY, row)]
