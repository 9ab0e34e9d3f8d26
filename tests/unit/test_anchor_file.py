from __future__ import annotations

import errno
import os
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.anchor.file import FileAnchor
from audit.errors import AnchorUnavailable, AnchorUnknown
from audit.note import MAX_NOTE_BYTES
from tests.doubles.syscalls import EIO, Syscalls
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "log.example/a"
NAME = sha256(ORIGIN.encode()).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "vault.anchor"


def test_the_directory_is_private_and_holds_one_file_an_origin(directory: Path) -> None:
    FileAnchor(directory).swap(ORIGIN, None, b"first")
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in directory.iterdir()} == {NAME, f"{NAME}.lock"}
    assert (directory / NAME).read_bytes() == b"first"


def test_reading_makes_nothing(directory: Path) -> None:
    assert FileAnchor(directory).read(ORIGIN) is None
    assert not directory.exists()


def test_while_another_process_holds_the_lock_the_anchor_is_unavailable(directory: Path) -> None:
    anchor = FileAnchor(directory)
    anchor.swap(ORIGIN, None, b"first")
    lock = durable.lock_file(directory / f"{NAME}.lock")
    with pytest.raises(AnchorUnavailable, match="locked"):
        anchor.swap(ORIGIN, b"first", b"second")
    with pytest.raises(AnchorUnavailable, match="locked"):
        anchor.read(ORIGIN)
    os.close(lock)
    assert anchor.read(ORIGIN) == b"first"


def test_what_a_crash_left_is_swept(directory: Path) -> None:
    anchor = FileAnchor(directory)
    anchor.swap(ORIGIN, None, b"first")
    leftover = directory / f"{NAME}.0123{durable.TEMP_SUFFIX}"
    foreign = directory / f"{'0' * 64}.0123{durable.TEMP_SUFFIX}"
    leftover.touch()
    foreign.touch()
    anchor.swap(ORIGIN, b"first", b"second")
    assert not leftover.exists()
    assert foreign.exists()


def test_a_read_makes_durable_what_a_dead_writer_left(directory: Path) -> None:
    FileAnchor(directory).swap(ORIGIN, None, b"first")
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        assert FileAnchor(directory).read(ORIGIN) == b"first"
    assert f"fsync:{directory.name}" in calls.trace


def failing_swap(anchor: FileAnchor, step: str) -> None:
    """Swap ``first`` for ``second`` with an I/O error at the last call of that name."""
    undisturbed = FileAnchor(anchor._directory.with_name("undisturbed") / anchor._directory.name)
    undisturbed.swap(ORIGIN, None, b"first")
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        undisturbed.swap(ORIGIN, b"first", b"second")
    point = max(number for number, name in enumerate(calls.trace) if name == step)
    anchor.swap(ORIGIN, None, b"first")
    with pytest.MonkeyPatch.context() as patch:
        Syscalls(patch, stop_at=point, error=EIO)
        anchor.swap(ORIGIN, b"first", b"second")


@pytest.mark.parametrize("step", ["write:temp", "fsync:temp", f"rename:{NAME}"])
def test_an_error_before_the_rename_changed_nothing(directory: Path, step: str) -> None:
    anchor = FileAnchor(directory)
    with pytest.raises(AnchorUnavailable, match="could not store"):
        failing_swap(anchor, step)
    assert anchor.read(ORIGIN) == b"first"
    anchor.swap(ORIGIN, b"first", b"third")


def test_an_error_after_the_rename_is_unknown_and_needs_a_new_start(directory: Path) -> None:
    anchor = FileAnchor(directory)
    with pytest.raises(AnchorUnknown, match="may have stored"):
        failing_swap(anchor, f"fsync:{directory.name}")
    with pytest.raises(AnchorUnavailable, match="needs a restart"):
        anchor.read(ORIGIN)
    with pytest.raises(AnchorUnavailable, match="needs a restart"):
        anchor.swap(ORIGIN, b"second", b"third")
    assert FileAnchor(directory).read(ORIGIN) == b"second"


def test_a_read_whose_sync_fails_knows_nothing_and_needs_a_new_start(directory: Path) -> None:
    anchor = FileAnchor(directory)
    anchor.swap(ORIGIN, None, b"first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _eio)
        with pytest.raises(AnchorUnavailable, match="synced"):
            anchor.read(ORIGIN)
    with pytest.raises(AnchorUnavailable, match="needs a restart"):
        anchor.read(ORIGIN)


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AnchorUnavailable, match="cannot be made"):
        FileAnchor(tmp_path / "file" / "anchor").swap(ORIGIN, None, b"first")


def test_a_directory_lost_while_running_is_not_made_again(directory: Path) -> None:
    anchor = FileAnchor(directory)
    anchor.swap(ORIGIN, None, b"first")
    shutil.rmtree(directory)
    with pytest.raises(AnchorUnavailable):
        anchor.swap(ORIGIN, b"first", b"second")
    assert not directory.exists()


@pytest.mark.parametrize("size", [MAX_NOTE_BYTES + 1, None])
def test_what_cannot_be_a_checkpoint_is_not_read(directory: Path, size: int | None) -> None:
    directory.mkdir()
    if size is None:
        (directory / NAME).mkdir()
    else:
        (directory / NAME).write_bytes(bytes(size))
    with pytest.raises(AnchorUnavailable):
        FileAnchor(directory).read(ORIGIN)


def _eio(fd: int) -> None:
    raise OSError(EIO, os.strerror(EIO))


def test_a_file_system_that_is_gone_is_no_empty_anchor(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Path) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr("pathlib.Path.exists", gone)
    with pytest.raises(AnchorUnavailable):
        FileAnchor(directory).read(ORIGIN)
