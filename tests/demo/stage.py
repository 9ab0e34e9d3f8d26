"""Where a demo is played: a directory that is made for it and goes with it, also where somebody interrupts."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from tests.demo.firm import isolate
from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Exit code of a demo that was interrupted.
INTERRUPTED: Final = 130


def play(title: str, tell: Callable[[Path], None], keep: Path | None = None) -> int:
    """Play a demo.

    Args:
        title: Its first line.
        tell: All of it, given the directory to work in.
        keep: Work in this new directory and leave it; None: in a temporary one.

    Returns:
        Its exit code: 0 if every step went as it must, 1 if one did not, :data:`INTERRUPTED`.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    isolate()
    started = time.monotonic()
    print(title)
    try:
        with _home(keep) as home:
            tell(home)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except (Failed, ClientError, BotoCoreError, OSError, subprocess.TimeoutExpired) as error:
        print(f"\nThis did not go as it must: {error}", file=sys.stderr)
        return 1
    print(f"\nAll of it went as it must, in {time.monotonic() - started:.0f} s. Next:")
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
