"""Makes ``suite1.json``: golden vectors of encryption suite 1, from fixed keys and ARCHITECTURE alone.

Run ``python -m tests.vectors.suite1`` to write the file anew. Uses none of the product's code: HKDF by RFC 5869 over
``hmac``, nonces and associated data written out as the format says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FILE = Path(__file__).with_name("suite1.json")
DOMAIN_KEY = bytes(range(32))
SALT = bytes(range(100, 116))
DOCUMENT = b'{"v":1,"salt":"000102030405060708090a0b0c0d0e0f","size":5,"etag":"5d41402abc4b2a76b9719d911017c592"}'
CHUNK = 4
BODIES = {"empty": b"", "one chunk": b"worm", "two chunks": b"hello", "three full chunks": b"worm or not!"}


def version_key() -> bytes:
    extracted = hmac.digest(SALT, DOMAIN_KEY, "sha256")
    return hmac.digest(extracted, b"strongroom v1 version\x01", "sha256")


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def tree_hash(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as it defines it."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def vectors() -> dict[str, Any]:
    cipher = AESGCM(version_key())
    sealed = cipher.encrypt(b"\x01" + bytes(3) + bytes(8), DOCUMENT, b"\x01\x02")
    bodies = []
    for name, body in BODIES.items():
        pieces = [body[start : start + CHUNK] for start in range(0, len(body), CHUNK)] or [b""]
        chunks = [
            cipher.encrypt(bytes(4) + number.to_bytes(8, "big"), piece, b"\x01\x01" if last else b"\x01\x00")
            for number, piece in enumerate(pieces)
            for last in [number == len(pieces) - 1]
        ]
        root = tree_hash([leaf(sealed), *map(leaf, chunks)])
        bodies.append(
            {"name": name, "plaintext": body.hex(), "chunks": [chunk.hex() for chunk in chunks], "root": root.hex()}
        )
    return {
        "domain_key": DOMAIN_KEY.hex(),
        "salt": SALT.hex(),
        "version_key": version_key().hex(),
        "document": DOCUMENT.hex(),
        "sealed": sealed.hex(),
        "chunk": CHUNK,
        "bodies": bodies,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=2) + "\n")
