"""The cursor: what the relay writes into ``NAME.cursors`` with each transaction, one message by stream.

Pure. Format: ARCHITECTURE, "Kafka topics".
"""

from __future__ import annotations

import msgspec

_VERSION = 1


class Cursor(msgspec.Struct, frozen=True):
    """How far a stream's copy is.

    Attributes:
        v: The format's version.
        origin: Of the stream's log, which names the vault.
        topic: Id (UUID) of the topic that the records are in.
        generation: Of the assignment, as the ledger has it.
        partition: Where in that topic.
        next: Number of records that are there, or were: the seq that comes next.
        leaf: Leaf hash of the last of them, lowercase hex; empty before the first.
        relay: Which relay wrote it: another one of each process.
    """

    v: int
    origin: str
    topic: str
    generation: int
    partition: int
    next: int
    leaf: str
    relay: str

    def encode(self) -> bytes:
        """Write it as the message's value."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes | None) -> Cursor | None:
        """Read it; None where it is none of this version: somebody else writes there, too."""
        try:
            found = msgspec.json.decode(data or b"", type=cls)
        except msgspec.DecodeError:
            return None
        return found if found.v == _VERSION else None
