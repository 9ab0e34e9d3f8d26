"""Crash points: places where a fault test ends the process as a power cut would, with no clean-up.

``STRONGROOM_CRASH_POINT=name`` in the environment arms one, ``name:20`` its twentieth passing. They are part of the
product because a crash rule that only a test build can break is not tested. Without the variable a crash point costs
one comparison.
"""

from __future__ import annotations

import os
import signal
from itertools import count
from typing import Final

_ARMED, _, _PASSING = os.environ.get("STRONGROOM_CRASH_POINT", "").partition(":")
_left: Final = count(int(_PASSING or 1), -1)


def crash_point(name: str) -> None:
    """End this process with SIGKILL if ``name`` is the armed crash point; else do nothing."""
    if name == _ARMED and next(_left) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
