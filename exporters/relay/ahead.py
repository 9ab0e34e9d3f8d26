"""Reading ahead: a thread that takes a stream's records from the server while the ones before are being committed.

Each record is held against the one before it here, in the relay's process: Kafka is given nothing that does not follow.
"""

from __future__ import annotations

import queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.chain import Chain
from audit.control.worker import WorkerClient
from audit.errors import AuditError, ControlFailed
from exporters.errors import CopyDisagrees
from exporters.relay.disagreements import ahead_of_ledger

if TYPE_CHECKING:
    from pathlib import Path

#: Answers of the server that wait, each of some 4 MiB.
_AHEAD: Final = 6
#: After fewer records than this, and none left, it waits so long before it asks again, in seconds: single requests are
#: a group of the ledger each, and an answer for each would take a tenth of the processor time that they take.
_FEW: Final = 1_000
_GATHER_SECONDS: Final = 0.025
#: How often the thread looks whether it is to end, in seconds.
_LOOK_SECONDS: Final = 0.5


class Batch(NamedTuple):
    """Records that follow one another.

    Attributes:
        records: Exact bytes; those that were pruned are left out. ``size`` is that of all, in bytes.
        size: See ``records``.
        next: Seq after them.
        leaf: Leaf hash of the record before ``next``, lowercase hex; empty where that was pruned.
        checkpoint: A new checkpoint, a signed note; empty where there is none. ``sealed`` is its size.
        sealed: See ``checkpoint``.
        last: The stream was taken over, and there are no more.
    """

    records: list[bytes]
    size: int
    next: int
    leaf: str
    checkpoint: bytes
    sealed: int
    last: bool


class Ahead:
    """See the module. :meth:`close` ends the thread.

    Args:
        socket: The server's.
        stream: Which stream.
        first: Seq to begin with.
        before: Exact bytes of the record before it; None at seq 0, none where it was pruned.
    """

    def __init__(self, socket: Path, stream: str, first: int, before: bytes | None) -> None:
        self._socket = socket
        self._stream = stream
        self._chain = Chain(first, before)
        self._batches: queue.Queue[Batch | Exception] = queue.Queue(_AHEAD)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Batch | None:
        """The next batch; None where none came in so many seconds.

        Raises:
            CopyDisagrees: The ledger ends before the records that Kafka has.
            LedgerCorrupt: A record does not follow the one before it.
            ControlFailed: The server is not there any more.
        """
        try:
            found = self._batches.get(timeout=timeout) if timeout > 0 else self._batches.get_nowait()
        except queue.Empty:
            return None
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            server = WorkerClient.connect(self._socket)
            if server is None:
                raise ControlFailed("the server is not there any more")
            with server:
                self._read(server)
        except AuditError as error:
            self._put(error)

    def _read(self, server: WorkerClient) -> None:
        chain, sealed = self._chain, 0
        while not self._stop.is_set():
            told, run = server.follow(self._stream, chain.seq, sealed)
            if told.end < chain.seq:
                raise CopyDisagrees(ahead_of_ledger(self._stream, chain.seq, told.end))
            records = run.records()
            for record in records:
                if record:
                    chain.add(record, "feed")
                else:
                    chain.skip()
            sealed, last = max(sealed, told.size), told.closed and chain.seq >= told.end
            if records or told.checkpoint or last:
                kept = records if all(records) else [record for record in records if record]
                note = told.checkpoint.encode()
                self._put(Batch(kept, sum(run.lengths), chain.seq, chain.leaf, note, told.size, last))
            if last:
                return
            if len(records) < _FEW and chain.seq >= told.end:
                self._stop.wait(_GATHER_SECONDS)

    def _put(self, item: Batch | Exception) -> None:
        while not self._stop.is_set():
            try:
                self._batches.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return
