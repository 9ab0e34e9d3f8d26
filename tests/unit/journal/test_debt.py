from __future__ import annotations

from pathlib import Path

import pytest

from audit.journal.debt import REST_SECONDS, STEP_BYTES, UNSETTLED_BYTES, Debt
from audit.journal.segment import SegmentHeader
from audit.journal.segment_file import Segment
from tests.doubles.memory import memory_directory
from tests.doubles.writer import Writer
from vault.ports import Committed
from vault.record import ObjectRef
from vault.storage.open_files import OpenFiles


def segments(*lengths: int) -> list[Segment]:
    files = OpenFiles(1, 0)
    return [Segment(Path(f"{n}"), SegmentHeader(n, 1, 0, length, bytes(16)), files) for n, length in enumerate(lengths)]


class _Rests:
    """What waits as a test says, and the rests that follow from it."""

    def __init__(self, *lengths: int) -> None:
        self.rests: list[float] = []
        self.debt = Debt(lambda: segments(*lengths), self.rests.append)

    def after(self, took: float) -> float:
        self.debt.rest(took)
        return sum(self.rests)


def test_what_waits_is_what_is_closed_and_not_settled() -> None:
    debt = _Rests(10, 20, 30).debt
    assert debt.bytes == 60
    debt.settled = 0
    assert [item.header.number for item in debt.waiting] == [1, 2]
    assert debt.bytes == 50
    debt.settled = 2
    assert debt.waiting == []


def test_nobody_rests_before_too_much_waits() -> None:
    assert _Rests().after(5) == 0
    just = _Rests(UNSETTLED_BYTES)
    assert just.after(5) == 0
    assert not just.debt.pressing
    assert _Rests(UNSETTLED_BYTES, 1).debt.pressing


def test_a_rest_grows_with_what_waits_and_with_what_the_group_took() -> None:
    assert _Rests(UNSETTLED_BYTES, STEP_BYTES).after(0.1) == pytest.approx(0.1)
    assert _Rests(UNSETTLED_BYTES, 3 * STEP_BYTES).after(0.1) == pytest.approx(0.3)
    assert _Rests(UNSETTLED_BYTES, 3 * STEP_BYTES).after(0.2) == pytest.approx(0.6)
    assert _Rests(2 * UNSETTLED_BYTES, UNSETTLED_BYTES).after(0.2) == REST_SECONDS


def test_what_was_rested_is_added_up() -> None:
    rests = _Rests(UNSETTLED_BYTES, STEP_BYTES)
    rests.after(0.1)
    rests.after(0.2)
    assert rests.debt.rested == pytest.approx(0.3)


def test_a_writer_that_is_stopped_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_directory() as directory:
        writer = Writer(directory)
        asked = writer.send("bucket.create", object=ObjectRef("b"))
        monkeypatch.setattr(writer.log.debt, "rest", lambda _: pytest.fail("it rests"))
        writer.committer._closing = True
        writer.start()
        assert isinstance(asked.result(30), Committed)
        writer.close()


def test_who_asked_is_answered_before_the_committer_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_directory() as directory:
        writer = Writer(directory)
        asked = writer.send("bucket.create", object=ObjectRef("b"))
        answered: list[bool] = []

        def rest(took: float) -> None:
            assert took > 0
            answered.append(asked.done())

        monkeypatch.setattr(writer.log.debt, "rest", rest)
        writer.start()
        assert isinstance(asked.result(30), Committed)
        writer.close()
        assert answered == [True]
