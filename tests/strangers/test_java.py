"""AWS's SDK for Java, which signs every chunk in the clear: ``javas3`` says what is stored and read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.strangers.conftest import run, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.strangers.conftest import Door

SOURCES = Path(__file__).with_name("javas3")
TESTS = re.findall(r'case "([^"]+)" ->', (SOURCES / "Strangers.java").read_text())


@pytest.fixture(scope="session")
def classpath(once: Callable[[str], Path]) -> str:
    """The program, compiled, and what it needs."""
    mvn, javac = tool("mvn"), tool("javac")
    built = once("javas3")
    listed = built / "classpath"
    done = run(
        mvn, "-q", "-B", "dependency:build-classpath", f"-Dmdep.outputFile={listed}", env=os.environ, cwd=SOURCES
    )
    assert done.returncode == 0, done.stdout + done.stderr
    path = f"{built}:{listed.read_text().strip()}"
    done = run(javac, "-encoding", "UTF-8", "-cp", path, "-d", built, "Strangers.java", env=os.environ, cwd=SOURCES)
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.timeout(300)  # the first one fetches and compiles
@pytest.mark.parametrize("name", TESTS)
def test_java_sdk(door: Door, bucket: str, classpath: str, name: str) -> None:
    # One start of many: what a long run would gain from compiling is lost here.
    done = door.run(
        tool("java"), "-XX:TieredStopAtLevel=1", "-cp", classpath, "Strangers", name, env={"BUCKET": bucket}
    )
    assert done.returncode == 0, done.stdout + done.stderr
