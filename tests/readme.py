"""The commands that README.md shows, and the tables it should, so that tests can hold it to them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from audit.controls import TABLE

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


def table_of_controls() -> str:
    """README's control table, as ``audit.controls`` has it; ``python -m tests.readme`` prints it to be put there."""
    lines = ["| Point | Asks for | Answered by | State |", "|---|---|---|---|"]
    for rule in TABLE:
        lines.append(f"| **{rule.name}** | {rule.citation} | | |")
        lines += [
            f"| {row.id}{'' if row.checked else ' ~'} | {row.asks} | {row.feature} | **{row.state}**: {row.why} |"
            for row in rule.requirements
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table_of_controls())
