"""Every durable system call of this process, listed, and a crash or an error at any of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

CALLS = ("open", "write", "pwritev", "fsync", "fdatasync", "link", "rename", "unlink", "mkdir")


class Crash(BaseException):
    """The process is gone: nothing catches this, and no later call reaches the disk."""


class Syscalls:
    """Lists calls as ``name:file`` (temporary files are ``temp``) and stops before call number ``stop_at``.

    With ``error`` that one call fails with it and later ones work; without, the process is dead from there on.
    A short ``pwritev`` is asked for by ``short``.
    """

    def __init__(self, patch: pytest.MonkeyPatch, stop_at: int = -1, error: int = 0, *, short: bool = False) -> None:
        self.trace: list[str] = []
        self._stop_at = stop_at
        self._error = error
        self._short = short
        for name in CALLS:
            patch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            number = len(self.trace)
            self.trace.append(f"{name}:{_file(args[-1] if name in ('link', 'rename') else args[0])}")
            if number == self._stop_at and self._error:
                raise OSError(self._error, os.strerror(self._error))
            if self._stop_at >= 0 and number >= self._stop_at and not self._error:
                raise Crash
            if name == "pwritev" and self._short:
                return real(args[0], [b"".join(args[1])[:-1]], *args[2:])
            return real(*args, **options)

        return call


def _file(target: Any) -> str:
    if isinstance(target, int):
        target = Path(f"/proc/self/fd/{target}").readlink()
    name = Path(target).name
    return "temp" if name.endswith(".tmp") else name


EIO = errno.EIO
