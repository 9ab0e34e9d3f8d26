"""A real ``strongroom serve``: its own process, data directory and ports."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STRONGROOM = Path(sys.executable).with_name("strongroom")
#: How long a start or a stop may take on a busy machine, in seconds.
PATIENCE = 45
#: Nothing is recorded and nothing is logged but what somebody asks for, for an hour.
UNDISTURBED: Final = {"STRONGROOM_CLOCK__STATUS_INTERVAL_S": "3600", "STRONGROOM_SCRUB__INTERVAL_HOURS": "0"}
_READY = re.compile(r"ready: S3 on (https?://\S+), audit on (https?://\S+)$")


class Started(Protocol):
    """A process of ours that goes on until it is ended."""

    @property
    def running(self) -> bool: ...

    def kill(self) -> None: ...


#: All there were, so that the end of a test that failed can end those it left running.
STARTED: Final[set[Started]] = set()


def command(
    *arguments: str | Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    program: Sequence[str | Path] = (STRONGROOM,),
    patience: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run ``strongroom`` to its end, with no settings but these, in at most so many seconds."""
    return subprocess.run(
        [*program, *map(str, arguments)],
        input=stdin,
        env=environment(env or {}),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Ours without its settings, with small segments, which are written faster, and the log as people read it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STRONGROOM_")}
    return {**inherited, "STRONGROOM_LEDGER__SEGMENT_MIB": "8", "STRONGROOM_LOG__FORMAT": "text", **env}


class Server:
    """A vault under ``root`` that is being served, from the end of the constructor on.

    Ports stay the same from start to start, so that clients need not know of one.

    Args:
        root: An empty directory, in which the data directory is made; or one that holds a vault in ``data`` already.
        env: Variables for ``init`` and ``serve``.
        options: More of ``serve``.

    Attributes:
        program: What is run; begins with another program where that one watches.
    """

    program: Sequence[str | Path] = (STRONGROOM,)

    def __init__(self, root: Path, env: Mapping[str, str] | None = None, *options: str) -> None:
        self.data = root / "data"
        self.endpoint, self.audit_endpoint = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._errors = root / "stderr"
        self._env = dict(env or {})
        self._options = options
        if not self.data.exists():
            made = command("init", "--data", self.data, env=self._env, program=self.program)
            assert made.returncode == 0, made.stderr
        credentials = dict(line.split(" = ") for line in (self.data / "root.credentials").read_text().splitlines())
        self.access_key, self.secret_key = credentials["access_key"], credentials["secret_key"]
        self.start()

    @property
    def errors(self) -> str:
        """What it wrote to standard error, over all starts."""
        return self._errors.read_text()

    @property
    def pid(self) -> int:
        """The server's own, even where a program that watches it was started."""
        return self._process.pid

    def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until it answers."""
        ports = [url.rpartition("/")[2] for url in (self.endpoint, self.audit_endpoint)]
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                [*self.program, "serve", "--data", self.data, "--s3", ports[0], "--audit", ports[1], *self._options],
                env=environment({**self._env, **(env or {})}),
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        STARTED.add(self)
        found = _READY.search(self._first_line())
        assert found is not None, self.errors
        self.endpoint, self.audit_endpoint = found.groups()

    def stop(self) -> int:
        """Stop it in order; its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a power cut of the process alone would."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for it to end by itself; its exit code."""
        code = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def cli(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command with ``--data`` of this server."""
        return command(*arguments, "--data", self.data, stdin=stdin)

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.running:
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                return self._process.stdout.readline().rstrip("\n")
        self._process.kill()
        self.wait()
        return ""
