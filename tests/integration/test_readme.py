from __future__ import annotations

import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from tests.readme import commands

STRONGROOM = Path(sys.executable).with_name("strongroom")


def test_readme_shows_the_command_at_work() -> None:
    assert {"init", "serve", "verify"} <= {arguments[0] for arguments in commands("strongroom")}


@pytest.mark.parametrize("arguments", commands("strongroom"), ids=" ".join)
def test_every_command_in_readme_exists_with_its_options(arguments: list[str]) -> None:
    words = takewhile(lambda argument: not argument.startswith("-"), arguments)
    answer = subprocess.run([STRONGROOM, *words, "--help"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
    assert {option for option in options if option not in answer.stdout} == set()
