"""Verifications of a node: one at a time, each recorded as soon as there is room, none that was cut short."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import msgspec
import pytest

from audit.config import ScrubSection
from audit.scrub import plan, scrubber
from audit.scrub.outside import NOBODY, Voucher
from audit.scrub.run import Outcome
from audit.scrub.scrubber import Scrubber, ScrubBusy
from audit.scrub.standing import warnings
from tests.doubles.ledger import MemoryState
from tests.unit.state.test_verified import NOW, record, ref
from vault.errors import NoSpace, OutcomeUnknown
from vault.record import Actor, Origin, Tail
from vault.state.other_rows import VerifiedRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANN, CLI = Actor("system", person="ann"), Origin("cli")
HOUR = plan.HOUR_S * 1_000_000_000


class Vault:
    """A ledger that can refuse, and verifications that end when they are told to."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.records: list[Tail] = []
        self.refusals: list[Exception] = []
        self.outcomes: list[Outcome | Exception] = []
        self.begun: list[tuple[int, int]] = []
        self.outside = NOBODY
        self.vouchers: list[Voucher] = []
        self.go = Event()
        self.stopped = False

    def commit(self, tail: Tail) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.records.append(tail)
        record(self.state, tail.verified, NOW)

    def run(self, root: Path, share: int, shares: int, rate_mib: int) -> Vault:
        self.share, self.shares = share, shares
        self.begun.append((share, shares))
        return self

    def wait(self, voucher: Voucher) -> Outcome | None:
        self.vouchers.append(voucher)
        self.go.wait()
        if self.stopped:
            return None
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome(ref("good", self.share, self.shares))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self) -> None:
        self.stopped = True
        self.go.set()


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Vault:
    made = Vault()
    monkeypatch.setattr(scrubber, "Run", made.run)
    monkeypatch.setattr(scrubber, "_RECORD_SECONDS", 0.01)
    return made


