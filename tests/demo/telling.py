"""How a demo speaks: numbered steps, what was seen, and commands as somebody would type them."""

from __future__ import annotations

import os
import shlex
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

#: How long a demo waits for something, in seconds.
PATIENCE_S: Final = 60


class Telling:
    """Prints what a demo does.

    Args:
        home: The directory that it works in, which commands are shown without.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._steps = 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._steps += 1
        print(f"\n{self._steps}. {title}", flush=True)

    def show(self, command: Sequence[str | Path]) -> None:
        """Print a command, its paths relative to where the demo is and works."""
        words = [str(word) for word in command]
        words[0] = os.path.relpath(words[0]) if Path(words[0]).is_relative_to(Path.cwd()) else Path(words[0]).name
        print(f"   $ {shlex.join(words)}".replace(f"{self._home}/", ""), flush=True)


def say(text: str) -> None:
    """Print something that was seen."""
    print(f"   {text}", flush=True)


def get(url: str) -> bytes:
    """What a server answers; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_S) as answer:
        data: bytes = answer.read()
    return data


def wait(ask: Callable[[], T | None], what: str) -> T:
    """Ask until there is an answer.

    Raises:
        Failed: There is none for too long.
    """
    end = time.monotonic() + PATIENCE_S
    while (found := ask()) is None:
        if time.monotonic() > end:
            raise Failed(f"waited {PATIENCE_S} s in vain for {what}")
        time.sleep(0.1)
    return found
