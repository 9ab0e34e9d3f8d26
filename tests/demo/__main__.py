"""``make demo``: a day of a broker's records, and everything somebody might do to them.

Exit code 0 if every step went as it must, 1 if one did not.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from tests.demo.firm import isolate
from tests.demo.server import Failed
from tests.demo.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> int:
    """Run the demo; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work in this new directory, and leave it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    isolate()
    started = time.monotonic()
    print("A broker's day in a Strongroom vault: stored, attacked, sealed, verified, forged.")
    try:
        with _home(options.keep) as home:
            Story(home).tell()
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (Failed, ClientError, BotoCoreError, OSError, subprocess.TimeoutExpired) as error:
        print(f"\nThis did not go as it must: {error}", file=sys.stderr)
        return 1
    print(f"\nAll of it went as it must, in {time.monotonic() - started:.0f} s. Next:")
    if options.keep is None:
        print("   .venv/bin/python -m tests.demo --keep DIR    the same, and leave everything in DIR to look at")
    else:
        print(f"   zstdcat {options.keep}/vault/streams/*/ledger/*.zst | less    read the settled records")
        print(f"   .venv/bin/strongroom serve --data {options.keep}/vault    go on with this vault")
    print("   make run                                     a vault of your own; README.md shows it with the AWS CLI")
    return 0


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """Where everything is made: a temporary directory, or a new one to be left."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="strongroom-demo-") as name:
            yield Path(name)
        return
    if keep.exists():
        raise Failed(f"{keep} is there already; name a new directory")
    keep.mkdir(parents=True)
    yield keep.absolute()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