@pytest.fixture
def open_scrubber(vault: Vault) -> Iterator[Callable[[ScrubSection], Scrubber]]:
    opened: list[Scrubber] = []

    def make(settings: ScrubSection) -> Scrubber:
        outside = lambda: vault.outside  # noqa: E731 - it changes from one to the next
        opened.append(Scrubber(Path("/srv/vault"), settings, vault.commit, vault.state, lambda: NOW, outside=outside))
        return opened[-1]

    yield make
    for each in opened:
        each.stop()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_one_at_a_time_and_each_names_who_asked(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    scrub = open_scrubber(ScrubSection(interval_hours=8, cycle_days=1))
    before = scrub.begin(ANN, CLI, whole=False)
    with pytest.raises(ScrubBusy):
        scrub.begin(ANN, CLI, whole=True)
    assert scrub.standing().running
    vault.go.set()
    until(lambda: scrub.standing().runs > before)
    for whole in (False, True, False):
        before = scrub.begin(ANN, CLI, whole=whole)
        until(lambda: scrub.standing().runs > before)  # noqa: B023 - called within its turn
    assert vault.begun == [(1, 3), (2, 3), (1, 1), (1, 3)]
    assert {(tail.op, tail.actor, tail.origin) for tail in vault.records} == {("ledger.verified", ANN, CLI)}


def test_the_anchor_is_asked_before_each_and_one_that_does_not_answer_is_told_until_it_does(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    scrub = open_scrubber(ScrubSection(interval_hours=0))
    vault.go.set()
    told = []
    vault.outcomes = [Outcome(msgspec.structs.replace(ref("good"), anchored=9, anchor="/mnt/a")), Outcome(ref("good"))]
    asked = [Voucher("/mnt/a", b"note"), Voucher("/mnt/a", why="it is not mounted"), NOBODY]
    for vault.outside in asked:
        before = scrub.begin(ANN, CLI, whole=True)
        until(lambda: scrub.standing().runs > before)  # noqa: B023 - called within its turn
        found = scrub.standing()
        told.append((found.result, found.anchored, found.anchor, found.unanchored, scrub.warnings()))
    assert vault.vouchers == asked
    assert told[0] == ("good", 9, "/mnt/a", "", [])
    assert told[1][:4] == ("good", 0, "", "/mnt/a: it is not mounted")
    assert "was not held against the anchor /mnt/a: it is not mounted" in told[1][4][0]
    assert told[2] == ("good", 0, "", "", [])


def test_it_goes_on_by_itself_share_after_share(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    scrub = open_scrubber(ScrubSection(interval_hours=0.000001, cycle_days=1))
    vault.go.set()
    scrub.keep()
    until(lambda: len(vault.records) >= 4)
    assert vault.begun[:4] == [(share, plan.MAX_SHARES) for share in (1, 2, 3, 4)]
    assert vault.records[0].origin == Origin("server")


def test_switched_off_it_does_nothing_by_itself(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    scrub = open_scrubber(ScrubSection(interval_hours=0))
    scrub.keep()
    assert scrub._thread is None


def test_a_full_disk_is_waited_for_and_what_was_found_is_not_lost(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    vault.refusals = [NoSpace() for _ in range(3)]
    vault.outcomes = [Outcome(ref("bad", findings=2))]
    vault.go.set()
    scrub = open_scrubber(ScrubSection())
    scrub.begin(ANN, CLI, whole=True)
    until(lambda: scrub.standing().runs)
    assert [tail.verified for tail in vault.records] == [ref("bad", findings=2)]
    assert scrub.standing().why == ""
    assert "strongroom scrub --all" in scrub.warnings()[0]


def test_a_stop_while_the_disk_is_full_does_not_wait_for_room(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    vault.refusals = [NoSpace() for _ in range(100_000)]
    vault.go.set()
    scrub = open_scrubber(ScrubSection())
    scrub.begin(ANN, CLI, whole=True)
    until(lambda: scrub.standing().why)
    scrub.stop()
    assert vault.records == []


@pytest.mark.parametrize("error", [OutcomeUnknown("the writer failed"), TimeoutError()])
def test_a_writer_that_failed_is_told(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber], error: Exception
) -> None:
    vault.refusals = [error]
    vault.go.set()
    scrub = open_scrubber(ScrubSection())
    scrub.begin(ANN, CLI, whole=True)
    until(lambda: scrub.standing().runs)
    assert "recorded" in scrub.warnings()[0]


def test_a_stop_ends_it_and_records_nothing(vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]) -> None:
    scrub = open_scrubber(ScrubSection())
    scrub.begin(ANN, CLI, whole=False)
    until(lambda: vault.begun)
    scrub.stop()
    assert vault.stopped
    assert vault.records == []
    with pytest.raises(ScrubBusy):
        scrub.begin(ANN, CLI, whole=False)


def test_a_fault_of_its_own_is_shown_and_nobody_waits_for_ever(
    vault: Vault, open_scrubber: Callable[[ScrubSection], Scrubber]
) -> None:
    vault.outcomes = [RuntimeError("a fault")]
    vault.go.set()
    scrub = open_scrubber(ScrubSection())
    scrub.begin(ANN, CLI, whole=False)
    until(lambda: scrub.standing().runs)
    assert "internal error" in scrub.warnings()[0]
    assert not scrub.standing().running


@pytest.mark.parametrize(
    ("row", "hours", "why", "says"),
    [
        (VerifiedRow(), 24, "", []),
        (VerifiedRow(tried=NOW, result="good", done=NOW - 24 * HOUR, share=1, shares=30), 24, "", []),
        (VerifiedRow(result="good", done=NOW - 50 * HOUR), 24, "", ["none was done for 50 h"]),
        (VerifiedRow(result="good", done=NOW - 5000 * HOUR), 0, "", []),
        (VerifiedRow(tried=NOW, result="unchecked"), 24, "", ["could not be done"]),
        (VerifiedRow(tried=NOW, result="unchecked"), 24, "no python", ["no python"]),
        (VerifiedRow(done=NOW, bad_since=NOW, findings=3, seq=7, place="packs/x"), 24, "", ["packs/x, record 7"]),
        (VerifiedRow(done=NOW, bad_since=NOW, findings=3, place="a tile"), 24, "no disk", ["a tile: ", "no disk"]),
    ],
)
def test_what_somebody_should_look_at(row: VerifiedRow, hours: float, why: str, says: list[str]) -> None:
    found = warnings(row, NOW, hours, why)
    assert [expected in text for expected, text in zip(says, found, strict=True)] == [True] * len(says)
