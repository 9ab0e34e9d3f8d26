"""The chain of records: each names the leaf hash of the one before (DESIGN §3).

Reads only the two fields that make the chain, which stand at the front of every record of every schema version, and
hashes the record whole; so a record that this software does not understand can still be checked.

Not handled here: the tree over the same leaf hashes (``audit.tiles``).
"""

from __future__ import annotations

import re
from binascii import hexlify
from typing import Final, Self

from audit.errors import LedgerCorrupt
from vault.merkle import EMPTY_ROOT, leaf_hash

_LINK: Final = re.compile(rb'\{"v":\d{1,9},"stream":"[^"]{1,255}","seq":(\d{1,19}),"prev":"([0-9a-f]{64})",')


def seq_of(record: bytes) -> int:
    """The seq that a record says it has; -1 where it is no record."""
    link = _LINK.match(record)
    return int(link[1]) if link is not None else -1


class Chain:
    """Follows records one by one.

    Args:
        seq: Of the next record.
        before: Exact bytes of the record before it; None at seq 0, none where it was pruned.

    Attributes:
        seq: Of the next record.
    """

    def __init__(self, seq: int, before: bytes | None) -> None:
        self.seq = seq
        self._prev = b"" if before == b"" else hexlify(EMPTY_ROOT if before is None else leaf_hash(before))
        self._front = b""  # what stood before the seq of the last record

    @classmethod
    def after(cls, leaf: bytes, seq: int) -> Self:
        """One that goes on with record ``seq``, after one of that leaf hash; empty bytes where it is not known."""
        chain = cls(seq, b"")
        chain._prev = hexlify(leaf)
        return chain

    @property
    def leaf(self) -> str:
        """Leaf hash of the last record, lowercase hex; empty where that was pruned."""
        return self._prev.decode()

    def add(self, record: bytes, place: str) -> None:
        """Take the next record.

        Args:
            record: Its exact bytes.
            place: Where it was read, for messages.

        Raises:
            LedgerCorrupt: It is another one than the record before it says.
        """
        if not record.startswith(b'%b%d,"prev":"%b",' % (self._front, self.seq, self._prev)):
            link = _LINK.match(record)
            if link is None or int(link[1]) != self.seq or link[2] != (self._prev or link[2]):
                raise LedgerCorrupt(place, f"what stands as record {self.seq} does not follow the record before it")
            self._front = record[: link.start(1)]
        self._prev = hexlify(leaf_hash(record))
        self.seq += 1

    def skip(self) -> None:
        """Pass over a record that was pruned: what the next one says of it, only the tree can confirm."""
        self._prev = b""
        self.seq += 1
