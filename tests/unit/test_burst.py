"""What waits in a burst of records, and how much of it: nothing waits otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

from audit import background
from audit.burst import BURST_RECORDS_S, BURST_SECONDS, Burst
from audit.journal import debt
from audit.query.view import View
from audit.settle import Settler
from tests.doubles.memory import memory_directory
from tests.doubles.whole_node import commit, make, open_node
from vault.policy import SYSTEM
from vault.record import Actor, Origin, Tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.node import Node

LOOK = Tail(op="bucket.list", actor=Actor(SYSTEM), origin=Origin("cli"))


@pytest.fixture
def node() -> Iterator[Node]:
    with memory_directory() as directory:
        make(directory / "v")
        with open_node(directory / "v") as node:
            node._background.stop()
            yield node


class _Coming:
    """Records and seconds that a test sets."""

    count = 0
    now = 100.0

    def burst(self) -> Burst:
        return Burst(lambda: self.count, lambda: self.now)

    def pass_by(self, seconds: float, rate: float) -> None:
        self.now += seconds
        self.count += int(rate * seconds)


def test_a_burst_lasts_while_records_come_faster_than_so_many_a_second() -> None:
    coming = _Coming()
    burst = coming.burst()
    looks = []
    for seconds, rate in ((1.0, BURST_RECORDS_S), (1.5, BURST_RECORDS_S + 1), (0.5, 0)):
        coming.pass_by(seconds, rate)
        looks.append(burst.lasts())
    assert looks == [False, True, False]


def test_what_comes_for_too_long_is_no_burst_until_everything_that_waited_is_done() -> None:
    coming = _Coming()
    burst = coming.burst()

    def look(seconds: float, rate: float = 2 * BURST_RECORDS_S) -> bool:
        coming.pass_by(seconds, rate)
        return burst.lasts()

    assert look(1)
    assert look(BURST_SECONDS - 1)
    assert not look(1)
    assert not look(1, 0)
    assert not look(1), "a pause alone does not have what waits wait any longer"
    burst.done()
    assert look(1)
    assert not look(BURST_SECONDS)


def test_in_a_burst_the_view_waits_for_its_end_or_for_a_question(node: Node) -> None:
    look = node._background._view
    with mock.patch.object(Burst, "lasts", return_value=True):
        look()  # nothing is known of what is unread before the first step
        assert node.view.unread == 0
        commit(node, [LOOK] * 5)
        assert look() is False
        assert node.view.unread == 5
        assert node.view.catch_up(1, seconds=1)
        commit(node, [LOOK])
        look()
        assert node.view.unread == 0, "somebody asked just now, and will ask again"
    commit(node, [LOOK])
    look()
    assert node.view.unread == 0


def test_the_view_says_when_nothing_waits_for_it_any_more(node: Node) -> None:
    look = node._background._view
    with mock.patch.object(Burst, "done") as done, mock.patch.object(View, "step", side_effect=[True, False]):
        look()
        done.assert_not_called()
        look()
        done.assert_called_once()


def test_in_a_burst_segments_wait_unless_they_are_too_many(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    settler = mock.create_autospec(Settler, instance=True)
    step = node._background._settle(settler)
    with mock.patch.object(Burst, "lasts", return_value=True):
        with mock.patch.object(background, "has_room", return_value=True) as room:
            step()
            settler.step.assert_not_called()
            assert room.call_args.args[1] == 2 * (node.stores.log.debt.bytes + node.stores.log.segment_bytes)
        with mock.patch.object(background, "has_room", return_value=False):
            step()
            settler.step.assert_called_once()
        monkeypatch.setattr(background, "UNSETTLED_BYTES", 0)
        step()
        assert settler.step.call_count == 2
    monkeypatch.undo()
    step()
    assert settler.step.call_count == 3


def test_the_settler_says_when_nothing_waits_for_it_any_more(node: Node) -> None:
    settler = mock.create_autospec(Settler, instance=True)
    settler.step.side_effect = [True, False]
    step = node._background._settle(settler)
    with mock.patch.object(Burst, "done") as done:
        step()
        done.assert_not_called()
        step()
        done.assert_called_once()


def test_a_server_says_that_it_slows_writes_for_settling(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("settler" in text for text in node.status().warnings)
    node.stores.log.open_segment(node.stores.log.durable_end)  # the one before it is written no more
    monkeypatch.setattr(debt, "UNSETTLED_BYTES", 0)
    assert any("settler: " in text and "slowed down" in text for text in node.status().warnings)
