"""Whatever ends the process while it erases, the next start ends with every erasure done once and nothing else gone."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import SmallVault, version_of
from tests.doubles.syscalls import EIO, Crash, Syscalls
from vault.errors import CorruptError, VaultError
from vault.record import decode
from vault.times import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vault.ports import Done, Intent


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


def prepare(root: Path) -> int:
    """A stopped vault with what waits to be erased (a body, a blob, parts, an upload's document); the time there."""
    vault = SmallVault(root)
    lock = vault.clocks.until(2)
    body, blob = vault.put("body", lock), vault.put("blob", lock, kind="blob")
    upload, parts = vault.upload("parts", 2, lock)
    done = vault.complete("parts", upload, parts, lock)
    vault.put("kept")
    vault.put("kept blob", kind="blob")
    vault.clocks.now += 60 * DAY_NS
    for key, put in (("body", body), ("blob", blob), ("parts", done)):
        vault.delete(key, version_of(put))
    vault.settle()
    now = vault.clocks.now
    vault.stop()
    return now


def erases_fully(root: Path, now: int) -> None:
    """A fresh start does the rest: a record for each, and only what was kept is left."""
    vault = SmallVault(root, now)
    vault.eraser.step()
    heads = [decode(record) for record in vault.records()]
    made = {
        tail.object.key: head.seq for head, tail in heads if tail.object and tail.storage and tail.op == "object.put"
    }
    done = next(head.seq for head, tail in heads if tail.op == "multipart.complete")
    parts = [head.seq for head, tail in heads if tail.op == "multipart.part"]
    opened = next(head.seq for head, tail in heads if tail.op == "multipart.create")
    assert sorted(vault.erased()) == sorted([made["body"], made["blob"], opened, done])
    assert not any(seq in vault.packs for seq in (made["body"], made["blob"], opened, done, *parts))
    assert all(seq in vault.packs for seq in (made["kept"], made["kept blob"]))
    assert len(vault.blob_files()) == 1
    assert vault.garbage() == {}
    assert {domain.month for domain in vault.keyring.domains} == {"none"}
    assert vault.eraser.refused == {}
    vault.stop()


class DeadJournal:
    """The process ended before any record was submitted."""

    max_payload = 1 << 20

    def submit(self, intents: Sequence[Intent], done: Sequence[Done]) -> NoReturn:
        raise Crash


@pytest.mark.parametrize("error", [0, EIO], ids=["crash", "error"])
def test_a_crash_or_an_error_at_any_call_is_made_good(memory: Path, error: int) -> None:
    now = prepare(memory / "a")
    for stop in itertools.count():
        root = memory / "image"
        shutil.copytree(memory / "a", root)
        vault = SmallVault(root, now)
        vault.eraser._journal = DeadJournal()
        with pytest.MonkeyPatch.context() as patch:
            calls = Syscalls(patch, stop, error)
            with pytest.raises((Crash, VaultError, CorruptError)):
                vault.eraser.step()
            patch.undo()
        vault.stop()
        erases_fully(root, now)
        shutil.rmtree(root)
        if stop >= len(calls.trace):
            assert stop > 25
            break


POINTS = ["erase.judged", "erase.blobs", "erase.packs", "erase.keys", "erase.recorded"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_crash_point_is_made_good(memory: Path, point: str) -> None:
    now = prepare(memory)
    code = (
        "import pathlib, sys; from tests.doubles.small_vault import SmallVault;"
        "SmallVault(pathlib.Path(sys.argv[1]), int(sys.argv[2])).eraser.step()"
    )
    environment = {**os.environ, "STRONGROOM_CRASH_POINT": point}
    ended = subprocess.run([sys.executable, "-c", code, str(memory), str(now)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    erases_fully(memory, now)
