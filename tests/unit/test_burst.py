"""What waits in a burst of records, and how much of it: nothing waits otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest import mock

import pytest

from audit import background
from audit.burst import BURST_RECORDS_S, Burst
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


def test_a_burst_lasts_while_records_come_faster_than_so_many_a_second() -> None:
    moments = iter([(0, 100.0), (BURST_RECORDS_S, 101.0), (3 * BURST_RECORDS_S, 102.5), (3 * BURST_RECORDS_S, 103.0)])
    count, now = next(moments)
    burst = Burst(lambda: count, lambda: now)
    looks = []
    for count, now in moments:  # noqa: B007 - the burst reads them
        looks.append(burst.lasts())
    assert looks == [False, True, False]


def test_in_a_burst_the_view_waits_until_so_much_is_unread(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    look = node._background._view
    with mock.patch.object(Burst, "lasts", return_value=True):
        look()  # nothing is known of what is unread before the first step
        assert node.view.unread == 0
        commit(node, [LOOK] * 5)
        assert look() is False
        assert node.view.unread == 5
        monkeypatch.setattr(background, "UNREAD_RECORDS", 5)
        look()
        assert node.view.unread == 0
    commit(node, [LOOK])
    look()
    assert node.view.unread == 0


def test_in_a_burst_so_many_segments_wait_while_the_disk_has_room(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    settler = mock.create_autospec(Settler, instance=True)
    step = node._background._settle(settler)
    with mock.patch.object(Burst, "lasts", return_value=True):
        step()
        settler.step.assert_not_called()
        with mock.patch.object(background, "has_room", return_value=False):
            step()
        assert settler.step.call_count == 1
        monkeypatch.setattr(background, "UNSETTLED_SEGMENTS", 0)
        step()
        assert settler.step.call_count == 2
    monkeypatch.undo()
    step()
    assert settler.step.call_count == 3
