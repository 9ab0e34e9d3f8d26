"""What a start reads back of foreign events: those that repeats are recognised by (``vault.state.ingest``).

Nothing of it is kept anywhere but in the records, so there is nothing that could be lost, or disagree with them. A
vault that never had a source's token is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import LedgerCorrupt
from audit.replay import records
from vault.record import SUCCESS
from vault.state.ingest import GENERATION, Seen, digest_key, event_key
from vault.state.other_rows import TokenRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.strand import Strand
    from vault.ports import State

_EVENT: Final = b'"op":"ingest.event"'


class _Ref(msgspec.Struct, gc=False):
    source: str
    digest: str
    id: str = ""
    sequence: int = -1


class _Record(msgspec.Struct, gc=False):
    outcome: str
    ingest: _Ref


_decode: Final = msgspec.json.Decoder(_Record).decode


def recall(strands: Sequence[Strand], state: State) -> Seen:
    """Read back the events among the last records: at least :data:`~vault.state.ingest.GENERATION` of them.

    Args:
        strands: The vault's streams, oldest first, recovered.
        state: The durable view, replayed.

    Raises:
        LedgerCorrupt: A record cannot be read.
    """
    seen = Seen()
    if not any(isinstance(row, TokenRow) and row.source for _, row in state.scan(b"t", b"u")):
        return seen
    first = max(0, (strands[-1].end // GENERATION - 1) * GENERATION)
    for strand in strands:
        if strand.end <= first:
            continue
        for seq, record in records(strand.settled, strand.log, max(0, first - strand.base)):
            if _EVENT in record:
                _recall(seen, strand.base + seq, record)
    return seen


def _recall(seen: Seen, position: int, record: bytes) -> None:
    try:
        found = _decode(record)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise LedgerCorrupt(f"record at position {position}", f"no record of an event: {error}") from error
    key = event_key(found.ingest.source, found.ingest.id, found.ingest.sequence)
    if key and found.outcome == SUCCESS:
        seen.recall(position, key, digest_key(bytes.fromhex(found.ingest.digest)))
