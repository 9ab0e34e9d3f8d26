"""Keys at rest (ARCHITECTURE, Keys at rest), as far as they can be judged without opening them.

Not handled here: whether they open anything, which needs the KEK. Every start finds that out.
"""

from __future__ import annotations

import base64
import binascii
import json
from hashlib import sha256
from typing import Final, NamedTuple

#: A keyring is read whole, in bytes.
MAX_KEYRING_BYTES: Final = 64 * 1024 * 1024
#: A KEK file, in bytes.
MAX_KEK_BYTES: Final = 1024
_KEYRING: Final = b"SRKEYS1\n"
_MAX_HEADER_BYTES: Final = 1024


class Sealed(NamedTuple):
    """A kind of sealed file: how it begins, and how long it may be, in bytes."""

    magic: bytes
    least: int
    most: int

    def holds(self, data: bytes, name: str) -> bool:
        """Whether a file may be one of this kind, and stands undamaged under the name it was written for.

        Args:
            data: The file.
            name: Whose key or secret it is.
        """
        digest = sha256(data[:-_DIGEST_BYTES] + name.encode("utf-8", "surrogatepass")).digest()
        fits = data.startswith(self.magic) and self.least <= len(data) <= self.most
        return fits and data[-_DIGEST_BYTES:] == digest


_DIGEST_BYTES: Final = 32
_WRAPPED: Final = 8 + 12 + 16 + _DIGEST_BYTES  # magic, nonce, tag, digest
#: A signing key of 32 bytes, and a principal's secret.
SIGNING: Final = Sealed(b"SRSIGN1\n", _WRAPPED + 32, _WRAPPED + 32)
SECRET: Final = Sealed(b"SRSECR1\n", _WRAPPED + 1, _WRAPPED + 1024)


def generation(keyring: bytes) -> int:
    """How often a keyring was written before, as its header says in the clear; -1 for what is no keyring.

    Args:
        keyring: One copy of it.
    """
    count = _header(keyring).get("generation")
    return count if type(count) is int else -1


def opens(kek: bytes, keyring: bytes) -> bool:
    """Whether a KEK file holds the KEK that a keyring names in its header.

    Args:
        kek: The file.
        keyring: One copy of it.
    """
    try:
        key = base64.b64decode(kek.strip(), validate=True)
    except binascii.Error:
        return False
    return sha256(b"strongroom kek id" + key).hexdigest()[:8] == _header(keyring).get("kek")


def _header(keyring: bytes) -> dict[str, object]:
    start = len(_KEYRING) + 4
    length = int.from_bytes(keyring[len(_KEYRING) : start], "big")
    if not keyring.startswith(_KEYRING) or length > _MAX_HEADER_BYTES or len(keyring) <= start + length:
        return {}
    try:
        header = json.loads(keyring[start : start + length])
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}
