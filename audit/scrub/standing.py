"""How a vault's own verification stands, for status, readiness and people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit.scrub.plan import HOUR_S
from vault.state.verified import UNCHECKED
from vault.times import NS, rfc3339

if TYPE_CHECKING:
    from vault.state.other_rows import VerifiedRow

#: After so many intervals without a verification somebody should look.
_LATE: Final = 2


class ScrubStanding(msgspec.Struct, frozen=True):
    """How it stands.

    ``running`` says whether one is under way; ``runs`` counts those that ended in this process. ``done`` is when the
    last one that could be done was recorded (RFC 3339, empty where none was), ``share`` of ``shares`` what it read of
    the bodies in packs and blobs; ``records``, ``bodies``, ``bytes`` and ``seconds`` are of it. ``tried`` and
    ``result`` (good | bad | unchecked) are of the last one. ``findings`` still stand since ``bad_since``, the first of
    them at ``place``, about record ``seq`` (-1 where it is about none). ``why`` says why the last one could not be
    done, or not recorded. ``anchored`` counts the records that the checkpoint in ``anchor`` vouched for in the last one
    that could be done; ``unanchored`` says why the last one was held against none, although there is an anchor.
    """

    running: bool = False
    runs: int = 0
    tried: str = ""
    result: str = ""
    done: str = ""
    share: int = 0
    shares: int = 0
    records: int = 0
    bodies: int = 0
    bytes: int = 0
    seconds: int = 0
    bad_since: str = ""
    findings: int = 0
    seq: int = -1
    place: str = ""
    why: str = ""
    anchored: int = 0
    anchor: str = ""
    unanchored: str = ""


def standing(row: VerifiedRow, *, running: bool, runs: int, why: str, unanchored: str = "") -> ScrubStanding:
    """Gather it.

    Args:
        row: What the ledger told last.
        running: Whether one is under way.
        runs: How many ended in this process.
        why: Why the last of those could not be done, or recorded.
        unanchored: Why it was not held against the anchor.
    """
    return ScrubStanding(
        running=running,
        runs=runs,
        tried=_time(row.tried),
        result=row.result,
        done=_time(row.done),
        share=row.share,
        shares=row.shares,
        records=row.records,
        bodies=row.bodies,
        bytes=row.bytes,
        seconds=row.seconds,
        bad_since=_time(row.bad_since),
        findings=row.findings,
        seq=row.seq,
        place=row.place,
        why=why,
        anchored=row.anchored,
        anchor=row.anchor,
        unanchored=unanchored,
    )


def _time(ns: int) -> str:
    return rfc3339(ns) if ns else ""


def warnings(row: VerifiedRow, now: int, interval_hours: float, why: str, unanchored: str = "") -> list[str]:
    """What somebody should look at, worst first.

    Args:
        row: What the ledger told last.
        now: The wall clock, in ns since the epoch.
        interval_hours: From one to the next; 0 where the server does it only when it is told to.
        why: Why the last one in this process could not be done, or recorded.
        unanchored: Why it was not held against the anchor.
    """
    found = []
    if row.bad_since:
        record = f", record {row.seq}" if row.seq >= 0 else ""
        found.append(
            f"verification: {row.findings} findings since {_time(row.bad_since)[:19]}Z, the first at {row.place}"
            f"{record}: something kept is not as it was written, and nothing was repaired; `strongroom verify` names "
            "all of it; restore that from a copy, then run `strongroom scrub --all`"
        )
    if why:
        found.append(f"verification: {why}")
    elif row.result == UNCHECKED:
        found.append(f"verification: the last one, at {_time(row.tried)[:19]}Z, could not be done")
    if unanchored:
        found.append(
            f"verification: the last one shows that the vault agrees with itself, and was not held against the anchor "
            f"{unanchored}"
        )
    late = (now - row.done) / NS
    if interval_hours and row.done and late > _LATE * max(interval_hours, 1) * HOUR_S:
        found.append(
            f"verification: none was done for {late // HOUR_S:.0f} h; where one takes longer than its interval, "
            "raise scrub.rate_mib_s"
        )
    return found
