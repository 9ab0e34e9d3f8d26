"""A crash before, and an error at, every system call of adding to packs and of compacting them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.doubles.keys import Token
from tests.doubles.syscalls import EIO, Crash, Syscalls
from vault.errors import CorruptError, DurabilityError
from vault.storage.packs import PackStore, body_name

if TYPE_CHECKING:
    from pathlib import Path

BODIES = {seq: b"body %d" % seq for seq in range(6)}
GONE = {0: Token(body_name("s", 0)), 4: Token(body_name("s", 4))}
LEFT = {seq: body for seq, body in BODIES.items() if seq not in GONE}


def add(store: PackStore) -> None:
    store.add("b", "", [(seq, memoryview(body)) for seq, body in BODIES.items()])


def holds(store: PackStore, bodies: dict[int, bytes]) -> bool:
    return all(seq in store and store.read(seq, 0, len(body)) == body for seq, body in bodies.items())


@pytest.mark.parametrize("error", [0, EIO], ids=["crash", "error"])
def test_adding_is_all_or_nothing(tmp_path: Path, error: int) -> None:
    for stop in itertools.count():
        directory = tmp_path / str(stop)
        directory.mkdir()
        store = PackStore(directory, "s")
        with pytest.MonkeyPatch.context() as patch:
            calls = Syscalls(patch, stop, error)
            try:
                add(store)
            except (Crash, DurabilityError, CorruptError):
                pass
            else:
                assert stop == len(calls.trace)
                break
        again = PackStore(directory, "s")
        assert holds(again, BODIES) or not any(seq in again for seq in BODIES)
        if not holds(again, BODIES):
            add(again)
        assert holds(again, BODIES)
        assert len(list(directory.iterdir())) == 1


@pytest.mark.parametrize("error", [0, EIO], ids=["crash", "error"])
def test_compaction_never_loses_what_stays_and_can_be_repeated(tmp_path: Path, error: int) -> None:
    for stop in itertools.count():
        directory = tmp_path / str(stop)
        directory.mkdir()
        store = PackStore(directory, "s")
        add(store)
        with pytest.MonkeyPatch.context() as patch:
            calls = Syscalls(patch, stop, error)
            try:
                store.erase(GONE)
            except (Crash, DurabilityError, CorruptError):
                pass
            else:
                assert stop == len(calls.trace)
                break
        again = PackStore(directory, "s")
        assert holds(again, LEFT)
        again.erase(GONE)
        assert holds(again, LEFT)
        assert not any(seq in again for seq in GONE)
        assert len(list(directory.iterdir())) == 1
        assert not any(b"body 4" in path.read_bytes() for path in directory.iterdir())
