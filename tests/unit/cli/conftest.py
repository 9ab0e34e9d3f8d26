from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from audit.cli import cli

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
