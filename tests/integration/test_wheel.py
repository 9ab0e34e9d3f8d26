"""The steps of compose/Dockerfile in a fresh virtual environment: an installed wheel runs without this tree."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_the_wheel_runs_with_the_locked_requirements_alone(tmp_path: Path) -> None:
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path / "wheels", ROOT]
    subprocess.run(build, check=True, timeout=120)
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    locked: list[str | Path] = [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
        ROOT / "requirements" / "run.txt",
    ]
    subprocess.run([*install, *locked], check=True, timeout=300)
    subprocess.run([*install, "--no-deps", *(tmp_path / "wheels").iterdir()], check=True, timeout=120)
    strongroom = tmp_path / "env" / "bin" / "strongroom"
    for arguments in (["--version"], ["init", "--data", tmp_path / "data"], ["verify", tmp_path / "data"]):
        done = subprocess.run([strongroom, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_dockerfile_takes_those_steps() -> None:
    text = (ROOT / "compose" / "Dockerfile").read_text()
    assert "pip wheel --no-deps --no-build-isolation" in text
    assert "--require-hashes --only-binary :all: --requirement /tmp/run.txt" in text
