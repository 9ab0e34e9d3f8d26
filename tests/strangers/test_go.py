"""AWS's SDK for Go and MinIO's, which signs every chunk: ``gos3`` says what is stored and read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.golang import GO
from tests.strangers.conftest import run, tool

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.strangers.conftest import Door

SOURCES = Path(__file__).with_name("gos3")
TESTS = sorted(name for path in SOURCES.glob("*_test.go") for name in re.findall(r"func (Test\w+)", path.read_text()))


@pytest.fixture(scope="session")
def program(once: Callable[[str], Path]) -> Path:
    """The tests, compiled."""
    go = tool("go")
    built = once("gos3") / "gos3.test"
    done = run(go, "test", "-c", "-o", built, ".", env=GO, cwd=SOURCES, patience=600)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.timeout(900)  # the first one compiles two SDKs
@pytest.mark.parametrize("name", TESTS)
def test_go_sdk(door: Door, bucket: str, program: Path, name: str) -> None:
    done = door.run(program, "-test.v", "-test.run", f"^{name}$", env={"BUCKET": bucket})
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"--- PASS: {name}" in done.stdout
