"""The index against the ledger: made anew from the records, in a process of its own, and compared row by row.

    command ─▶ child: N, how many records the index's file has applied
            ◀─ records 0 to N, which the child applies to an index beside it (the same ``apply`` as live)
            ─▶ M, of the snapshot that it holds from now on
            ◀─ records N to M
            ─▶ how the two differ

The records come from whoever has the vault open, so it works beside a running server and without one. What the server's
memory holds beyond M is not compared; the next check does. A file that is damaged may end the child, and nobody else.
Records are read and not verified here: that is for ``strongroom verify``.

Takes as much disk as the index has, for its copy, and memory for one batch of rows.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from audit.errors import AuditError
from audit.replay import apply_records
from audit.writer_lock import require_owner
from vault import durable
from vault.errors import CorruptError, VaultError
from vault.record import decode
from vault.storage.index import Index
from vault.storage.index_file import Difference, IndexFile, difference
from vault.storage.room import free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.control import Control
    from audit.identity import Identity, Layout

_LENGTH_BYTES: Final = 4
#: Signals by which reading a damaged file ends a process.
_DAMAGE: Final = (signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT)


class IndexUnchecked(AuditError):
    """The index could not be held against the ledger; says why."""

    code = "index-unchecked"


class Verdict(msgspec.Struct, frozen=True):
    """What a check found: ``applied`` records, and how the index differs.

    ``trouble`` is why the index cannot be read, ``unchecked`` why nothing was found out.
    """

    applied: int = 0
    difference: Difference | None = None
    trouble: str = ""
    unchecked: str = ""

    @property
    def problem(self) -> str:
        """What is wrong, and what to do; empty where index and ledger agree."""
        if not self.trouble and not self.difference:
            return ""
        said = self.trouble or f"the index differs from the ledger's first {self.applied} records: {self.difference}"
        return (
            f"{said}; stop the server, remove `views/index`, and start it: the index is made anew; then "
            f"`strongroom verify`, since locks were judged by what it said"
        )


def check_index(layout: Layout, identity: Identity, control: Control, reserve: int) -> Verdict:
    """Hold the index against the ledger.

    Args:
        layout: Of the data directory.
        identity: Names the streams.
        control: Whoever has the vault open.
        reserve: Bytes of disk to be left free.

    Raises:
        IndexUnchecked: There is no room for the copy, or the check ended in the middle.
        ConfigInvalid: The data directory is another user's.
        LockHeld: Another check is under way.
        AuditError: Of reading records.
    """
    require_owner(layout)
    size = sum(path.stat().st_blocks * 512 for path in layout.index.iterdir())
    if free_bytes(layout.views) < 2 * size + reserve:
        raise IndexUnchecked(f"the check makes a copy of the index, of {size >> 20} MiB or more: free some disk first")
    place = layout.views / "check"
    durable.make_dirs(place)
    lock = durable.lock_file(place / "lock")
    copy = place / "index"
    try:
        shutil.rmtree(copy, ignore_errors=True)  # of a check that was killed
        return _ask(layout.index, copy, identity, control)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        os.close(lock)


def _ask(index: Path, copy: Path, identity: Identity, control: Control) -> Verdict:
    """Run the child, and hand it what it asks for."""
    command = [sys.executable, "-m", __name__, str(index), str(copy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - ourselves
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 - pipes were asked for
        done = 0
        try:
            while (line := child.stdout.readline()).strip().isdigit():
                for record in _records(identity, control, done, int(line)):
                    child.stdin.write(len(record).to_bytes(_LENGTH_BYTES, "big"))
                    child.stdin.write(record)
                child.stdin.flush()
                done = int(line)
        except BrokenPipeError:  # it ended, and its last line, or its exit, says why
            line = child.stdout.readline()
        except BaseException:
            child.terminate()
            raise
        finally:
            with suppress(BrokenPipeError):  # of what it did not take any more
                child.stdin.close()
    return _verdict(line, child.returncode)


def _verdict(line: bytes, code: int) -> Verdict:
    """What the child's last line says, or how it ended without one."""
    try:
        verdict = msgspec.json.decode(line, type=Verdict)
    except msgspec.DecodeError:
        if -code in _DAMAGE:
            name = signal.Signals(-code).name
            return Verdict(trouble=f"the index is damaged: whoever reads it is ended by {name}")
        raise IndexUnchecked(f"the check of the index was ended (exit code {code}); try again") from None
    if verdict.unchecked:
        raise IndexUnchecked(f"the index was not checked: {verdict.unchecked}")
    return verdict


def _records(identity: Identity, control: Control, start: int, end: int) -> Iterator[bytes]:
    """Records of all streams from position ``start`` to ``end``."""
    base = 0
    for number, stream in enumerate(identity.streams):
        after = identity.streams[number + 1 : number + 2]
        held = _held(control, after[0]) if after else end - base
        first, last = max(start - base, 0), min(end - base, held)
        if first < last:
            yield from control.records(stream, first, last)
        base += held


def _held(control: Control, stream: str) -> int:
    """How many records the stream holds that this one took over."""
    for record in control.records(stream, 0, 1):
        ledger = decode(record)[1].ledger
        if ledger is not None and ledger.takes_over is not None:
            return ledger.takes_over.held
    raise IndexUnchecked(f"{stream} does not say what it took over; see `strongroom verify`")


def compare(index: Path, copy: Path, orders: IO[bytes], answers: IO[bytes]) -> Verdict:
    """The child: make the index anew from the records that come in, and compare.

    Args:
        index: The index's directory, which somebody else may have open.
        copy: Where to make the new one; nothing is there.
        orders: Records, each after its length.
        answers: Up to which position they are wanted, a line each.

    Raises:
        AuditError: Of the records.
        VaultError: The index cannot be read, or its copy not be written.
    """
    anew = Index(copy)
    try:
        with IndexFile(index) as glance:
            first = glance.applied
        _take(anew, first, orders, answers)
        with IndexFile(index) as kept:
            applied = kept.applied
            _take(anew, applied, orders, answers)
            anew.sync()
            anew.close()
            with IndexFile(copy) as made:
                return Verdict(applied, difference(kept, made))
    finally:
        anew.close()


def _take(anew: Index, end: int, orders: IO[bytes], answers: IO[bytes]) -> None:
    answers.write(b"%d\n" % end)
    answers.flush()
    found = ((position, _frame(orders)) for position in range(anew.applied, end))
    apply_records(anew, found, end)


def _frame(orders: IO[bytes]) -> bytes:
    length = orders.read(_LENGTH_BYTES)
    record = orders.read(int.from_bytes(length, "big"))  # none where it was pruned
    if len(length) != _LENGTH_BYTES or len(record) != int.from_bytes(length, "big"):
        raise IndexUnchecked("no more records came")
    return record


def main() -> int:
    """Run the child's side: ``python -m audit.index_check INDEX COPY``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for the command, which ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # in order, so that the index's file knows no reader any more
    try:
        verdict = compare(Path(sys.argv[1]), Path(sys.argv[2]), sys.stdin.buffer, sys.stdout.buffer)
    except CorruptError as error:
        ours = sys.argv[2] in str(error)
        verdict = Verdict(unchecked=str(error)) if ours else Verdict(trouble=str(error))
    except (AuditError, VaultError) as error:
        verdict = Verdict(unchecked=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(verdict) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
