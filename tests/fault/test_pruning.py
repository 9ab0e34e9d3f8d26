"""Whatever ends the process while it prunes, what is gone is what a record names, and the next pass does the rest."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from audit.ledger import SettledLedger
from audit.query.filter import condition
from audit.verify.command import main as verify
from tests.doubles.aged_vault import AgedVault
from tests.doubles.memory import memory_directory
from tests.doubles.syscalls import EIO, Crash, Syscalls
from tests.doubles.traffic import Traffic
from tests.fault.test_kill import PRUNING
from vault.errors import VaultError
from vault.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory / "v"


def lived(root: Path) -> tuple[dict[int, bytes], int]:
    """A stopped vault with two old segments of looks; its records, and the time there."""
    vault = AgedVault(root)
    for _ in range(2):
        vault.put("locked", days=1000)
        vault.look("locked", 100)
        vault.look("none", 100)
        vault.settle()
    vault.age()
    before = dict(vault.node.history.read(0))
    while vault.node.view.step():
        pass
    return before, vault.close()


CODE = (
    "import pathlib, sys; from tests.doubles.aged_vault import AgedVault;"
    "AgedVault(pathlib.Path(sys.argv[1]), int(sys.argv[2])).prune()"
)


@pytest.mark.parametrize("point", PRUNING)
def test_a_kill_at_each_crash_point_is_made_good(root: Path, point: str, capsys: pytest.CaptureFixture[str]) -> None:
    before, now = lived(root)
    environment = {**os.environ, "STRONGROOM_CRASH_POINT": point}
    ended = subprocess.run([sys.executable, "-c", CODE, str(root), str(now)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert verify([str(root)]) == 0, capsys.readouterr().out
    vault = AgedVault(root, now)
    vault.prune()
    after = dict(vault.node.history.read(0))
    gone = {seq for seq, record in after.items() if not record}
    assert {seq: before[seq] for seq in before.keys() - gone} == {
        seq: record for seq, record in after.items() if seq in before and record
    }
    assert len(gone) > 200
    assert not any(b'"locked"' in before[seq] for seq in gone)
    assert vault.node.view.catch_up(max(after) + 1, 60)
    told = condition([]).within("position <= ?", max(after))
    rows = vault.node.view.select("position, leaf", told, "ORDER BY position")
    assert rows == [(seq, leaf_hash(record)) for seq, record in after.items() if record]
    vault.close()
    assert verify([str(root)]) == 0, capsys.readouterr().out


class Leave:
    """Leave to prune the first hundred records."""

    first, end = 0, 512

    def covers(self, seq: int) -> bool:
        return seq < 100


@pytest.mark.parametrize("error", [0, EIO, errno.ENOSPC], ids=["crash", "error", "full"])
def test_a_crash_or_an_error_at_any_call_leaves_a_whole_segment(root: Path, error: int) -> None:
    root.mkdir()
    records = [entry.record for entry in Traffic(2).mixed(256 * 3)]
    ledger = SettledLedger(root)
    ledger.add([records[:256], records[256:512]])
    ledger.add([records[512:]])
    thinned = [b""] * 100 + records[100:]
    for stop in itertools.count():
        image = root.with_name("image")
        shutil.copytree(root, image)
        ledger = SettledLedger(image)
        with pytest.MonkeyPatch.context() as patch:
            calls = Syscalls(patch, stop, error)
            with contextlib.suppress(Crash, VaultError, LedgerCorrupt):
                ledger.thin(Leave())
            patch.undo()
        found = [record for _, record in SettledLedger(image).iterate(0)]
        assert found in (records, thinned)
        shutil.rmtree(image)
        if stop >= len(calls.trace):
            assert stop > 5
            assert found == thinned
            break
