"""``make demo``: a day of a broker's records, and everything somebody might do to them.

Exit code 0 if every step went as it must, 1 if one did not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.demo.stage import play
from tests.demo.story import Story


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work in this new directory, and leave it")
    options = parser.parse_args()
    title = "A broker's day in a Strongroom vault: stored, attacked, sealed, verified, forged."
    if code := play(title, lambda home: Story(home).tell(), options.keep):
        return code
    if options.keep is None:
        print("   .venv/bin/python -m tests.demo --keep DIR    the same, and leave everything in DIR to look at")
    else:
        print(f"   zstdcat {options.keep}/vault/streams/*/ledger/*.zst | less    read the settled records")
        print(f"   .venv/bin/strongroom serve --data {options.keep}/vault    go on with this vault")
    print("   make run                                     a vault of your own; README.md shows it with the AWS CLI")
    return 0


if __name__ == "__main__":
    sys.exit(main())
