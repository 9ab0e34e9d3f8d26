"""Each file system call of one PUT fails in turn, on the real process: no success is lost, the unknown stops it.

strace attaches to the running server for one PUT of a large object under a domain key that has still to be made. It
makes the N-th call of a kind fail in every thread, or kills the process at it; N goes up until there is no such call.
Writes are not among them: ``write`` is also how threads wake the event loop.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

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
_BYTES: Final = 300 * 1024
_DAYS_OF_A_MONTH: Final = 31
#: How long strace may take to attach, in seconds.
_PATIENCE: Final = 30
#: How long strace may take to end, in seconds.
_LETTING_GO: Final = 2

pytestmark = [needs_strace, pytest.mark.timeout(300)]


class Failing:
    """A server whose system calls fail, and everything its client was told."""

    def __init__(self, root: Path) -> None:
        self.server = Server(root, QUIET)
        self._trace = root / "trace"
        self._months = count(2)
        self._client = self._new_client()
        self.outcomes = self._client.outcomes
        made = self._client.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"})
        assert made.status == 200

    def _new_client(self) -> Client:
        server = self.server
        return Client(server.endpoint, server.access_key, server.secret_key, "client")

    def put(self) -> Outcome:
        """Store a large object under a lock of a month that has no domain key yet."""
        key = f"locked-{len(self.outcomes)}"
        until = datetime.now(UTC) + timedelta(days=_DAYS_OF_A_MONTH * next(self._months))
        lock = {
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self._client.ask("PUT", key, body=payload(key, _BYTES), headers=lock, kept=_BYTES)
        return self.outcomes[-1]

    def put_failing(self, call: str, fault: str) -> Outcome | None:
        """The same while a call fails; None where there was no such call."""
        self._trace.unlink(missing_ok=True)
        calls = CALLS[call]
        words: list[str | Path] = ["strace", "-f", "-qq", "-p", str(self.server.pid), "-o", self._trace]
        strace = subprocess.Popen(
            [*words, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"], stderr=subprocess.PIPE, text=True
        )
        assert strace.stderr is not None
        outcome = None
        try:
            self._wait_until_attached(strace)
            outcome = self.put()
        finally:
            # Told to let go of a process that is ending, strace may wait for ever.
            if outcome is None or outcome.status != LOST:
                strace.terminate()
            _end(strace)
            strace.stderr.close()
        struck = outcome.status == LOST or "INJECTED" in self._trace.read_text()
        return outcome if struck else None

    def _wait_until_attached(self, strace: subprocess.Popen[str]) -> None:
        end = time.monotonic() + _PATIENCE
        tasks = Path(f"/proc/{self.server.pid}/task")
        while not all(re.search(r"TracerPid:\t[1-9]", (task / "status").read_text()) for task in tasks.iterdir()):
            assert strace.poll() is None, strace.stderr and strace.stderr.read()
            assert time.monotonic() < end, "strace did not attach"
            time.sleep(0.01)

    def ended(self) -> int | None:
        """Whether it works as if nothing had been; else its exit code, and it was started again.

        A keyring that could not be written takes no new keys before a restart; everything else goes on.
        """
        stored = bool(self.put().record)
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


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_no_success_and_stops_only_what_is_unknown(
    failing: Failing, call: str, error: str
) -> None:
    for number in count(1):
        outcome = failing.put_failing(call, f"error={error}:when={number}")
        if outcome is None:
            assert number > 1, "the PUT made no such call"
            break
        code = failing.ended()
        if call in COMMIT:
            assert outcome.unknown
            assert code == FATAL, failing.server.errors
        else:
            assert code in {None, FATAL}
            assert outcome.status in {200, 500, 503, LOST}


@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_a_call_loses_and_doubles_nothing(failing: Failing, call: str) -> None:
    for number in count(1):
        outcome = failing.put_failing(call, f"signal=KILL:when={number}")
        if not failing.ready():
            assert failing.restarted() == -signal.SIGKILL
        if outcome is None:
            assert number > 1, "the PUT made no such call"
            break
