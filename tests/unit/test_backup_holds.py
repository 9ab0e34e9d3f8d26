"""While a backup holds, nothing is recycled and nothing is erased; and it holds for as long as it is heard of."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from audit.backup import BackupFailed, BackupLapsed
from audit.backup import holds as module
from audit.backup.cut import cut
from audit.backup.holds import ERASING, HOLD_SECONDS, MAX_HOLDS, RECYCLING, Holds
from audit.settle import Settler
from audit.strand import Strand
from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import SmallVault, version_of
from tests.doubles.traffic import STREAM

if TYPE_CHECKING:
    from collections.abc import Iterator


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def vault() -> Iterator[SmallVault]:
    with memory_directory() as directory:
        vault = SmallVault(directory)
        yield vault
        vault.stop()


def free(holds: Holds, step: str) -> bool:
    with holds.passing(step) as found:
        return found


def test_a_hold_ends_where_it_is_released_and_where_nobody_is_heard_of() -> None:
    time = Time()
    holds = Holds(time)
    first, second = holds.take(), holds.take()
    holds.release(first)
    holds.release(first)
    assert not free(holds, ERASING)
    time.now += HOLD_SECONDS - 1
    holds.keep(second, recycling=True)
    time.now += HOLD_SECONDS - 1
    assert not free(holds, RECYCLING)
    time.now += 1
    assert free(holds, RECYCLING)
    assert free(holds, ERASING)
    with pytest.raises(BackupLapsed):
        holds.keep(second, recycling=False)


def test_recycling_that_was_let_go_on_is_not_held_again() -> None:
    holds = Holds()
    number = holds.take()
    holds.keep(number, recycling=False)
    assert (free(holds, RECYCLING), free(holds, ERASING)) == (True, False)
    holds.keep(number, recycling=True)
    assert free(holds, RECYCLING)


def test_a_hold_begins_between_two_steps() -> None:
    holds, began, taken = Holds(), Event(), Event()
    with holds.passing(ERASING) as is_free:
        assert is_free

        def take() -> None:
            began.set()
            holds.take()
            taken.set()

        waiting = Thread(target=take)
        waiting.start()
        assert began.wait(10)
        assert not taken.wait(0.2)
    waiting.join(10)
    assert taken.is_set()
    assert not free(holds, ERASING)


def test_a_step_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STEP_SECONDS", 0.1)
    holds = Holds()
    with holds.passing(RECYCLING), pytest.raises(BackupFailed):
        holds.take()
    assert free(holds, ERASING)


def test_holds_are_bounded() -> None:
    time = Time()
    holds = Holds(time)
    for _ in range(MAX_HOLDS):
        holds.take()
    with pytest.raises(BackupFailed):
        holds.take()
    time.now += 2 * HOLD_SECONDS
    holds.take()


def test_nothing_is_erased_while_one_is_held(vault: SmallVault) -> None:
    gone = vault.put("a")
    vault.delete("a", version_of(gone))
    vault.settle()
    holds = vault.eraser._stores.holds
    number = holds.take()
    assert not vault.eraser.step()
    assert gone.head.seq in vault.packs
    holds.release(number)
    assert vault.eraser.step()
    assert gone.head.seq not in vault.packs


def test_no_segment_is_recycled_while_one_is_held_and_settling_goes_on(vault: SmallVault) -> None:
    while len(vault.log.closed()) < 12:
        vault.put("a")
    holds = Holds()
    settler = Settler(
        log=vault.log, ledger=vault.ledger, packs=vault.packs, leases=vault.leases, holds=holds,
        spares=vault.root / "spare", published=lambda: 1 << 40,
    )  # fmt: skip
    number = holds.take()
    before = list(vault.log.closed())
    while settler.step():
        pass
    assert vault.log.closed() == before
    assert vault.ledger.end > 0
    holds.release(number)
    while settler.step():
        pass
    assert vault.log.closed() != before


def test_a_cut_is_of_one_instant(vault: SmallVault) -> None:
    strand = Strand(STREAM, 0, vault.log, vault.ledger, vault.packs)
    stop = Event()

    def write() -> None:
        while not stop.is_set():
            vault.put("a")

    writer = Thread(target=write)
    writer.start()
    try:
        cuts = [cut([strand])[0] for _ in range(200)]
    finally:
        stop.set()
        writer.join()
    assert [made.records for made in cuts] == sorted(made.records for made in cuts)
    for made in cuts:
        found = 0
        for name, counts in made.segments:
            segment = next(item for item in vault.log._segments if item.path.name == name)
            ends = [segment._offsets[at] for at in range(len(segment._offsets))]
            found = max([found, *(segment.first_seq + at + 1 for at, start in enumerate(ends) if start < counts)])
        assert found == made.records
