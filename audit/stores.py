"""Where a node's bytes are: its streams, large bodies, the index, and leases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.backup.holds import Holds
from audit.strand import Strand, holding
from vault.storage.leases import Leases

if TYPE_CHECKING:
    from audit.journal.log import CommitLog
    from audit.ledger import SettledLedger
    from vault.storage.blobs import BlobStore
    from vault.storage.index import Index


@dataclass(slots=True)
class Stores:
    """Open stores of one data directory; implements :class:`vault.ports.Bodies`.

    Attributes:
        index: The index.
        strands: The vault's streams, oldest first; the last one is written.
        blobs: Large bodies.
        leases: Who reads what, by position.
        holds: Backups under way, for which recycling and erasing wait.
    """

    index: Index
    strands: tuple[Strand, ...]
    blobs: BlobStore
    leases: Leases = field(default_factory=Leases)
    holds: Holds = field(default_factory=Holds)

    @property
    def current(self) -> Strand:
        """The stream that is written."""
        return self.strands[-1]

    @property
    def log(self) -> CommitLog:
        """Commit log of the stream that is written."""
        return self.strands[-1].log

    @property
    def settled(self) -> SettledLedger:
        """Settled records of the stream that is written."""
        return self.strands[-1].settled

    def seq_of(self, position: int) -> int:
        """Implements :class:`vault.ports.Bodies`."""
        return position - holding(self.strands, position).base

    def read(self, position: int, offset: int, length: int) -> bytes:
        """Implements :class:`vault.ports.Bodies`."""
        strand = holding(self.strands, position)
        return strand.read(position - strand.base, offset, length)

    def at_hand(self, position: int, length: int) -> bytes | None:
        """Implements :class:`vault.ports.Bodies`."""
        strand = holding(self.strands, position)
        return strand.at_hand(position - strand.base, length)
