"""A bag: it leaves the vault beside it what that needs, holds nothing by halves, and is durable once it is sealed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.production import bag
from audit.production.bag import Bag, ProductionFailed, leave_room
from tests.unit.production.bags import FILES, sealed
from vault.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def test_a_file_that_takes_what_the_vault_needs_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag, "free_bytes", lambda _: 1000)
    leave_room(tmp_path, tmp_path, 900, 100)
    with pytest.raises(ProductionFailed, match="no room for 101 bytes"):
        leave_room(tmp_path, tmp_path, 900, 101)


def test_another_file_system_may_be_filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bag, "free_bytes", lambda _: 0)
    leave_room(Path("/proc"), tmp_path, 900, 101)


def test_it_says_what_its_payload_comes_to(tmp_path: Path) -> None:
    info = (sealed(tmp_path / "bag") / "bag-info.txt").read_text()
    payload = [data for name, data in FILES.items() if name.startswith("data/")]
    assert f"Payload-Oxum: {sum(map(len, payload))}.{len(payload)}\n" in info


def test_a_file_of_somebody_elses_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine").write_text("mine")
    with pytest.raises(ProductionFailed, match="somebody else's, mine"):
        sealed(tmp_path / "bag")


def write(filled: Bag, pieces: Iterable[bytes]) -> None:
    with filled.open("data/a") as put:
        for piece in pieces:
            put(piece)


def test_the_room_is_looked_at_while_a_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Bag(tmp_path / "bag", tmp_path, 1000)
    left = iter([1 << 30, 1 << 30, 1000])
    monkeypatch.setattr(bag, "free_bytes", lambda _: next(left))
    with pytest.raises(ProductionFailed, match="no room for"):
        write(filled, [bytes(1 << 14)] * 1000)
    assert next(left, None) is None
    assert not (tmp_path / "bag/data/a").exists()


def test_of_a_file_that_is_not_written_to_its_end_nothing_is_left(tmp_path: Path) -> None:
    filled = Bag(tmp_path / "bag", tmp_path, 0)

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise IntegrityError("the rest does not authenticate")

    with pytest.raises(IntegrityError):
        write(filled, pieces())
    assert not (tmp_path / "bag/data/a").exists()
    assert filled.payload == (0, 0)


def test_all_of_a_sealed_bag_is_synced_files_before_their_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    root = sealed(tmp_path / "bag")
    files = {str(path) for path in root.rglob("*") if path.is_file()}
    assert set(synced[: len(files)]) == files
    assert set(synced[len(files) :]) == {str(root), f"{root}/data", f"{root}/data/natives"}


def test_a_bag_that_cannot_be_synced_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(ProductionFailed, match=r"cannot be made durable: fsync of .*Input/output error"):
        sealed(tmp_path / "bag")
    assert not (tmp_path / "bag/data/natives/000001-a").exists()  # another attempt writes it again
