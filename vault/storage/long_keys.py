"""Keys of any length in a file that takes 511 bytes: how a row stands there. Pure.

A longer key stands under its first :data:`HEAD` bytes and a digest, with the full key in the value.

Not handled here: order among rows of one head (``vault.storage.index``).
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

#: Longest key that stands in the file as it is, in bytes.
HEAD: Final = 480
#: LMDB's limit; as much of the digest as fits, since clients choose names and two of them must not meet.
_LIMIT: Final = 511

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


def physical(key: bytes) -> bytes:
    """Under what a key stands in the file."""
    return key if len(key) <= HEAD else (key[:HEAD] + hashlib.sha256(key).digest())[:_LIMIT]


def stored(key: bytes, data: bytes) -> tuple[bytes, bytes]:
    """What the file gets of a row."""
    return (key, data) if len(key) <= HEAD else (physical(key), _encode((key, data)))


def logical(place: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A row's key and data, from what the file has of it.

    Raises:
        ValueError: It is no row of the file.
    """
    if len(place) <= HEAD:
        return place, value
    try:
        return _decode(value)
    except msgspec.DecodeError as error:
        raise ValueError("a row under a long key is damaged") from error
