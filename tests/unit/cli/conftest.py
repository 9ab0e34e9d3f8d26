from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from audit.cli import cli
from tests.unit.cli.keys import PASSPHRASE
from vault.crypto import backup_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STRONGROOM_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("STRONGROOM_LEDGER__SEGMENT_MIB", "1")  # written in no time


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs ``strongroom`` in this process; nothing but an exit may come out of it."""

    def run(*arguments: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "COST", (16, 1, 1))


@pytest.fixture
def vault(tmp_path: Path, run: Callable[..., Result]) -> Path:
    assert run("init", "--data", tmp_path / "d").exit_code == 0
    return tmp_path / "d"


@pytest.fixture
def kept(tmp_path: Path, vault: Path, run: Callable[..., Result]) -> Path:
    """A backup of the vault's keys."""
    made = run("key", "backup", tmp_path / "keys", "--passphrase-stdin", "--data", vault, stdin=PASSPHRASE)
    assert made.exit_code == 0, made.output
    return tmp_path / "keys"
