"""A real vault in a directory of its own: the ``strongroom`` command, and the server that it starts."""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMAND: Final = Path(sys.executable).with_name("strongroom")
#: Within which the server must answer, or a command end, in seconds.
PATIENCE_S: Final = 120
#: Lines of the server's log that a failure shows.
_LOG_LINES: Final = 15

_URL: Final = re.compile(r"http://[\w.:\[\]]+\d")


class Failed(Exception):
    """Something did not go as it must; the message is for whoever started us."""


class Server(NamedTuple):
    """A running server."""

    pid: int
    s3: str
    audit: str

    def worker(self) -> int:
        """The process of the worker that it has started: the relay.

        Raises:
            Failed: There is none.
        """
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in map(int, _content(task / "children").split()):
                if b"supervised" in _content(Path(f"/proc/{child}/cmdline")):
                    return child
        raise Failed("the server has no relay")


class Vault:
    """One data directory and everything beside it, under ``home``.

    Args:
        home: An existing directory.
        settings: Settings of the server, as its environment has them (``LEDGER__SEGMENT_MIB``).
    """

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.data = home / "vault"
        self.log = home / "server.log"
        mine = {f"STRONGROOM_{name}": value for name, value in (settings or {}).items()}
        # Whatever the caller has set for a vault of his own is not meant for this one.
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM_")} | mine

    def run(self, *arguments: str | Path, expect: int = 0, patience: float = PATIENCE_S) -> str:
        """Run a command to its end.

        Args:
            arguments: After ``strongroom``.
            expect: The exit code it must have.
            patience: Seconds that it may take.

        Returns:
            Its standard output.

        Raises:
            Failed: It ended otherwise.
        """
        return run([COMMAND, *arguments], self._environ, expect=expect, patience=patience)

    @contextmanager
    def serve(self) -> Iterator[Server]:
        """Serve on ports that are free, until the block ends; then the server is told to stop, and waited for.

        Raises:
            Failed: It does not start, or does not end well.
        """
        arguments: list[str | Path] = [
            COMMAND,
            "serve",
            "--data",
            self.data,
            "--s3",
            "127.0.0.1:0",
            "--audit",
            "127.0.0.1:0",
        ]
        with self.log.open("ab") as log:
            process = subprocess.Popen(arguments, env=self._environ, stdout=subprocess.PIPE, stderr=log, text=True)
        with process:
            try:
                urls = _URL.findall(_first_line(process))
                if len(urls) != 2:
                    raise Failed(f"the server did not start:\n{self.tail()}")
                yield Server(process.pid, *urls)
            finally:
                process.terminate()
                try:
                    code = process.wait(PATIENCE_S)
                except BaseException:
                    process.kill()
                    raise
            if code:
                raise Failed(f"the server ended with exit code {code}:\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


def run(arguments: list[str | Path], environ: Mapping[str, str], *, expect: int, patience: float = PATIENCE_S) -> str:
    """Run any program to its end; its standard output.

    Raises:
        Failed: It did not end with the exit code ``expect``.
    """
    done = subprocess.run(
        arguments, env=environ, capture_output=True, text=True, errors="replace", timeout=patience, check=False
    )
    if done.returncode != expect:
        told = "\n".join((done.stdout + done.stderr).splitlines()[-_LOG_LINES:])
        command = " ".join(map(str, arguments))
        raise Failed(f"exit code {done.returncode} where {expect} must be: {command}\n{told}")
    return done.stdout


def _content(path: Path) -> bytes:
    """What the kernel says there; nothing where that thread or process has ended."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _first_line(process: subprocess.Popen[str]) -> str:
    """What the server says once it answers; nothing where it does not in time."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(PATIENCE_S) else ""
