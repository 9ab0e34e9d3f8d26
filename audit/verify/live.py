"""A data directory, looked at until it holds still: a server may be writing meanwhile.

What looks bad is looked at again, and only what stays bad counts. Where records were missing that a server may have
moved from one file to another, a look ends there: what would follow from it is no finding.

A blob that is missing at one look and not at the next was erased between the two, after the record of its removal: on a
vault whose clients delete all the time every look finds others.

Not handled here: what a look finds (``datadir``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from audit.verify.bodies import MISSING
from audit.verify.datadir import Vault
from audit.verify.files import folders, walk
from audit.verify.report import Bad, Finding, Report, Unchecked
from audit.verify.settled import require_zstandard
from audit.verify.share import WHOLE
from audit.verify.stream import Moved

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.anchor import Outside
    from audit.verify.share import Share

_ATTEMPTS: Final = 12


def verify_datadir(
    root: str, outside: Outside, report: Report, progress: Callable[[int], None], share: Share = WHOLE
) -> None:
    """Verify a data directory.

    Args:
        root: The directory.
        outside: What vouches for its logs.
        report: Receives everything found.
        progress: Called with the number of records checked.
        share: Which bodies of packs and blobs are read; of the others only place and length are checked.

    Raises:
        Unchecked: Something cannot be read, or changes faster than it can be read.
    """
    require_zstandard()
    root = os.path.realpath(root)  # as the server does: its anchor is beside the directory itself
    bad: set[Finding] = set()
    last: Report | None = None
    for _ in range(_ATTEMPTS):
        before = _moving(root)
        trial, moved = _look(root, outside, report.target, progress, share, still=False)
        unmoved = _moving(root) == before
        if moved and not unmoved:
            continue  # records went from one file to another under our eyes: nothing was found, good or bad
        if moved:
            trial, _ = _look(root, outside, report.target, progress, share, still=True)
        again = bad & set(trial.findings)
        bad = set(trial.findings)
        if last is not None and not again and _only_missing(last) and _only_missing(trial):
            last.findings.clear()  # each was erased; of everything else there was nothing to find
            trial, bad = last, set()
        if not bad or again or unmoved:
            for name in ("logs", "findings", "states", "notes", "counts", "unchecked"):
                setattr(report, name, getattr(trial, name))
            return
        last = trial
    raise Unchecked(f"{root} changes while it is read; stop the server, or verify its log at the audit port")


def _only_missing(trial: Report) -> bool:
    """Whether a look went through everything and found nothing bad but missing blobs."""
    return not trial.unchecked and all(finding.why == MISSING for finding in trial.findings)


def _look(
    root: str, outside: Outside, target: str, progress: Callable[[int], None], share: Share, *, still: bool
) -> tuple[Report, bool]:
    """Look once at everything; whether records were missing that may have moved meanwhile."""
    trial = Report(target)
    try:
        Vault(root, outside, trial, still=still, share=share).verify(progress)
    except Bad as error:
        trial.findings.append(error.finding)
    except Unchecked as error:  # what was found bad until then is bad all the same
        trial.unchecked = str(error)
    except Moved:
        return trial, True
    return trial, False


def _moving(root: str) -> list[tuple[str, int, int]]:
    """What a running server changes: names, sizes and times of its commit log, settled segments and packs."""
    state = []
    streams = [f"{root}/streams/{name}/{part}" for name in folders(f"{root}/streams") for part in ("commit", "ledger")]
    for folder in (*streams, f"{root}/packs"):
        for path, _ in walk(folder):
            try:
                found = os.stat(f"{folder}/{path}", follow_symlinks=False)  # noqa: PTH116 - a str, many
            except OSError:
                continue  # gone again
            state.append((f"{folder}/{path}", found.st_size, found.st_mtime_ns))
    return sorted(state)
