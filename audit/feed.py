"""The feed: every durable record from any seq on, settled or not, its chain checked on the way (DESIGN §1).

Views and exporters read here and nowhere else. A consumer keeps how far it has come in a durable cursor, and moves it
only when what it did with the records is durable too.

Not handled here: the records' meaning, and the index, which is applied before the reply.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from audit.chain import Chain
from audit.errors import LedgerCorrupt, RecordPruned
from audit.ledger.segment import FRAME_RECORDS
from audit.runs import NOTHING, Run
from vault import durable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger

_CONSUMER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_PLACE: Final = "feed"


class Feed:
    """One stream's records. Thread-safe; each iteration has its own state.

    Args:
        ledger: What is settled.
        log: What is not.
    """

    def __init__(self, ledger: SettledLedger, log: CommitLog) -> None:
        self._ledger = ledger
        self._log = log

    @property
    def end(self) -> int:
        """The durable watermark: number of durable records (= seq of the next)."""
        return self._log.durable_end

    def wait(self, seq: int, timeout: float) -> bool:
        """Wait until record ``seq`` is durable, at most ``timeout`` seconds. Whether it is."""
        return self._log.wait(seq, timeout)

    def record(self, seq: int) -> bytes:
        """A durable record's exact bytes.

        Raises:
            RecordPruned: Only its hash is left.
            LedgerCorrupt: It is damaged or in neither half of the ledger.
        """
        record = self.bytes_of(seq)
        if not record:
            raise RecordPruned(seq)
        return record

    def bytes_of(self, seq: int) -> bytes:
        """A durable record's exact bytes; none where it was pruned.

        Raises:
            LedgerCorrupt: It is damaged or in neither half of the ledger.
        """
        if seq >= self._ledger.end:
            record = self._log.record(seq)
            if seq >= self._ledger.end:  # else it was settled meanwhile, and its segment may be recycled already
                if record is None:
                    raise LedgerCorrupt(_PLACE, f"record {seq} is neither settled nor in the commit log")
                return record
        return self._ledger.record(seq)

    def read(self, first: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Records from ``first`` on, in order, exact bytes, up to ``end`` or the watermark at the time of the call.

        Each is checked to follow the one before it, the first one too. A record that was pruned comes as no bytes.

        Raises:
            LedgerCorrupt: A record is missing, damaged or another one than its successor says; or ``first`` lies past
                the watermark: the consumer has seen records that this ledger does not have.
        """
        durable_end = self.end
        if first > durable_end:
            raise LedgerCorrupt(_PLACE, f"records end at {durable_end}, but a consumer has seen some up to {first}")
        end = durable_end if end is None else min(end, durable_end)
        chain = Chain(first, self.bytes_of(first - 1) if first else None)
        while chain.seq < end:
            for seq, record in self._some(chain.seq, end):
                if record:
                    chain.add(record, _PLACE)
                else:
                    chain.skip()
                yield seq, record

    def take(self, first: int, limit: int) -> Run:
        """Durable records from ``first`` on, about ``limit`` bytes of them at most; none where there are none.

        It is not checked here that each follows the one before: who takes them for others does that
        (:class:`audit.chain.Chain`), in a process of its own.

        Raises:
            LedgerCorrupt: A record is damaged or missing.
        """
        end = self.end
        if first >= end:
            return NOTHING
        if first >= self._ledger.end and (run := self._log.run(first, end, limit)) is not None:
            return run
        self.bytes_of(first)  # settled, or nowhere
        found, size = list[bytes](), 0
        while size < limit and (some := list(islice(self._ledger.iterate(first + len(found), end), FRAME_RECORDS))):
            found += [record for _, record in some]
            size += sum(len(record) for _, record in some)
        return Run.of(found)

    def _some(self, first: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Records from ``first`` on, before ``end``: as many as one look at one half of the ledger gives."""
        if first >= self._ledger.end:
            records = self._log.records(first, end)
            if records is not None:
                return enumerate(records, first)
            self.bytes_of(first)  # it was settled meanwhile, or is nowhere
        return self._ledger.iterate(first, end)


class _Position(msgspec.Struct, frozen=True):
    v: int
    next: int


class Cursor:
    """How far a consumer has come in a stream. Owned by that consumer alone.

    Args:
        directory: ``views/cursors``, which exists.
        consumer: Its name.
        stream: The stream's.
    """

    def __init__(self, directory: Path, consumer: str, stream: str) -> None:
        if _CONSUMER.fullmatch(consumer) is None:
            raise ValueError(f"{consumer!r} cannot be a consumer's name")
        self._path = directory / f"{consumer}@{stream}"
        durable.sweep_temps(directory, f"{self._path.name}.")

    def load(self) -> int:
        """The seq that comes next; 0 for a consumer that has not begun.

        Raises:
            LedgerCorrupt: The file is damaged.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Position).next
        except FileNotFoundError:
            return 0
        except (OSError, msgspec.DecodeError) as error:
            problem = f"not a cursor: {error}; remove it, and its consumer begins again"
            raise LedgerCorrupt(str(self._path), problem) from error

    def move(self, seq: int) -> None:
        """Remember the seq that comes next; durable on return, a crash leaves the old or the new.

        Raises:
            DurabilityError: It could not be written.
        """
        durable.replace(self._path, msgspec.json.encode(_Position(1, seq)))


def furthest(directory: Path, stream: str) -> int:
    """The largest number of a stream's records that any cursor claims (DESIGN §4: recovery may not cut below it).

    Raises:
        LedgerCorrupt: A cursor is damaged.
    """
    found = (path.name.partition("@") for path in directory.iterdir())
    mine = [consumer for consumer, _, of in found if of == stream and _CONSUMER.fullmatch(consumer)]
    return max((Cursor(directory, consumer, stream).load() for consumer in mine), default=0)
