"""What the ledger needs of the keys, read without any key: a restore goes by it and by nothing else.

An index is made anew from the records, beside the one that is there, which is a view and may be wrong. It shows
versions, uploads and parts: the domain keys of those *must* be there. Bytes that were removed and not erased yet are
shown by nothing; a key of theirs *may* come back, because something may hold them still, and is not missed.

A domain key that was destroyed has no bytes left, so it is neither. Where a crash came between its destruction and the
record ``object.erased``, its ciphertext is gone, and the eraser's next pass destroys it once more.

Not handled here: what becomes of keys that are missing (``audit.keys.keyring_plan``).
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from audit.replay import replay
from vault.state.rows import GarbageRow, PartRow, PrincipalRow, UploadRow, VersionRow
from vault.storage.index import Index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.strand import Strand


class Needed(NamedTuple):
    """What the ledger asks for.

    Attributes:
        must: Ids of domain keys without which bytes that are shown could not be read.
        may: Ids of domain keys of bytes that were removed and not erased.
        principals: Everybody whom a record added, and whether they are enabled.
        records: How many records there are.
    """

    must: frozenset[str]
    may: frozenset[str]
    principals: dict[str, bool]
    records: int


def needed_by(strands: Sequence[Strand], scratch: Path) -> Needed:
    """Read all records.

    Args:
        strands: All streams of the vault, oldest first.
        scratch: Directory for the index, which is removed again.

    Raises:
        LedgerCorrupt: A record cannot be read.
        Unavailable: There is no room for the index.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        index = Index(scratch)
        try:
            for strand in strands:
                replay(index, strand.settled, strand.log, strand.base)
            return _asked_for(index, sum(strand.log.durable_end for strand in strands))
        finally:
            index.close()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _asked_for(index: Index, records: int) -> Needed:
    must, may = set[str](), set[str]()
    principals: dict[str, bool] = {}
    for _, row in index.scan(b"", b"\xff"):
        if isinstance(row, VersionRow | UploadRow | PartRow) and row.storage is not None:
            must.add(row.storage.domain)
        elif isinstance(row, GarbageRow) and row.storage is not None:
            may.add(row.storage.domain)
        elif isinstance(row, PrincipalRow):
            principals[row.id] = row.enabled
    return Needed(frozenset(must), frozenset(may - must), principals, records)
