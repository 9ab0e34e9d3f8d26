"""Looking again at a vault that is being written: what counts in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.verify import live
from audit.verify.anchor import Outside
from audit.verify.bodies import MISSING
from audit.verify.report import Finding, Report, Unchecked

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B, C = (Finding(seq, f"blobs/{seq}", MISSING) for seq in (1, 2, 3))
OTHER = Finding(4, "ledger", "it does not follow the record before")


def looked(monkeypatch: pytest.MonkeyPatch, looks: Sequence[list[Finding] | str | None]) -> Report:
    """The report where these looks follow one another: findings, why not all was looked at, or None: it had moved."""
    coming = iter(looks)

    def look(*_: object, still: bool) -> tuple[Report, bool]:
        assert not still
        found = next(coming)
        report = Report("vault")
        if isinstance(found, str):
            report.unchecked = found
        else:
            report.findings = list(found or [])
        return report, found is None

    changes = iter(range(99))
    monkeypatch.setattr(live, "_look", look)
    monkeypatch.setattr(live, "_moving", lambda _: next(changes))
    report = Report("vault")
    live.verify_datadir("vault", Outside([], []), report, lambda _: None)
    return report


@pytest.mark.parametrize(
    "looks",
    [
        [[]],
        [[A], []],
        [[A, B], [C]],
        [[A], None, [B]],
        [[OTHER], [A], [B]],
        [[OTHER, A], [B], None, []],
    ],
)
def test_what_is_not_seen_twice_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, looks: Sequence[list[Finding] | str | None]
) -> None:
    report = looked(monkeypatch, looks)
    assert (report.findings, report.unchecked) == ([], "")


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        ([[A], [A]], [A]),
        ([[A, B], [B, C]], [B, C]),
        ([[OTHER], [OTHER, A]], [OTHER, A]),
        ([[A], [OTHER], [OTHER]], [OTHER]),
    ],
)
def test_what_stays_bad_is(
    monkeypatch: pytest.MonkeyPatch, looks: Sequence[list[Finding]], found: list[Finding]
) -> None:
    assert looked(monkeypatch, looks).findings == found


def test_a_look_that_could_not_see_everything_clears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked(monkeypatch, [[A], "unreadable"]).unchecked == "unreadable"


def test_what_never_holds_still_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unchecked, match="stop the server"):
        looked(monkeypatch, [[A], [OTHER]] * 6)
