"""Opening the streams of a vault: those that were taken over to be read, the last one to be written.

Not handled here: why a stream is taken over (``audit.takeover``), checkpoints (``audit.sealing``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from audit.errors import LedgerCorrupt
from audit.journal import recovery
from audit.journal.log import CommitLog
from audit.journal.segment import stream_hash
from audit.ledger import SettledLedger
from audit.strand import Strand
from vault.merkle import EMPTY_ROOT, leaf_hash
from vault.record import decode
from vault.storage.packs import PackStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.identity import Identity, Layout
    from audit.journal.recovery import Recovered, Torn
    from vault.takeover import Takeover


class Opened(NamedTuple):
    """All streams of a vault, oldest first.

    Attributes:
        strands: The last one can be written.
        found: What the start made of the last one.
        torn: What is torn in the one before, and none of its own records names.
    """

    strands: tuple[Strand, ...]
    found: Recovered
    torn: list[Torn]


def open_streams(
    layout: Layout,
    identity: Identity,
    segment_bytes: int,
    covered: Callable[[int], int],
    decide: Callable[[int], None],
) -> Opened:
    """Open every stream; the last one is recovered, and its writer may go on.

    Args:
        layout: Of the data directory, whose lock the caller holds.
        identity: Names the streams.
        segment_bytes: Length of new commit log segments.
        covered: Given the position of the last stream's first record: how many of its records anything else claims.
        decide: Given the number of the last stream's records, raises where it must not go on; nothing was written then.

    Raises:
        LedgerCorrupt: One of them is damaged, or holds other records than were taken over.
        DurabilityError: A write failed.
        Unavailable: There is no room for a new segment.
    """
    strands, torn = open_to_read(layout, identity, identity.earlier, segment_bytes)
    base = strands[-1].end if strands else 0
    log, settled = _log(layout, identity, identity.stream, segment_bytes), _settled(layout, identity.stream)
    found = recovery.recover(
        log,
        layout.stream(identity.stream) / "quarantine",
        stream_hash(identity.origin),
        settled=_end(settled),
        covered=covered(base),
        decide=decide,
    )
    strands.append(Strand(identity.stream, base, log, settled, PackStore(layout.packs, identity.stream)))
    for taken, after in pairwise(strands):
        if after.log.durable_end:
            _check(taken, takeover_of(after), after)
    return Opened(tuple(strands), found, torn)


def open_to_read(
    layout: Layout, identity: Identity, streams: Sequence[str], segment_bytes: int
) -> tuple[list[Strand], list[Torn]]:
    """Open streams that were taken over, or are to be: no record is written to them.

    Args:
        layout: Of the data directory, whose lock the caller holds.
        identity: Names the vault.
        streams: Their names, from the vault's first one on.
        segment_bytes: Length of commit log segments.

    Returns:
        The streams, and what is torn in the last one's commit log and none of its own records names.

    Raises:
        LedgerCorrupt: One of them is damaged otherwise than by a torn tail.
    """
    strands: list[Strand] = []
    torn: list[Torn] = []
    for stream in streams:
        log, settled = _log(layout, identity, stream, segment_bytes), _settled(layout, stream, closed=True)
        quarantine, name = layout.stream(stream) / "quarantine", stream_hash(identity.origin_of(stream))
        torn = recovery.reopen(log, quarantine, name, settled=_end(settled)).torn
        base = strands[-1].end if strands else 0
        strands.append(Strand(stream, base, log, settled, PackStore(layout.packs, stream)))
    return strands, torn


def takeover_of(strand: Strand) -> Takeover | None:
    """What a stream's first record says of the one that it took over.

    Raises:
        LedgerCorrupt: It cannot be read.
    """
    try:
        ledger = decode(strand.feed.record(0))[1].ledger
    except ValueError as error:
        raise LedgerCorrupt(f"{strand.name} record 0", str(error)) from error
    return ledger.takes_over if ledger is not None else None


def _check(taken: Strand, said: Takeover | None, after: Strand) -> None:
    if said is None or said.stream != taken.name:
        raise LedgerCorrupt(f"{after.name} record 0", f"it does not say that it takes over {taken.name}")
    held = taken.end - taken.base
    if (said.held, said.position) != (held, after.base):
        problem = f"it holds {held} records, and {said.held} were taken over: restore the newest copy of the directory"
        raise LedgerCorrupt(f"stream {taken.name}", problem)


def _log(layout: Layout, identity: Identity, stream: str, segment_bytes: int) -> CommitLog:
    name = stream_hash(identity.origin_of(stream))
    return CommitLog(layout.stream(stream) / "commit", layout.spares, name, segment_bytes)


def _settled(layout: Layout, stream: str, *, closed: bool = False) -> SettledLedger:
    return SettledLedger(layout.stream(stream) / "ledger", closed=closed)


def _end(settled: SettledLedger) -> tuple[int, bytes]:
    """End seq of settled records, and the leaf hash of the last one."""
    return settled.end, leaf_hash(settled.record(settled.end - 1)) if settled.end else EMPTY_ROOT
