"""A crash before, and an error at, every system call of every durable write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.doubles.syscalls import EIO, Crash, Syscalls
from vault import durable
from vault.errors import DurabilityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NEW = b"n" * 5000
OLD = b"old"


class Write(NamedTuple):
    """A durable write, and what any crash may leave of it.

    ``left`` says which contents each name may have (``None``: no such file); content that
    is ``kept`` stands under at least one of them.
    """

    call: Callable[[Path], object]
    steps: int
    left: dict[str, set[bytes | None]]
    kept: bytes | None = None


WRITES = {
    "write_new": Write(lambda d: durable.write_new(d / "new", NEW), 7, {"new": {None, NEW}}),
    "write_new_files": Write(
        lambda d: durable.write_new_files({d / "new": NEW, d / "new2": NEW}),
        12,
        {"new": {None, NEW}, "new2": {None, NEW}},
    ),
    "replace": Write(lambda d: durable.replace(d / "old", NEW), 6, {"old": {OLD, NEW}}),
    "publish": Write(
        lambda d: durable.publish(d / "staged", d / "new"), 4, {"staged": {None, NEW}, "new": {None, NEW}}, NEW
    ),
    "preallocate": Write(lambda d: durable.preallocate(d / "new", 4096), 7, {"new": {None, bytes(4096)}}),
    "remove": Write(lambda d: durable.remove(d / "old"), 3, {"old": {None, OLD}}),
    "move": Write(lambda d: durable.move(d / "old", d / "new"), 3, {"old": {None, OLD}, "new": {None, OLD}}, OLD),
}
POINTS = [
    pytest.param(write, point, id=f"{name}-{point}") for name, write in WRITES.items() for point in range(write.steps)
]


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "staged").write_bytes(NEW)
    return tmp_path


def check(root: Path, write: Write) -> None:
    found = {name: content(root / name) for name in write.left}
    assert all(found[name] in allowed for name, allowed in write.left.items()), found
    assert write.kept is None or write.kept in found.values()
    others = {path.name for path in root.iterdir()} - write.left.keys() - {"old", "staged"}
    assert all(name.endswith(durable.TEMP_SUFFIX) for name in others), others


@pytest.mark.parametrize(("write", "point"), POINTS)
def test_a_crash_leaves_nothing_or_all_under_a_final_name(root: Path, write: Write, point: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Syscalls(patch, stop_at=point)
        with pytest.raises(Crash):
            write.call(root)
    check(root, write)
    durable.sweep_temps(root)
    assert {path.name for path in root.iterdir()} <= write.left.keys() | {"old", "staged"}


@pytest.mark.parametrize(("write", "point"), POINTS)
def test_an_error_is_reported_and_no_sync_follows_a_failed_one(root: Path, write: Write, point: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch, stop_at=point, error=EIO)
        with pytest.raises(DurabilityError) as caught:
            write.call(root)
    assert isinstance(caught.value.__cause__, OSError)
    check(root, write)
    failed, after = calls.trace[point], calls.trace[point + 1 :]
    assert not [call for call in after if call.startswith(("fsync", "link", "rename"))], f"{failed}, then {after}"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_step_is_among_the_points(root: Path, write: Write) -> None:
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        write.call(root)
    assert len(calls.trace) == write.steps


def test_a_failed_sync_of_a_group_is_an_error_and_the_last_call(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "segment", os.O_RDWR | os.O_CREAT)
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch, stop_at=1, error=EIO)
        with pytest.raises(DurabilityError, match="fdatasync"):
            durable.append_group(fd, [b"x"], 0)
    os.close(fd)
    assert calls.trace == ["pwritev:segment", "fdatasync:segment"]


def test_directories_cut_short_by_a_crash_are_made_durable_by_the_next_start(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Syscalls(patch, stop_at=3)
        with pytest.raises(Crash):
            durable.make_dirs(tmp_path / "a" / "b")
    assert not (tmp_path / "a" / "b").exists()
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        durable.make_dirs(tmp_path / "a" / "b")
    assert calls.trace == [f"open:{tmp_path.name}", f"fsync:{tmp_path.name}", "mkdir:b", "open:a", "fsync:a"]
