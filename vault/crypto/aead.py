"""Suite 1: AES-256-GCM over a version's bytes (ARCHITECTURE, *Encryption, suite 1*). Pure.

Every version has its own key, HKDF-SHA256(domain key, salt = ``storage.salt``, info = ``strongroom v1 version``). So
the nonces may count: one byte of kind, three zero bytes, the chunk's number. Number and *last* flag authenticate each
chunk's place: none can be moved, repeated, dropped from the end or taken from another version.

Ciphertext chunks are the leaves, after the sealed content document, of the storage descriptor's root; whoever has no
key can still check every byte that is stored.

Not handled here: which domain key (``vault.crypto.keyring``), and what is in the document (``vault.manifest``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault import merkle
from vault.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable

SUITE: Final = 1
SALT_BYTES: Final = 16
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32

_INFO: Final = b"strongroom v1 version"
_DATA: Final = b"\x00\x00\x00\x00"
_FIRST_NONCE: Final = bytes(12)
_DOCUMENT_NONCE: Final = b"\x01" + bytes(11)
_DOCUMENT_AAD: Final = bytes((SUITE, 0x02))
_MORE_AAD: Final = bytes((SUITE, 0x00))
_LAST_AAD: Final = bytes((SUITE, 0x01))


class VersionKey:
    """The cipher of one version. Thread-safe.

    Encrypting twice under one number would destroy the cipher's security: a salt is used for one version only.

    Args:
        domain_key: 32 bytes.
        salt: ``storage.salt``, 16 random bytes that no other version has.
    """

    __slots__ = ("_cipher",)

    def __init__(self, domain_key: bytes, salt: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), KEY_BYTES, salt, _INFO).derive(domain_key))

    def seal(self, document: bytes) -> bytes:
        """Encrypt the content document."""
        return self._cipher.encrypt(_DOCUMENT_NONCE, document, _DOCUMENT_AAD)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt the content document.

        Raises:
            IntegrityError: It is not what was sealed under this key.
        """
        try:
            return self._cipher.decrypt(_DOCUMENT_NONCE, sealed, _DOCUMENT_AAD)
        except (InvalidTag, ValueError) as error:
            raise IntegrityError("the sealed content document does not authenticate") from error

    def encrypt(self, number: int, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """Encrypt a chunk of data.

        Args:
            number: From 0.
            plaintext: May be empty only for the one chunk of an empty object.
            last: No chunk follows.

        Returns:
            :data:`TAG_BYTES` more than the plaintext.
        """
        return self._cipher.encrypt(_nonce(number), plaintext, _LAST_AAD if last else _MORE_AAD)

    def decrypt(self, number: int, ciphertext: bytes, *, last: bool) -> bytes:
        """Decrypt a chunk of data.

        Raises:
            IntegrityError: It is not chunk ``number`` as it was encrypted under this key.
        """
        try:
            return self._cipher.decrypt(_nonce(number), ciphertext, _LAST_AAD if last else _MORE_AAD)
        except (InvalidTag, ValueError) as error:
            raise IntegrityError(f"chunk {number} of the stored ciphertext does not authenticate") from error


def encrypt_whole(domain_key: bytes, salt: bytes, document: bytes, plaintext: bytes) -> tuple[bytes, bytes, bytes]:
    """Encrypt a version whose data are one chunk: the same bytes that :class:`VersionKey` makes, for less.

    Args:
        domain_key: 32 bytes.
        salt: 16 random bytes that no other version has.
        document: The content document.
        plaintext: All of the data.

    Returns:
        The sealed document, the ciphertext, and the descriptor's root (32 bytes).
    """
    encrypt = AESGCM(HKDF(SHA256(), KEY_BYTES, salt, _INFO).derive(domain_key)).encrypt
    sealed = encrypt(_DOCUMENT_NONCE, document, _DOCUMENT_AAD)
    ciphertext = encrypt(_FIRST_NONCE, plaintext, _LAST_AAD)
    return sealed, ciphertext, merkle.node_hash(merkle.leaf_hash(sealed), merkle.leaf_hash(ciphertext))


class Encryptor:
    """Encrypts a stream chunk by chunk and keeps the leaves. Holds no data; not thread-safe.

    Args:
        key: The version's key.
    """

    __slots__ = ("_key", "leaves", "length")

    def __init__(self, key: VersionKey) -> None:
        self._key = key
        self.leaves: list[bytes] = []
        self.length = 0

    def encrypt(self, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """Encrypt the next chunk; all but the last have the descriptor's chunk length."""
        ciphertext = self._key.encrypt(len(self.leaves), plaintext, last=last)
        self.leaves.append(merkle.leaf_hash(ciphertext))
        self.length += len(ciphertext)
        return ciphertext


def root(sealed: bytes, leaves: Iterable[bytes] = ()) -> str:
    """The storage descriptor's root: over the sealed document and the leaf hashes of what follows it, hex."""
    return merkle.root([merkle.leaf_hash(sealed), *leaves]).hex()


def chunks_of(size: int, chunk: int) -> int:
    """How many chunks ``size`` bytes of plaintext make; an empty object has one."""
    return max(1, -(-size // chunk))


def ciphertext_length(size: int, chunk: int) -> int:
    """How many bytes of ciphertext ``size`` bytes of plaintext make."""
    return size + chunks_of(size, chunk) * TAG_BYTES


def _nonce(number: int) -> bytes:
    return _DATA + number.to_bytes(8, "big")
