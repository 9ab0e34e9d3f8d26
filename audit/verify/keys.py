"""Keys at rest (ARCHITECTURE, Keys at rest), as far as they can be judged without opening them.

Not handled here: whether they open anything, which needs the KEK. Every start finds that out.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

#: A keyring is read whole, in bytes.
MAX_KEYRING_BYTES: Final = 64 * 1024 * 1024
_KEYRING: Final = b"SRKEYS1\n"
_MAX_HEADER_BYTES: Final = 1024


class Sealed(NamedTuple):
    """A kind of sealed file: how it begins, and how long it may be, in bytes."""

    magic: bytes
    least: int
    most: int

    def holds(self, data: bytes) -> bool:
        """Whether a file may be one of this kind."""
        return data.startswith(self.magic) and self.least <= len(data) <= self.most


_WRAPPED: Final = 8 + 12 + 16  # magic, nonce, tag
#: A signing key of 32 bytes, and a principal's secret.
SIGNING: Final = Sealed(b"SRSIGN1\n", _WRAPPED + 32, _WRAPPED + 32)
SECRET: Final = Sealed(b"SRSECR1\n", _WRAPPED + 1, _WRAPPED + 1024)


def generation(keyring: bytes) -> int:
    """How often a keyring was written before, as its header says in the clear; -1 for what is no keyring.

    Args:
        keyring: One copy of it.
    """
    start = len(_KEYRING) + 4
    length = int.from_bytes(keyring[len(_KEYRING) : start], "big")
    if not keyring.startswith(_KEYRING) or length > _MAX_HEADER_BYTES:
        return -1
    try:
        count = json.loads(keyring[start : start + length])["generation"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return -1
    return count if type(count) is int and len(keyring) > start + length else -1
