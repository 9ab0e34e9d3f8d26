"""The contract of :class:`audit.anchor.Anchor`, for every implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from audit.anchor.file import FileAnchor
from audit.errors import AnchorConflict, AnchorUnavailable
from tests.doubles.anchor import FaultyAnchor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.anchor import Anchor

ORIGIN, OTHER = "log.example/a", "log.example/b"


def value(size: int, origin: str = ORIGIN) -> bytes:
    return f"{origin}\n{size}\nroot\n\nsignature\n".encode()


@pytest.fixture(params=["file", "faulty"])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Anchor]:
    if request.param == "file":
        return lambda: FileAnchor(tmp_path / "vault.anchor")
    anchor = FaultyAnchor()
    return lambda: anchor


def test_an_unknown_origin_has_no_value(connect: Callable[[], Anchor]) -> None:
    assert connect().read(ORIGIN) is None


def test_a_swap_is_seen_by_everyone_from_its_return_on(connect: Callable[[], Anchor]) -> None:
    anchor = connect()
    anchor.swap(ORIGIN, None, value(1))
    assert connect().read(ORIGIN) == value(1)
    connect().swap(ORIGIN, value(1), value(2))
    assert anchor.read(ORIGIN) == value(2)


@pytest.mark.parametrize("expected", [None, value(1), value(3)])
def test_a_swap_that_expects_another_value_changes_nothing_and_says_what_is_there(
    connect: Callable[[], Anchor], expected: bytes | None
) -> None:
    anchor = connect()
    anchor.swap(ORIGIN, None, value(1))
    anchor.swap(ORIGIN, value(1), value(2))
    with pytest.raises(AnchorConflict) as caught:
        anchor.swap(ORIGIN, expected, value(4))
    assert (caught.value.origin, caught.value.current) == (ORIGIN, value(2))
    assert caught.value.fatal
    assert anchor.read(ORIGIN) == value(2)


def test_a_swap_that_expects_a_value_where_there_is_none_is_a_conflict(connect: Callable[[], Anchor]) -> None:
    with pytest.raises(AnchorConflict) as caught:
        connect().swap(ORIGIN, value(1), value(2))
    assert caught.value.current is None
    assert connect().read(ORIGIN) is None


def test_origins_do_not_touch_each_other(connect: Callable[[], Anchor]) -> None:
    anchor = connect()
    anchor.swap(ORIGIN, None, value(5))
    assert anchor.read(OTHER) is None
    anchor.swap(OTHER, None, value(1, OTHER))
    assert (anchor.read(ORIGIN), anchor.read(OTHER)) == (value(5), value(1, OTHER))


def test_of_many_swaps_at_once_one_wins(connect: Callable[[], Anchor]) -> None:
    def swap(size: int) -> bytes | None:
        try:
            connect().swap(ORIGIN, None, value(size))
        except (AnchorConflict, AnchorUnavailable):
            return None
        return value(size)

    with ThreadPoolExecutor(4) as pool:
        won = [result for result in pool.map(swap, range(1, 25)) if result is not None]
    assert won == [connect().read(ORIGIN)]
