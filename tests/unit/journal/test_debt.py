from __future__ import annotations

from pathlib import Path
from queue import Queue

import pytest

from audit.journal.debt import REST_SECONDS, REST_TIMES, STEP_BYTES, UNSETTLED_BYTES, Debt
from audit.journal.segment import BLOCK, SegmentHeader
from audit.journal.segment_file import Segment
from tests.doubles.memory import memory_directory
from tests.doubles.writer import Writer
from vault.ports import Committed
from vault.record import ObjectRef
from vault.storage.open_files import OpenFiles


def segments(*lengths: int) -> list[Segment]:
    """Segments of these lengths, with ten records each."""
    made = []
    for number, length in enumerate(lengths):
        made.append(
            Segment(Path(f"{number}"), SegmentHeader(number, 1, 10 * number, length, bytes(16)), OpenFiles(1, 0))
        )
        made[-1].note([(BLOCK, 1, 0)] * 10)
    return made


class _Rests:
    """What waits as a test says, and the rests that follow from it."""

    def __init__(self, *lengths: int) -> None:
        self.rests: list[float] = []
        self.segments = [*segments(*lengths, 100)]
        self.debt = Debt(lambda: (self.segments, self.segments[-1]), self.rests.append)

    def after(self, took: float) -> float:
        self.debt.rest(took)
        return sum(self.rests)


def test_what_waits_is_what_is_written_no_more_and_not_settled() -> None:
    debt = _Rests(10, 20, 30).debt
    for settled, waiting in ((0, 60), (9, 60), (10, 50), (29, 30), (30, 0), (35, 0), (40, 0)):
        debt.settled = settled
        assert debt.bytes == waiting


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
    assert _Rests(20 * UNSETTLED_BYTES).after(0.1) == pytest.approx(REST_TIMES * 0.1)
    assert _Rests(20 * UNSETTLED_BYTES).after(1) == REST_SECONDS


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
        answered: Queue[bool] = Queue()
        monkeypatch.setattr(writer.log.debt, "rest", lambda took: answered.put(took > 0 and asked.done()))
        writer.start()
        assert answered.get(timeout=30)
        assert isinstance(asked.result(30), Committed)
        writer.close()
