"""Changing evidence behind its keeper's back, in copies: one byte each, where nobody but a verifier would look."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.demo.exported import entries

if TYPE_CHECKING:
    from pathlib import Path


def of_record(log: Path, copy: Path, seq: int) -> Path:
    """Copy an exported log and change one byte in the middle of a record; the file that holds it."""
    shutil.copytree(log, copy)
    mark = b'"seq":%d,' % seq
    bundle, start, data = next(entry for entry in entries(copy) if mark in entry[2])
    flip(bundle, start + len(data) // 2)
    return bundle


def of_object(data_directory: Path, copy: Path) -> Path:
    """Copy a data directory and change one byte of stored ciphertext; the file that holds it.

    Views are left out: all in them can be rebuilt.
    """
    shutil.copytree(data_directory, copy, ignore=shutil.ignore_patterns("views"))
    pack = max((copy / "packs").iterdir(), key=lambda path: path.stat().st_size)
    flip(pack, pack.stat().st_size // 2)
    return pack


def flip(path: Path, offset: int) -> None:
    """Flip the lowest bit of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(flipped(byte, 0))


def flipped(data: bytes, at: int) -> bytes:
    """The same bytes, with the lowest bit of one of them flipped."""
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
