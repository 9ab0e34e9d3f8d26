"""Each file system call of one PUT fails in turn, on the real process: no success is lost, the unknown stops it.

strace attaches to the running server for one PUT of an object under a domain key that has still to be made. It makes
the N-th call of a kind fail in every thread, or kills the process at it; N goes up until there is no such call.
Writes are not among them: ``write`` is also how threads wake the event loop.

It strikes whichever thread makes the call, from when it is attached to the first one until it lets go: the background
too, before the request or after its answer. So it attaches when the background has done what a start leaves it, and
who was struck is told by the trace and by the process, not by the answer.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from audit.journal.log import SPARES
from tests.fault.judge import problems
from tests.fault.load import LOST, Client, payload
from tests.fault.watched import needs_strace
from tests.integration.served import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fault.load import Outcome

#: System calls, under all their names.
CALLS: Final = {
    "open": "?open,openat",
    "fallocate": "fallocate",
    "fsync": "fsync",
    "rename": "?rename,?renameat,?renameat2",
    "mkdir": "?mkdir,?mkdirat",
    "link": "?link,?linkat",
    "unlink": "?unlink,?unlinkat",
    "pwritev": "?pwritev,?pwritev2",
    "fdatasync": "fdatasync",
}
#: From the first of these on the outcome is unknown.
COMMIT: Final = frozenset({"pwritev", "fdatasync"})
FATAL: Final = 3
#: Only the request's own calls: the index and the clock keep still.
QUIET: Final = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_INDEX__SYNC_INTERVAL_S": "3600",
    "STRONGROOM_CLOCK__STATUS_INTERVAL_S": "3600",
}
#: An object that is kept as a blob, and one that is kept in the commit log and makes none of these calls.
LARGE: Final = 300 * 1024
SMALL: Final = 2_000
ONLY_LARGE: Final = frozenset({"fallocate", "mkdir", "link", "unlink"})
STRIKES: Final = [(LARGE, call) for call in CALLS] + [(SMALL, call) for call in CALLS if call not in ONLY_LARGE]
FAILURES: Final = [
    (*strike, error) for strike in STRIKES for error in ("EIO", "ENOSPC") if strike[0] == LARGE or error == "EIO"
]
_DAYS_OF_A_MONTH: Final = 31
#: How many blobs may find a directory that is there.
_CHANCES: Final = 30
#: How long strace may take to attach, in seconds.
_PATIENCE: Final = 30
#: How long strace may take to end, in seconds.
_LETTING_GO: Final = 2

pytestmark = [needs_strace, pytest.mark.timeout(300)]


class Failing:
    """A server whose system calls fail, and everything its client was told.

    Attributes:
        injected: The calls that were made to fail last.
    """

    def __init__(self, root: Path) -> None:
        self.server = Server(root, QUIET)
        self.injected: list[str] = []
        self._trace = root / "trace"
        self._months = count(2)
        self._client = self._new_client()
        self.outcomes = self._client.outcomes
        made = self._client.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"})
        assert made.status == 200

    def _new_client(self) -> Client:
        server = self.server
        return Client(server.endpoint, server.access_key, server.secret_key, "client")

    def put(self, size: int) -> Outcome:
        """Store an object under a lock of a month that has no domain key yet."""
        key = f"locked-{len(self.outcomes)}"
        until = datetime.now(UTC) + timedelta(days=_DAYS_OF_A_MONTH * next(self._months))
        lock = {
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self._client.ask("PUT", key, body=payload(key, size), headers=lock, kept=size)
        return self.outcomes[-1]

    def put_failing(self, size: int, call: str, fault: str, number: int) -> Outcome | None:
        """The same while a call of its kind fails, by number; None where there was no such call.

        A blob's directory is one of 256, by chance: where the first call to make one is wanted, it gets some.
        """
        for _ in range(_CHANCES if (call, number) == ("mkdir", 1) else 1):
            outcome = self._put_failing(size, call, f"{fault}:when={number}")
            if outcome is not None:
                return outcome
        return None

    def _put_failing(self, size: int, call: str, fault: str) -> Outcome | None:
        self._wait_until_calm()
        self._trace.unlink(missing_ok=True)
        calls = CALLS[call]
        words: list[str | Path] = ["strace", "-f", "-y", "-qq", "-p", str(self.server.pid), "-o", self._trace]
        strace = subprocess.Popen(
            [*words, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"], stderr=subprocess.PIPE, text=True
        )
        assert strace.stderr is not None
        outcome = None
        try:
            self._wait_until_attached(strace)
            outcome = self.put(size)
        finally:
            # Told to let go of a process that is ending, strace may wait for ever.
            if outcome is None or outcome.status != LOST:
                strace.terminate()
            _end(strace)
            strace.stderr.close()
        said = self._trace.read_text()
        self.injected = [line for line in said.splitlines() if "INJECTED" in line]
        struck = outcome.status == LOST or self.injected or "killed by SIGKILL" in said or not self.server.running
        return outcome if struck else None

    @property
    def committing(self) -> bool:
        """Whether it was a commit that failed, and not another write to the commit log, as recycling makes them."""
        newest = max((self.server.data / "streams" / "site-a.node-1" / "commit").iterdir())
        return any(f"/{newest.name}>" in line for line in self.injected)

    def _wait_until_calm(self) -> None:
        """Wait until the background has nothing to do; a server that a test before this one left dead is started."""
        if not self.server.running:
            self.restarted()
        spares = self.server.data / "views" / "spare"
        end = time.monotonic() + _PATIENCE
        while len(list(spares.glob("*.log"))) < SPARES or not self._sealed():
            assert time.monotonic() < end, "the background does not come to rest"
            time.sleep(0.01)

    def _sealed(self) -> bool:
        found = httpx.get(f"{self.server.audit_endpoint}/readyz", timeout=_PATIENCE).json()
        return bool(found["sealed"] == found["durable"])

    def _traced(self) -> bool:
        """Whether every thread is; one that ends while we look needs no tracer."""
        for task in Path("/proc").glob(f"{self.server.pid}/task/*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                if not re.search(r"TracerPid:\t[1-9]", (task / "status").read_text()):
                    return False
        return True

    def _wait_until_attached(self, strace: subprocess.Popen[str]) -> None:
        """Wait until every thread is traced, or one was struck already and the server is no more."""
        end = time.monotonic() + _PATIENCE
        while self.server.running and not self._traced():
            assert strace.poll() is None or not self.server.running, strace.stderr and strace.stderr.read()
            assert time.monotonic() < end, "strace did not attach"
            time.sleep(0.01)

    def ended(self, size: int) -> int | None:
        """Whether it works as if nothing had been; else its exit code, and it was started again.

        A keyring that could not be written takes no new keys before a restart; everything else goes on.
        """
        stored = bool(self.put(size).record)
        if not self.ready():
            return self.restarted()
        if not stored:
            assert self._client.ask("GET", "nothing").status == 404
            os.kill(self.server.pid, signal.SIGTERM)
            assert self.restarted() == 0, self.server.errors
        return None

    def restarted(self) -> int:
        """The exit code of a server that ends; another one was started."""
        code = self.server.wait()
        self.close()
        self.server.start()
        return code

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            return httpx.get(f"{self.server.audit_endpoint}/readyz").status_code == 200
        except httpx.HTTPError:
            return False


def _end(strace: subprocess.Popen[str]) -> None:
    try:
        strace.wait(_LETTING_GO)
    except subprocess.TimeoutExpired:
        strace.kill()
        strace.wait()


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    made = Failing(tmp_path_factory.mktemp("failing"))
    yield made
    made.close()
    assert made.server.stop() == 0, made.server.errors
    assert problems(made.server.data, made.outcomes) == []


@pytest.mark.parametrize(("size", "call", "error"), FAILURES)
def test_a_call_that_fails_is_no_success_and_stops_only_what_is_unknown(
    failing: Failing, size: int, call: str, error: str
) -> None:
    for number in count(1):
        outcome = failing.put_failing(size, call, f"error={error}", number)
        if outcome is None:
            assert number > 1, "the PUT made no such call"
            break
        committing = failing.committing
        code = failing.ended(size)
        if call in COMMIT:
            assert outcome.unknown or not committing
            assert code == FATAL, failing.server.errors
        else:
            assert code in {None, FATAL}
            assert outcome.status in {200, 500, 503, LOST}


@pytest.mark.parametrize(("size", "call"), STRIKES)
def test_a_kill_at_a_call_loses_and_doubles_nothing(failing: Failing, size: int, call: str) -> None:
    for number in count(1):
        if failing.put_failing(size, call, "signal=KILL", number) is None:
            assert number > 1, "the PUT made no such call"
            assert failing.ready()
            break
        assert failing.restarted() == -signal.SIGKILL
