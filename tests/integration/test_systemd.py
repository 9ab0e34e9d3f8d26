"""The systemd unit: what systemd itself thinks of it, and that the server lives under what it forbids."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from audit.config import Settings
from audit.production.jobs import STOP_SECONDS
from tests.integration.served import STRONGROOM, Server
from tests.readme import ROOT

UNIT: Final = (ROOT / "compose" / "systemd" / "strongroom.service").read_text()
needs_systemd: Final = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
#: prctl(2): nothing writable becomes executable, and nothing executable writable, also in programs run from here.
PR_SET_MDWE: Final = 65


def told(name: str) -> list[str]:
    """All values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def analysed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_accepts_it_and_finds_little_exposed(tmp_path: Path) -> None:
    place = tmp_path / "strongroom.service"
    place.write_text(UNIT.replace("/opt/strongroom/bin/strongroom", sys.executable))
    verified = analysed("verify", "--man=no", place)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = analysed("security", "--offline=true", "--threshold=20", place)
    assert judged.returncode == 0, judged.stdout


def test_it_runs_our_commands_as_nobody_else_and_ends_them_in_time() -> None:
    (start,) = told("ExecStart")
    assert start.split()[1:3] == ["serve", "--data"]
    assert told("User") == ["strongroom"]
    assert told("CapabilityBoundingSet") == [""]
    assert "HUP" in told("ExecReload")[0]
    background = 60  # what it may take
    assert int(told("TimeoutStopSec")[0]) > Settings().limits.stop_s + STOP_SECONDS + background
    assert told("StartLimitBurst") == ["5"]


@needs_systemd
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_the_server_makes_only_calls_that_it_lets_through(tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    class Watched(Server):
        program = ("strace", "-f", "-qq", "-o", trace, "-e", "signal=none", STRONGROOM)

        @property
        def pid(self) -> int:
            (child,) = Path(f"/proc/{super().pid}/task/{super().pid}/children").read_text().split()
            return int(child)

    served = Watched(tmp_path)
    assert served.cli("records", "--count").returncode == 0
    assert served.stop() == 0
    made = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", trace.read_text(), re.MULTILINE))
    assert {"fdatasync", "clock_adjtime"} <= made
    # set_mempolicy is a hint of an allocator's, which lives without; execve is of strace's own child.
    assert made - let_through() <= {"set_mempolicy"}
    refused = [line for line in trace.read_text().splitlines() if "PROT_EXEC" in line and "mprotect" in line]
    assert refused == []


def let_through() -> set[str]:
    """System calls that the unit's filters leave."""
    groups: dict[str, set[str]] = {}
    for line in analysed("syscall-filter", "--no-pager").stdout.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), set())
        elif line.startswith("    ") and not line.strip().startswith("#"):
            group.add(line.strip())

    def members(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        return set().union(*map(members, groups[name]))

    allowed: set[str] = set()
    for value in told("SystemCallFilter"):
        named = set().union(*map(members, value.removeprefix("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def test_the_server_lives_where_memory_is_never_both_written_and_run(tmp_path: Path) -> None:
    assert told("MemoryDenyWriteExecute") == ["yes"]
    launcher = tmp_path / "under.py"
    launcher.write_text(
        "import ctypes, os, sys\n"
        f"ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0)\n"  # a kernel before 6.3 does not know it
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )

    class Under(Server):
        program = (sys.executable, launcher, STRONGROOM)

    served = Under(tmp_path)
    assert json.loads(served.cli("records", "--json").stdout)
    assert os.path.exists(f"/proc/{served.pid}")  # noqa: PTH110 - a name of the kernel's
    assert served.stop() == 0, served.errors
