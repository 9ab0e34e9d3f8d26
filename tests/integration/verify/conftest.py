"""A log with one of everything, exported and as a data directory, and the command that judges it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest

from audit.verify.command import main
from tests.doubles.logbuilder import LogBuilder, instant, mth
from tests.doubles.vaultbuilder import Plan, write_vault

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(512, 256, [(3, 1, [(500, 20), (520, 30)]), (5, 2, [(520, 30), (550, 40), (590, 11)])])


class Verify(Protocol):
    """Runs the command: exit code and its JSON."""

    def __call__(self, target: Path | str, *options: Path | str) -> tuple[int, dict[str, Any]]: ...


class Museum(NamedTuple):
    """What the tests tamper with copies of."""

    log: LogBuilder
    export: Path
    vault: Path
    vkey: Path

    def log_root(self) -> str:
        return mth(self.log.leaves()).hex()


def whole_log() -> LogBuilder:
    """600 records: bodies of every kind in packs, blobs and the commit log, a lock, an erasure, an orderly stop."""
    log = LogBuilder()
    log.start()
    locked = log.put("locked", lock={"mode": "COMPLIANCE", "until": instant(0, 365)})
    log.put("large", size=1000, kind="blob")
    log.upload("parts", "u1")
    log.part("parts", "u1", 1, 200)
    log.part("parts", "u1", 2, 300, kind="blob")
    log.complete("parts", "u1")
    gone = log.put("gone")
    log.on("object.delete", gone)
    log.denied("object.delete", object={"bucket": "b", "key": "locked", "version_id": locked})
    log.make("object.delete", "locked", marker=True)
    log.put("имя/漢字")
    log.fill(530)
    log.put("late", size=500)
    log.put("late blob", size=2000, kind="blob")
    log.erase(gone)
    log.fill(600)
    log.record("ledger.stop", ledger={"incarnation": 2})
    return log


ERASED = 10


@pytest.fixture(scope="session")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Museum:
    root = tmp_path_factory.mktemp("museum")
    log = whole_log()
    assert log.entries[ERASED].fields["object"]["key"] == "gone"
    log.write_export(root / "export")
    write_vault(log, root / "vault", PLAN, unpacked=frozenset([ERASED]))
    (root / "vkey").write_text(f"{log.vkey()}\n")
    return Museum(log, root / "export", root / "vault", root / "vkey")


@pytest.fixture
def export(museum: Museum, tmp_path: Path) -> Path:
    """A copy to be tampered with."""
    return shutil.copytree(museum.export, tmp_path / "export")


@pytest.fixture
def vault(museum: Museum, tmp_path: Path) -> Path:
    """A copy to be tampered with, and its local anchor."""
    shutil.copytree(museum.vault.with_name("vault.anchor"), tmp_path / "vault.anchor")
    return shutil.copytree(museum.vault, tmp_path / "vault")


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(target: Path | str, *options: Path | str) -> tuple[int, dict[str, Any]]:
        code = main([str(target), "--json", *map(str, options)])
        captured = capsys.readouterr()
        assert captured.err == ""
        answer: dict[str, Any] = json.loads(captured.out)
        assert (code == 1) == (answer["result"] == "bad") == bool(answer["first_bad"])
        return code, answer

    return run
