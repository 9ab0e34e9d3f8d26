from __future__ import annotations

import os
import signal
import subprocess
import sys


def run(armed: str) -> int:
    calls = "crash_point('a'); crash_point('b'); crash_point('b')"
    code = f"from audit.crash import crash_point; {calls}; raise SystemExit(3)"
    environment = {**os.environ, "STRONGROOM_CRASH_POINT": armed}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode


def test_an_armed_crash_point_kills_and_no_other_does_anything() -> None:
    assert run("b") == -signal.SIGKILL
    assert run("c") == 3
    assert run("") == 3


def test_a_later_passing_can_be_armed() -> None:
    assert run("b:2") == -signal.SIGKILL
    assert run("b:3") == 3
