"""The contract of :class:`audit.anchor.Anchor`, for every implementation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from audit.anchor.file import FileAnchor
from audit.anchor.url import open_anchor
from audit.config import AnchorSection
from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown
from tests.doubles.anchor import Fault, FaultyAnchor
from tests.doubles.s3_server import Does
from vault import durable
from vault.errors import DurabilityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.anchor import Anchor

ORIGIN, OTHER = "log.example/a", "log.example/b"


def value(size: int, origin: str = ORIGIN) -> bytes:
    return f"{origin}\n{size}\nroot\n\nsignature\n".encode()


class Insistent:
    """An anchor whose user does as the sealer does: what failed is offered again, the same, until its fate is known."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor

    def read(self, origin: str) -> bytes | None:
        while True:
            with suppress(AnchorUnavailable):
                return self._anchor.read(origin)

    def swap(self, origin: str, expected: bytes | None, new: bytes) -> None:
        while True:
            try:
                self._anchor.swap(origin, expected, new)
            except AnchorConflict as conflict:
                if conflict.current != new:
                    raise
            except (AnchorUnavailable, AnchorUnknown):
                continue
            return


#: Building MinIO takes minutes, once.
MINIO = pytest.param("minio", marks=pytest.mark.timeout(2400))


@pytest.fixture(params=["file", "strongroom", MINIO, *Does, "faulty", *Fault, "unreadable"], ids=str)
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Anchor]:
    """Connects to an anchor; one whose first swaps or reads fail is one to its user in the end."""
    if request.param in {"strongroom", "minio"}:
        return cast("Callable[[], Anchor]", request.getfixturevalue(f"on_{request.param}"))
    if isinstance(request.param, Does):
        fake = request.getfixturevalue("fake_s3")
        fake.puts.extend([request.param] * 2)
        return lambda: Insistent(open_anchor(f"s3://anchors/x?endpoint={fake.endpoint}", AnchorSection()))
    if request.param == "file":
        return lambda: FileAnchor(tmp_path / "vault.anchor")
    faulty = FaultyAnchor(*[request.param] * 2 if isinstance(request.param, Fault) else [])
    faulty.unreadable = 2 if request.param == "unreadable" else 0
    return lambda: Insistent(faulty)


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


# Faults: what is not known to have happened did or did not, and what is known to have failed did not.


def failing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> FileAnchor:
    """One whose next swap fails at a call."""
    anchor = FileAnchor(tmp_path / "vault.anchor")
    anchor.swap(ORIGIN, None, value(1))

    def fail(*_: object) -> NoReturn:
        raise DurabilityError("injected")

    monkeypatch.setattr(durable, call, fail)
    return anchor


@pytest.mark.parametrize("fault", [*Fault, "fsync_file", "fsync_dir", "lock_file"], ids=str)
def test_a_swap_that_fails_says_what_may_have_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault | str
) -> None:
    anchor: Anchor
    if isinstance(fault, Fault):
        anchor = FaultyAnchor()
        anchor.swap(ORIGIN, None, value(1))
        anchor.faults.append(fault)
    else:
        anchor = failing_file(tmp_path, monkeypatch, fault)
    with pytest.raises((AnchorUnavailable, AnchorUnknown)) as caught:
        anchor.swap(ORIGIN, value(1), value(2))
    assert not caught.value.fatal
    assert caught.value.retryable
    monkeypatch.undo()
    again = anchor if isinstance(fault, Fault) else FileAnchor(tmp_path / "vault.anchor")
    found = again.read(ORIGIN)
    known = isinstance(caught.value, AnchorUnavailable)
    assert found == value(1) if known else found in {value(1), value(2)}
    Insistent(again).swap(ORIGIN, value(1), value(2))
    assert again.read(ORIGIN) == value(2)


def test_what_cannot_be_read_is_no_missing_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = FaultyAnchor()
    faulty.unreadable = 1
    file = failing_file(tmp_path, monkeypatch, "fsync_dir")
    for anchor in (faulty, file):
        with pytest.raises(AnchorUnavailable):
            anchor.read(ORIGIN)
