"""One verification in a process of its own: started, waited for, ended; and its report, read as foreign bytes.

The process gets neither secrets nor settings: a directory, a share, a rate, and what vouches from outside. It holds no
lock and writes nothing.

Not handled here: when, and what is recorded (``scrubber``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from audit.scrub.outside import NOBODY
from vault.record import VerifiedRef
from vault.state.verified import BAD, GOOD, UNCHECKED

if TYPE_CHECKING:
    from audit.scrub.outside import Voucher

#: A report, in bytes; the verifier lists a hundred findings, and states of any number.
MAX_REPORT_BYTES: Final = 64 * 1024 * 1024
#: What a record says of the place of the first finding, in characters.
MAX_PLACE: Final = 200
#: What is kept of whatever else the process says, in characters.
_MAX_WORDS: Final = 500
#: The file that the checkpoint from outside is handed on in; and what a finding about it has for its place.
_NOTE: Final = "checkpoint-of-the-anchor"
_CLAIM: Final = "the checkpoint in the anchor"
#: What an interpreter needs to find itself; of the rest of our environment nothing is handed on.
_HANDED_ON: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH", "LANG", "LC_ALL")


class Outcome(NamedTuple):
    """What is recorded, and why it could not be done where it could not."""

    verified: VerifiedRef
    why: str = ""


class _Finding(msgspec.Struct):
    place: str
    seq: int | None = None


class _Log(msgspec.Struct):
    size: int
    anchored_size: int = -1


class _Report(msgspec.Struct):
    """What is used of the verifier's JSON."""

    result: str
    size: int
    logs: list[_Log]
    counts: dict[str, int]
    findings_total: int
    unchecked: str
    first_bad: _Finding | None = None


class Run:
    """One verification. :meth:`stop` may be called from any thread, at any time.

    Args:
        root: The data directory.
        share: Which share of the bodies in packs and blobs is read, from 1.
        shares: Of how many.
        rate_mib: Most MiB a second.
    """

    def __init__(self, root: Path, share: int, shares: int, rate_mib: int) -> None:
        self._root, self.share, self.shares = root, share, shares
        self._rate = rate_mib
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._voucher = NOBODY

    def wait(self, voucher: Voucher = NOBODY) -> Outcome | None:
        """Do it; None where it was stopped.

        Args:
            voucher: What vouches from outside for the stream that is written.
        """
        began, self._voucher = time.monotonic(), voucher
        try:
            with TemporaryDirectory(prefix="strongroom-") as folder:
                return self._verify(began, Path(folder, _NOTE))
        except OSError as error:
            return self._outcome(None, began, f"the verifier cannot be started: {error.strerror or error}")

    def _verify(self, began: float, note: Path) -> Outcome | None:
        """Do it, with the checkpoint from outside at ``note``, where there is one."""
        if self._voucher.note:
            note.write_bytes(self._voucher.note)
        process = self._start(note)
        if process is None:
            return None
        with process:  # closes the pipes, and waits for its end
            if process.stdout is None:
                raise AssertionError
            data = process.stdout.read(MAX_REPORT_BYTES + 1)
            if len(data) > MAX_REPORT_BYTES:
                process.kill()
        if self._stopped:
            return None
        report = _last_line(data)
        if report is None:
            words = _printable(data[-_MAX_WORDS:].decode("ascii", "replace").strip().rpartition("\n")[2])
            why = f"the verifier ended with code {process.returncode} and without a report: {words}"
            return self._outcome(None, began, why)
        return self._outcome(report, began, report.unchecked)

    def stop(self) -> None:
        """End it at once."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(self, note: Path) -> subprocess.Popen[bytes] | None:
        command = [
            sys.executable, "-P", "-m", "audit.scrub.child", str(self._root), "--json",
            "--share", f"{self.share}/{self.shares}", "--rate", str(self._rate),
            *(("--checkpoint", str(note)) if self._voucher.note else ()),
        ]  # fmt: skip
        with self._lock:
            if not self._stopped:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env={name: os.environ[name] for name in _HANDED_ON if name in os.environ},
                    process_group=0,  # a terminal's Ctrl-C is for the server, which then ends it
                )
            return self._process

    def _outcome(self, report: _Report | None, began: float, why: str) -> Outcome:
        seconds = int(time.monotonic() - began)
        if report is None:
            return Outcome(VerifiedRef(UNCHECKED, self.share, self.shares, 0, 0, 0, 0, seconds), why)
        first, counts = report.first_bad, report.counts
        place = "" if first is None else _CLAIM if Path(first.place).name == _NOTE else first.place
        vouched = report.logs[-1].anchored_size if report.logs and report.result == GOOD else 0
        return Outcome(
            VerifiedRef(
                result=report.result,
                share=self.share,
                shares=self.shares,
                size=report.size,
                records=sum(log.size for log in report.logs),
                bodies=max(0, counts.get("bodies", 0) - counts.get("bodies left out", 0)),
                bytes=counts.get("bytes read", 0),
                seconds=seconds,
                findings=report.findings_total,
                place=_printable(place)[:MAX_PLACE],
                seq=first.seq if first is not None and first.seq is not None else -1,
                anchored=max(0, vouched) if self._voucher.note else 0,
                anchor=self._voucher.anchor if self._voucher.note else "",
            ),
            why,
        )


def _last_line(data: bytes) -> _Report | None:
    """The report, after whatever else was written; None where there is none that can be used."""
    if len(data) > MAX_REPORT_BYTES:
        return None
    try:
        report = msgspec.json.decode(data.rstrip(b"\n").rpartition(b"\n")[2], type=_Report)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    sound = report.result in {GOOD, BAD, UNCHECKED} and (report.result == BAD) == (report.findings_total > 0)
    return report if sound else None


def _printable(text: str) -> str:
    return "".join(char if " " <= char <= "~" else "?" for char in text)
