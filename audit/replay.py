"""What a start reads back from the ledger: the index's missing rows, and the clock's account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.errors import LedgerCorrupt
from audit.feed import Feed
from vault.errors import S3Error
from vault.record import decode
from vault.state.apply import apply, changes_nothing
from vault.storage.index import SYNC_ROWS, Sequenced
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger
    from audit.strand import Strand
    from vault.record import ClockState
    from vault.storage.index import Index

#: Records whose rows are handed to the index at once.
_HAND_OVER: Final = 1_000
_CLOCK: Final = b'"clock_state":{'
_LEDGER: Final = b'"op":"ledger.'


def records(settled: SettledLedger, log: CommitLog, start: int) -> Iterator[tuple[int, bytes]]:
    """Durable records from ``start`` on, settled ones first; what was pruned comes as no bytes.

    Raises:
        LedgerCorrupt: One is in neither place.
    """
    boundary = max(start, log.first_seq)
    if start < boundary:
        if settled.end < boundary:
            raise LedgerCorrupt(str(log.directory), f"records {settled.end} to {boundary - 1} are missing")
        for seq, data in settled.iterate(start):
            if seq >= boundary:
                break
            yield seq, data
    yield from log.tail(boundary)


def replay(
    index: Index,
    settled: SettledLedger,
    log: CommitLog,
    base: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Apply to the index what it has not seen of a stream: the same ``apply`` as live.

    Args:
        index: Open; its ``applied`` says where to begin.
        settled: Settled records.
        log: Recovered commit log.
        base: Position of the stream's first record.
        progress: Called with the number of records applied, now and then.

    Raises:
        LedgerCorrupt: A durable record cannot be read.
    """
    if index.applied > base + log.durable_end:
        return
    found = records(settled, log, max(0, index.applied - base))
    apply_records(index, found, base + log.durable_end, base=base, place=str(log.directory), progress=progress)


def apply_records(
    index: Index,
    found: Iterable[tuple[int, bytes]],
    end: int,
    *,
    base: int = 0,
    place: str = "the ledger",
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Apply records to an index, in bounded memory.

    Args:
        index: Holds the effects of all records before them.
        found: Records by seq, in order.
        end: Position after the last one.
        base: Position of the record with seq 0.
        place: Where they come from, for messages.
        progress: Called with the number of records applied, now and then.

    Raises:
        LedgerCorrupt: A record cannot be read, or cannot have been allowed.
    """
    state = Sequenced(index)
    for seq, data in found:
        try:
            if data and not changes_nothing(data):  # what was pruned changed nothing (audit.pruning)
                head, tail = decode(data)
                position = base + seq
                state.add(apply(head if head.seq == position else replace(head, seq=position), tail, state))
        except (ValueError, S3Error) as error:  # no record, a newer schema's, or one that no decision can have allowed
            raise LedgerCorrupt(place, f"record {seq}: {error}") from error
        if (seq + 1) % _HAND_OVER == 0:
            state.settle(base + seq + 1)
            progress(seq + 1)
            if index.unsynced_rows >= SYNC_ROWS:  # bounds memory
                index.sync()
    state.settle(end)


def clock_account(strands: Sequence[Strand]) -> tuple[ClockState | None, int] | None:
    """The newest account of the compliance clock, and the newest record's clock in ns; see :func:`last_clock_state`.

    A stream that took another over goes on with its clock.
    """
    newest = 0
    for strand in reversed(strands):
        found = last_clock_state(strand.settled, strand.log)
        if found is not None:
            newest = newest or found[1]
            if found[0] is not None:
                return found[0], newest
    return (None, newest) if newest else None


def last_clock_state(settled: SettledLedger, log: CommitLog) -> tuple[ClockState | None, int] | None:
    """A stream's newest account of the compliance clock, and its newest record's clock in ns.

    Clock records come every minute and with every start, so the way back is short.

    Returns:
        None for an empty ledger; no account where a crash at the first start left nothing but ``ledger.*`` records.

    Raises:
        LedgerCorrupt: There are other records but none with the clock's account, or one is none that we can read.
    """
    try:
        return _last_clock_state(settled, log)
    except ValueError as error:
        raise LedgerCorrupt(str(log.directory), str(error)) from error


def _last_clock_state(settled: SettledLedger, log: CommitLog) -> tuple[ClockState | None, int] | None:
    newest, bare, feed = 0, True, Feed(settled, log)
    for seq in range(log.durable_end - 1, -1, -1):
        data = feed.record(seq)
        if newest == 0:
            newest = parse_rfc3339(decode(data)[0].clock)
        bare = bare and _LEDGER in data
        if _CLOCK in data:
            state = decode(data)[1].clock_state
            if state is not None:
                return state, newest
    if not bare:
        raise LedgerCorrupt(str(log.directory), "no record holds the compliance clock's account")
    return (None, newest) if newest else None
