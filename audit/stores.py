"""Where a node's bytes are: the ledger's two halves, the bodies' three places, the index, and leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vault.storage.leases import Leases

if TYPE_CHECKING:
    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger
    from vault.storage.blobs import BlobStore
    from vault.storage.index import Index
    from vault.storage.packs import PackStore


@dataclass(slots=True)
class Stores:
    """Open stores of one data directory; :meth:`read` implements :class:`vault.ports.Bodies`."""

    index: Index
    log: CommitLog
    settled: SettledLedger
    packs: PackStore
    blobs: BlobStore
    leases: Leases = field(default_factory=Leases)

    def read(self, seq: int, offset: int, length: int) -> bytes:
        """Implements :class:`vault.ports.Bodies`: the commit log first, then the packs.

        A body that is settled while we look is found in its pack: it is there before it leaves the log.
        """
        data = self.log.read(seq, offset, length)
        return data if data is not None else self.packs.read(seq, offset, length)

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """Implements :class:`vault.ports.Bodies`."""
        data = self.log.at_hand(seq, length)
        return data if data is not None else self.packs.at_hand(seq, length)
