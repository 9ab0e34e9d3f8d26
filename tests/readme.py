"""The commands that README.md shows, so that tests can hold it to them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]

_CODE = re.compile(r"^```.*?^```|^ {4}[^\n]*|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    """Find where README's code calls a program.

    Args:
        program: Its name, as typed or as the last part of a path.

    Returns:
        The arguments of each call, up to the end of the line, a comment or a shell operator.
    """
    text = (ROOT / "README.md").read_text()
    call = re.compile(rf"(?:^|[\s`/]){re.escape(program)} ([^\n`#|&;<>\\]+)")
    return [found.split() for code in _CODE.findall(text) for found in call.findall(code)]
