"""The server's workers: processes that carry records elsewhere, started and stopped with it, and again when they end.

A worker is a command, ``strongroom run NAME``, which its own package brings; nothing of it is imported here. Its
standard input is a pipe that nobody writes to: its end is the server's, however that came (``audit.cli.supervised``).

Not handled here: what workers do, and what each tells of itself (the relay: ``audit.relaying``).
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.config import Settings

#: Seconds before a worker that ended is started again: at first, and at most.
AGAIN_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0
#: Seconds that it gets to end when it is told to.
STOP_SECONDS: Final = 15.0

_LOOK_SECONDS: Final = 0.2
#: After so many seconds one that was started again is well.
_WELL_SECONDS: Final = 10.0

_log: Final = logging.getLogger(__name__)


def wanted(settings: Settings) -> list[str]:
    """The workers that a configuration names."""
    return ["relay"] if settings.kafka.bootstrap else []


class Worker:
    """One worker. Its thread starts it, waits for its end, and starts it again.

    Args:
        name: Of its command.
        root: The data directory.
        config: The server's configuration file, if it has one; the environment is handed on as it is.
    """

    def __init__(self, name: str, root: Path, config: Path | None) -> None:
        self.name = name
        self._command = [
            sys.executable, "-P", "-m", "audit.cli.supervised", "run", name, "--data", str(root),
            *(("--config", str(config)) if config is not None else ()),
        ]  # fmt: skip
        self._stop = Event()
        self._trouble = ""
        self._thread = Thread(target=self._run, name=f"worker {name}", daemon=True)

    @property
    def trouble(self) -> str:
        """What somebody should look at; empty where it runs."""
        return self._trouble

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it; one that does not end in :data:`STOP_SECONDS` is killed, which no worker loses anything by."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait = AGAIN_SECONDS
        while not self._stop.is_set():
            began = time.monotonic()
            code = self._once()
            if self._stop.is_set():
                return
            lasted = time.monotonic() - began > LONGEST_SECONDS
            wait = AGAIN_SECONDS if lasted else min(2 * wait, LONGEST_SECONDS)
            self._trouble = f"worker {self.name} ended with code {code}: its log says why; it is started again"
            _log.error("worker %s ended with code %d; it is started again in %.0f s", self.name, code, wait)
            self._stop.wait(wait)

    def _once(self) -> int:
        """Run it to its end; its exit code."""
        try:
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, process_group=0)  # noqa: S603 - ours
        except OSError as error:
            _log.error("worker %s cannot be started: %s", self.name, error.strerror)
            return 127
        with process:
            began = time.monotonic()
            while process.poll() is None and not self._stop.wait(_LOOK_SECONDS):
                if time.monotonic() - began > _WELL_SECONDS:
                    self._trouble = ""
            process.terminate()
            try:
                return process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                _log.warning("worker %s does not end, and is killed", self.name)
                process.kill()
                return process.wait()


class Workers:
    """All workers of a server.

    Args:
        settings: Which there are.
        root: The data directory.
        config: See :class:`Worker`.
    """

    def __init__(self, settings: Settings, root: Path, config: Path | None) -> None:
        self.all: Sequence[Worker] = [Worker(name, root, config) for name in wanted(settings)]

    def start(self) -> None:
        """Begin."""
        for worker in self.all:
            worker.start()

    def stop(self) -> None:
        """End all of them, at the same time."""
        stopping = [Thread(target=worker.stop, name=f"stopping {worker.name}") for worker in self.all]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def notices(self) -> list[str]:
        """What somebody should look at."""
        return [worker.trouble for worker in self.all if worker.trouble]
