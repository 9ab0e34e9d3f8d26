"""A log of real traffic, in the hands of those who have nothing of ours: Go, and Python with one file.

``strongroom-verify.pyz`` runs with no environment, no packages and from somewhere else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audit.verify.build import archive
from tests.golang import GO
from tests.strangers.conftest import run, tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from tests.strangers.conftest import Door

STREAM = "site-a.node-1"
SOURCES = Path(__file__).with_name("tlog")


@pytest.fixture(scope="session")
def pyz(once: Callable[[str], Path]) -> Callable[..., CompletedProcess[str]]:
    """Runs the verifier's one file."""
    path = once("pyz") / "strongroom-verify.pyz"
    path.write_bytes(archive())
    python = getattr(sys, "_base_executable", sys.executable)  # outside our environment

    def verify(*arguments: str | Path) -> CompletedProcess[str]:
        return run(python, "-I", "-S", path, *arguments, env={}, cwd=Path("/"))

    return verify


@pytest.fixture
def log(door: Door, bucket: str, tmp_path: Path) -> Path:
    """The log, exported while the server runs, and its key beside it."""
    vkey = door.server.cli("log", "vkey", STREAM)
    (tmp_path / "vkey").write_text(vkey.stdout)
    done = door.server.cli("log", "export", STREAM, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    return tmp_path / "log"


def test_go_and_python_find_the_same_root(
    log: Path, pyz: Callable[..., CompletedProcess[str]], once: Callable[[str], Path]
) -> None:
    vkey = log.with_name("vkey")
    mine = pyz(log, "--vkey", vkey, "--require-anchor", "--json")
    assert mine.returncode == 0, mine.stdout + mine.stderr
    answer = json.loads(mine.stdout)
    built = once("tlog") / "tlog"
    compiled = run(tool("go"), "build", "-o", built, ".", env=GO, cwd=SOURCES)
    assert compiled.returncode == 0, compiled.stderr
    stranger = run(built, log, vkey.read_text().strip(), env={}, cwd=log)
    assert (stranger.returncode, stranger.stdout) == (0, f"{answer['size']} {answer['root']}\n"), stranger.stderr


def test_a_changed_byte_is_named(log: Path, pyz: Callable[..., CompletedProcess[str]]) -> None:
    bundle = next(path for path in sorted((log / "tile/entries").rglob("*")) if path.is_file())
    content = bundle.read_bytes()
    bundle.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    done = pyz(log)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{bundle.relative_to(log)} entry 0" in done.stdout


def test_a_running_server_shows_its_hashes_and_wants_a_token_for_its_records(
    door: Door, bucket: str, pyz: Callable[..., CompletedProcess[str]]
) -> None:
    done = pyz(f"{door.server.audit_endpoint}/v1/log/{STREAM}")
    assert (done.returncode, done.stderr) == (2, "")
    assert "401" in done.stdout
    assert "--token-file" in done.stdout


def test_a_data_directory_needs_the_installed_command(
    door: Door, bucket: str, pyz: Callable[..., CompletedProcess[str]]
) -> None:
    done = pyz(door.server.data)
    assert (done.returncode, done.stderr) == (2, "")
    assert "install strongroom" in done.stdout
