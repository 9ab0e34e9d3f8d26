from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from audit.checkpoint import Checkpoint
from audit.errors import LedgerCorrupt
from audit.export import ExportFailed, export_log
from tests.doubles.naive_tree import mth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTE = b"the note\n"


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def export(target: Path, log: list[bytes], size: int) -> list[int]:
    def records(start: int, end: int) -> Iterator[bytes]:
        yield from log[start:end]

    steps: list[int] = []
    export_log(target, Checkpoint("log", size, mth(log[:size])), NOTE, records, steps.append)
    return steps


def files(target: Path) -> dict[str, bytes]:
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_an_export_holds_every_entry_and_hash_tile_of_the_checkpoints_tree(tmp_path: Path, size: int) -> None:
    log = entries(size + 5)  # more than the checkpoint covers
    assert sum(export(tmp_path / "new" / "x", log, size)) == size
    made = files(tmp_path / "new" / "x")
    expected = {"checkpoint": NOTE}
    for index, start in enumerate(range(0, size, 256)):
        part = log[start : min(start + 256, size)]
        partial = f".p/{len(part)}" if len(part) < 256 else ""
        expected[f"tile/entries/{index:03}{partial}"] = b"".join(len(e).to_bytes(2, "big") + e for e in part)
        expected[f"tile/0/{index:03}{partial}"] = b"".join(hashlib.sha256(b"\0" + e).digest() for e in part)
    full = size // 256
    if full:
        expected[f"tile/1/000.p/{full}"] = b"".join(mth(log[n * 256 : n * 256 + 256]) for n in range(full))
    assert made == expected


def test_records_that_are_not_the_checkpoints_are_not_exported(tmp_path: Path) -> None:
    log = entries(300)
    root = mth(log)
    log[7] = b"another"
    with pytest.raises(LedgerCorrupt, match="not those that its checkpoint was made of"):
        export_log(tmp_path, Checkpoint("log", 300, root), NOTE, lambda a, b: iter(log[a:b]), lambda _: None)
    assert not (tmp_path / "checkpoint").exists()


def test_a_source_that_gives_too_few_records_is_noticed(tmp_path: Path) -> None:
    log = entries(300)
    with pytest.raises(LedgerCorrupt):
        export_log(tmp_path, Checkpoint("log", 300, mth(log)), NOTE, lambda a, b: iter(log[a:299]), lambda _: None)


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExportFailed, match="not empty"):
        export(tmp_path, entries(3), 3)
    assert files(tmp_path) == {"mine": b"mine"}


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match="cannot be written"):
        export(tmp_path / "file" / "x", entries(3), 3)
