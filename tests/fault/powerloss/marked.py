"""``strongroom``, which says before each sync where in its code it is: it asks for a path that names the place.

Run as ``python -m tests.fault.powerloss.marked`` with the arguments of ``strongroom``. The trace then tells syncs
apart, so that one recording shows what would be lost without any one of them.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

from audit.cli import main
from tests.fault.powerloss.replay import MARK
from vault import durable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

T = TypeVar("T")


def place(frame: FrameType) -> str:
    """Where a sync was asked for: a function, and of the two directories of a move which one."""
    name = frame.f_code.co_qualname
    if frame.f_code is durable.move.__code__:
        seen = frame.f_locals
        return f"{name}.{'new' if seen['directory'] == seen['new'].parent else 'old'}"
    return name


def marking(sync: Callable[[T], None]) -> Callable[[T], None]:
    """``sync``, with a mark before it."""

    def call(target: T) -> None:
        caller = sys._getframe(1)
        if caller.f_code.co_name != "fsync_dir":  # which was marked when it was called
            os.access(f"{MARK}{place(caller)}", os.F_OK)
        sync(target)

    return call


if __name__ == "__main__":
    for name in ("fsync_file", "fdatasync", "fsync_dir"):
        setattr(durable, name, marking(getattr(durable, name)))
    main()
