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


def gone(seq: int) -> bytes:
    """The leaf hash of an entry that was pruned."""
    return hashlib.sha256(b"\0entry %d" % seq).digest()


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


def export(target: Path, log: list[bytes], size: int) -> list[int]:
    def records(start: int, end: int) -> Iterator[bytes]:
        yield from log[start:end]

    steps: list[int] = []
    export_log(target, Checkpoint("log", size, mth(log[:size])), NOTE, records, gone, progress=steps.append)
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


def test_what_was_pruned_is_an_empty_entry_and_a_hash(tmp_path: Path) -> None:
    log = entries(300)
    kept = [b"" if number in {0, 7, 255} else entry for number, entry in enumerate(log)]
    made = Checkpoint("log", 300, mth(log))
    export_log(tmp_path, made, NOTE, lambda a, b: iter(kept[a:b]), gone, progress=lambda _: None)
    found = files(tmp_path)
    assert found["tile/entries/000"].startswith(b"\0\0\0\x07entry 1\0")
    assert found["tile/0/000"] == b"".join(map(gone, range(256)))


def test_records_that_are_not_the_checkpoints_are_not_exported(tmp_path: Path) -> None:
    log = entries(300)
    root = mth(log)
    log[7] = b"another"
    with pytest.raises(LedgerCorrupt, match="not those that its checkpoint was made of"):
        export_log(
            tmp_path, Checkpoint("log", 300, root), NOTE, lambda a, b: iter(log[a:b]), gone, progress=lambda _: None
        )
    assert not (tmp_path / "checkpoint").exists()


def test_a_source_that_gives_too_few_records_is_noticed(tmp_path: Path) -> None:
    log = entries(300)
    made = Checkpoint("log", 300, mth(log))
    with pytest.raises(LedgerCorrupt):
        export_log(tmp_path, made, NOTE, lambda a, b: iter(log[a:299]), gone, progress=lambda _: None)


def test_a_directory_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExportFailed, match="not empty"):
        export(tmp_path, entries(3), 3)
    assert files(tmp_path) == {"mine": b"mine"}


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match="cannot be written"):
        export(tmp_path / "file" / "x", entries(3), 3)
