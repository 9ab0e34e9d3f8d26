"""Whatever ends the process while it settles, the next start finds every record and every body, each once."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from tests.doubles.memory import memory_directory
from tests.doubles.stream import Stream
from tests.doubles.syscalls import EIO, Crash, Syscalls
from tests.doubles.traffic import Traffic
from vault.errors import CorruptError, DurabilityError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.doubles.traffic import Entry


def _traffic() -> Sequence[Entry]:
    """Mostly records without a body, and few groups of bodies: hundreds of runs."""
    traffic = Traffic(5)
    for seq in range(270):
        if seq % 30:
            traffic.look()
        else:
            traffic.put(("log", "parts", "blob")[seq // 30 % 3])
    return traffic.entries


ENTRIES = _traffic()


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


def committed(root: Path) -> None:
    """A stopped stream with two closed segments, nothing settled."""
    stream = Stream(root)
    for start in (0, 150):
        stream.append(ENTRIES[start : start + 150])
        stream.roll()
    stream.stop()


def settles_fully(root: Path) -> None:
    """A fresh start finds everything, settles the rest, and finds everything again."""
    stream = Stream(root)
    stream.check(ENTRIES)
    stream.roll()
    stream.settle()
    stream.check(ENTRIES)
    assert stream.ledger.end == 256
    stored = [seq for seq, entry in enumerate(ENTRIES) if entry.body]
    packed = [seq for seq, _ in stream.packs.read_back(range(len(ENTRIES)))]
    assert sorted(packed) == stored
    held = [(seq, path) for path in stream.packs._view.packs for seq in path.index.seqs]
    assert sorted(seq for seq, _ in held) == stored  # in one pack each
    names = [path.name for folder in ("commit", "ledger", "packs") for path in (root / folder).iterdir()]
    assert not [name for name in names if name.endswith(".tmp")]
    stream.stop()
    again = Stream(root)
    again.check(ENTRIES)
    again.stop()


@pytest.mark.parametrize("error", [0, EIO], ids=["crash", "error"])
def test_a_crash_or_an_error_at_any_call_loses_nothing(memory: Path, error: int) -> None:
    committed(memory / "a")
    for stop in itertools.count():
        root = memory / "image"
        shutil.copytree(memory / "a", root)
        stream = Stream(root)
        with pytest.MonkeyPatch.context() as patch:
            calls = Syscalls(patch, stop, error)
            try:
                stream.settle()
            except (Crash, DurabilityError, CorruptError, LedgerCorrupt):
                pass
            else:
                assert stop == len(calls.trace)
                assert stop > 60
                break
            finally:
                patch.undo()
                stream.stop()
        settles_fully(root)
        shutil.rmtree(root)


POINTS = ["settle.records", "settle.bodies", "settle.verified", "settle.retired", "settle.zeroing", "settle.recycled"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_crash_point_loses_nothing(memory: Path, point: str) -> None:
    committed(memory)
    code = "import pathlib, sys, tests.doubles.stream as s; s.Stream(pathlib.Path(sys.argv[1])).settle()"
    environment = {**os.environ, "STRONGROOM_CRASH_POINT": point}
    ended = subprocess.run([sys.executable, "-c", code, str(memory)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    settles_fully(memory)


def test_crashes_one_after_the_other_lose_nothing(memory: Path) -> None:
    """Each start settles a little further than the one before."""
    committed(memory)
    for stop in itertools.count(3, 9):
        stream = Stream(memory)
        with pytest.MonkeyPatch.context() as patch:
            Syscalls(patch, stop)
            try:
                stream.settle()
                break
            except Crash:
                pass
            finally:
                patch.undo()
                stream.stop()
    settles_fully(memory)
