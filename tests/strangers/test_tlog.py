"""Exported logs as golang.org/x/mod/sumdb reads them, and that it and the verifier agree at every edge of the tree."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from audit.verify.command import main
from tests.doubles.logbuilder import LogBuilder

if TYPE_CHECKING:
    from pathlib import Path

SIZES = [0, 1, 255, 256, 257, 511, 65_535, 65_536, 65_537]


@pytest.fixture(scope="module")
def log() -> LogBuilder:
    log = LogBuilder()
    log.start()
    log.fill(max(SIZES))
    return log


def ask(tlog_checker: Path, export: Path, log: LogBuilder) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tlog_checker, export, log.vkey()], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("size", SIZES)
def test_both_read_a_log_and_find_the_same_root(
    tlog_checker: Path, log: LogBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    log.write_export(tmp_path / "log", size)
    (tmp_path / "vkey").write_text(log.vkey())
    stranger = ask(tlog_checker, tmp_path / "log", log)
    assert stranger.returncode == 0, stranger.stderr
    assert main([str(tmp_path / "log"), "--vkey", str(tmp_path / "vkey"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert stranger.stdout == f"{size} {answer['root']}\n" == f"{answer['size']} {answer['root']}\n"


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000"])
def test_both_refuse_a_log_with_a_flipped_bit(
    tlog_checker: Path, log: LogBuilder, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    log.write_export(tmp_path / "log", 300)
    path = tmp_path / "log" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert ask(tlog_checker, tmp_path / "log", log).returncode == 1
    (tmp_path / "vkey").write_text(log.vkey())
    assert main([str(tmp_path / "log"), "--vkey", str(tmp_path / "vkey")]) == 1
    capsys.readouterr()
