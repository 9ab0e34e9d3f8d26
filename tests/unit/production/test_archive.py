"""The ZIP of a production: the same each time, readable by strangers, and never of a bag that was changed."""

from __future__ import annotations

import os
import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner

from audit.cli.production import archive
from audit.production.archive import BagChanged, identifier, measured, pieces
from audit.production.bag import Cancelled, ProductionFailed
from audit.production.keep import MAX_PARTS, PART_BYTES, part_bytes
from tests.unit.production.bags import FILES, ID, sealed
from vault.service.limits import MAX_OBJECT_BYTES, MAX_PUT_BYTES


def test_it_has_every_file_under_one_name(tmp_path: Path) -> None:
    root = sealed(tmp_path / "bag")
    with zipfile.ZipFile(BytesIO(b"".join(pieces(root, ID)))) as packed:
        assert packed.testzip() is None
        names = packed.namelist()
        assert names == sorted(names)
        assert {name.split("/")[0] for name in names} == {f"production-{ID}"}
        there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        assert {name.partition("/")[2] for name in names} == there
        for name, data in FILES.items():
            assert packed.read(f"production-{ID}/{name}") == data


def test_it_is_the_same_whenever_it_is_packed_and_of_the_size_and_digest_that_were_measured(tmp_path: Path) -> None:
    root = sealed(tmp_path / "bag")
    first = b"".join(pieces(root, ID))
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    (root / ".unfinished.json").write_text("{}")  # no part of it
    assert b"".join(pieces(root, ID)) == first
    packed = measured(root, ID, lambda: None)
    assert packed.size == len(first)
    assert packed == measured(sealed(tmp_path / "other"), ID, lambda: None)


def test_another_program_opens_it(tmp_path: Path) -> None:
    (tmp_path / "it.zip").write_bytes(b"".join(pieces(sealed(tmp_path / "bag"), ID)))
    subprocess.run(["unzip", "-tq", tmp_path / "it.zip"], check=True, stdout=subprocess.DEVNULL)


def test_it_comes_in_pieces_and_ends_when_told_to(tmp_path: Path) -> None:
    root = sealed(tmp_path / "bag")
    assert all(len(piece) < 3 << 20 for piece in pieces(root, ID))

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        measured(root, ID, stop)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data/natives/000001-a", b"two"),
        ("data/natives/000002-empty", None),
        ("manifest-sha256.txt", b""),
        ("tagmanifest-sha256.txt", None),
        ("tagmanifest-sha256.txt", b"no line of it\n"),
        ("tagmanifest-sha256.txt", b"0" * 64 + b"  ../escape\n"),
    ],
)
def test_what_was_changed_is_not_packed(tmp_path: Path, name: str, data: bytes | None) -> None:
    root = sealed(tmp_path / "bag")
    if data is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(data)
    with pytest.raises(BagChanged):
        list(pieces(root, ID))


def test_its_id_is_the_bags(tmp_path: Path) -> None:
    root = sealed(tmp_path / "bag")
    assert identifier(root) == ID
    (root / ".unfinished.json").write_text("{}")
    with pytest.raises(ProductionFailed, match="not finished"):
        identifier(root)
    with pytest.raises(ProductionFailed, match="holds no finished production"):
        identifier(tmp_path)


@pytest.mark.parametrize("size", [PART_BYTES + 1, MAX_PUT_BYTES, PART_BYTES * MAX_PARTS + 1, MAX_OBJECT_BYTES])
def test_an_archive_of_any_size_has_no_more_parts_than_it_may(size: int) -> None:
    part = part_bytes(size)
    assert -(-size // part) <= MAX_PARTS
    assert PART_BYTES <= part <= MAX_PUT_BYTES


def test_a_file_of_it_is_durable_before_its_success_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, file = sealed(tmp_path / "bag"), tmp_path / "it.zip"
    synced: list[tuple[str, int]] = []

    def sync(fd: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{fd}").readlink()), file.stat().st_size))

    monkeypatch.setattr(os, "fsync", sync)
    said = CliRunner().invoke(archive, [str(root), str(file)])
    assert said.exit_code == 0, said.output
    size = file.stat().st_size
    assert synced == [(str(file), size), (str(tmp_path), size)]
