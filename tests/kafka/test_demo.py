"""``make demo-kafka`` goes to its end, and leaves nothing behind, also where somebody interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compose.lab import kafka
from tests.demo.stage import INTERRUPTED
from tests.kafka.conftest import require_java
from tests.kafka.copies import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(700)
PATIENCE = 120
#: A shell's background job ignores Ctrl-C, and what it starts inherits that.
HEARS = ["env", "--default-signal=INT"]
DEMO = [sys.executable, "-m", "tests.demo.relayed"]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, which makes its directory in ``tmp_path``."""
    require_java()
    kafka.install()  # else the first line waits for it
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*HEARS, *DEMO], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def left(root: Path) -> list[str]:
    """What is left below a directory, and commands of processes that work there."""
    found = [path.name for path in root.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if os.fsencode(root) in command:
            found.append(command.decode(errors="replace"))
    return found


def test_it_goes_to_its_end(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    said, told = demo.communicate(timeout=5 * PATIENCE)
    assert (demo.returncode, told) == (0, ""), said
    assert said.count("\n   GOOD") == 5
    assert said.count("each once, in order, byte by byte") == 2
    assert said.count(": BAD\n") == 1
    assert "head removed" in said
    assert left(tmp_path) == []


@pytest.mark.parametrize(("step", "sign"), [("1. ", signal.SIGTERM), ("3. ", signal.SIGINT)])
def test_interrupted_it_leaves_no_process_and_no_directory(
    demo: subprocess.Popen[str], tmp_path: Path, step: str, sign: signal.Signals
) -> None:
    assert demo.stdout is not None
    assert any(line.startswith(step) for line in demo.stdout)
    assert left(tmp_path)
    demo.send_signal(sign)
    _, told = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == INTERRUPTED
    assert told == "\ninterrupted\n"
    until(lambda: not left(tmp_path), "the end of what it killed")


def test_without_java_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        DEMO, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: java is not there: install Debian's default-jdk-headless and maven\n"
