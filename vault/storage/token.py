"""The token without which nothing is destroyed (DESIGN §6: two-step erasure, *whatever destroys bytes needs a token*).

Only the eraser issues tokens, after it recomputed the lock from the ledger and asked the gate. What destroys
(blob store, keyring) asks the token, and never a boolean, so that no call can be written by accident.
"""

from __future__ import annotations

from typing import Protocol

from vault.errors import VaultError


class NotCovered(VaultError):
    """Something was to be destroyed that the token does not name: a fault in this program. Nothing was destroyed."""

    code = "NotCovered"
    fatal = True


class ErasureToken(Protocol):
    """Leave to destroy what it names, and nothing else."""

    def covers(self, name: str) -> bool:
        """Whether this may be destroyed: :func:`blob_name` or :func:`domain_name` of it."""


class PruningToken(Protocol):
    """Leave to destroy records of one settled segment, ``first`` to ``end`` of a stream, and to keep their hashes.

    Made by ``audit.pruning`` alone, after it asked the gate about each, and wrote down durably which they are.
    """

    @property
    def first(self) -> int:
        """Seq of the segment's first record."""

    @property
    def end(self) -> int:
        """One more than the seq of its last."""

    def covers(self, seq: int) -> bool:
        """Whether this record's bytes may be destroyed."""


def blob_name(blob_id: str) -> str:
    """How a token names a blob."""
    return f"blob {blob_id}"


def domain_name(domain_id: str) -> str:
    """How a token names a domain key."""
    return f"domain {domain_id}"


def require(token: ErasureToken, name: str) -> None:
    """Check that a token covers what is about to be destroyed.

    Raises:
        NotCovered: It does not.
    """
    if not token.covers(name):
        raise NotCovered(f"the erasure token does not name {name}; nothing was destroyed")
