from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from vault.errors import IntegrityError, NoSpace
from vault.storage.spool import MEMORY_BYTES, Spool

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [0, 1, MEMORY_BYTES, MEMORY_BYTES + 1, MEMORY_BYTES + 3_000_001]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_anywhere_and_has_no_name(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    with Spool(tmp_path, 0) as spool:
        for start in range(0, size, 700_001):
            spool.write(memoryview(data)[start : start + 700_001])
        assert spool.size == size
        assert list(tmp_path.iterdir()) == []
        for start in (0, 1, size // 3, max(size - 1_048_577, 0), max(size - 1, 0), size):
            for length in (0, 1, 512, 1 << 20, (1 << 20) + 1, size):
                end = min(start + length, size)
                assert spool.read(start, end - start) == data[start:end]


def test_no_plaintext_is_in_the_file(tmp_path: Path) -> None:
    secret = b"nobody may find this on a disk! "
    with Spool(tmp_path, 0) as spool:
        spool.write(secret * (MEMORY_BYTES // 32 + 100_000))
        stored = os.pread(spool._fd, 1 << 30, 0)
        assert len(stored) > MEMORY_BYTES
        assert secret not in stored


def test_a_disk_that_gives_other_bytes_back_is_noticed(tmp_path: Path) -> None:
    with Spool(tmp_path, 0) as spool:
        spool.write(bytes(MEMORY_BYTES + 1))
        os.pwrite(spool._fd, b"x", 5)
        with pytest.raises(IntegrityError):
            spool.read(0, 1)
        spool.read(2 << 20, 1)


def test_room_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(NoSpace):
        Spool(tmp_path, 1 << 60, MEMORY_BYTES + 1)
    with Spool(tmp_path, 1 << 60) as spool:
        spool.write(bytes(MEMORY_BYTES))
        with pytest.raises(NoSpace):
            spool.write(b"x")


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    spool.write(bytes(MEMORY_BYTES + 1))
    spool.close()
    spool.close()
