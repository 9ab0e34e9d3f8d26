"""Encrypting one body and describing where it is: what a record needs of the bytes it names.

Not handled here: receiving them (``vault.service.intake``), reading them back (``vault.service.plaintext``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ssl import RAND_bytes  # os.urandom lets go of the interpreter, and so wakes every thread that waits for it
from typing import TYPE_CHECKING, Final

from vault.crypto import aead
from vault.crypto.aead import Encryptor, VersionKey
from vault.manifest import SALT_BYTES, document_digest, encode_document
from vault.merkle import leaf_hash
from vault.record import Storage

if TYPE_CHECKING:
    from vault.crypto.keyring_file import DomainKey
    from vault.manifest import ContentDocument
    from vault.storage.blobs import StagedBlob

#: Plaintext up to which a body rides in the commit log as one chunk, in bytes.
INLINE_BYTES: Final = 128 * 1024
#: Plaintext of one chunk of a blob, in bytes.
CHUNK_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes ready to be committed.

    Attributes:
        document: What is known of them.
        content: Its digest, for the record.
        storage: Where they are.
        body: The record's body.
        blob: The file of what is not in the body, published already.
    """

    document: ContentDocument
    content: str
    storage: Storage
    body: tuple[bytes, ...]
    blob: StagedBlob | None = None


def new_salt() -> str:
    """A salt for a content document; never that of a version key, which the record shows."""
    return RAND_bytes(SALT_BYTES).hex()


class Sealer:
    """Encrypts one body under a new version key. One thread at a time.

    Args:
        domain: The domain key that it will be under.
    """

    def __init__(self, domain: DomainKey) -> None:
        self._domain = domain
        self._salt = RAND_bytes(aead.SALT_BYTES)
        self._key = VersionKey(domain.key, self._salt)
        self._data = Encryptor(self._key)

    def encrypt(self, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        """Encrypt the next chunk."""
        return self._data.encrypt(plaintext, last=last)

    def logged(self, document: ContentDocument, ciphertext: bytes = b"") -> Stored:
        """A body that rides in the commit log; an upload's has no data."""
        return self._stored(document, (ciphertext,) if ciphertext else (), kind="log", chunk=INLINE_BYTES)

    def in_blob(self, document: ContentDocument, blob: StagedBlob) -> Stored:
        """A body whose ciphertext is a blob, to be published before it is committed."""
        return replace(self._stored(document, kind="blob", chunk=CHUNK_BYTES, blob=blob.id), blob=blob)

    def of_parts(self, document: ContentDocument, parts: bytes) -> Stored:
        """A body whose data are those of its parts; the list of them lies in the clear."""
        self._data.leaves.append(leaf_hash(parts))
        self._data.length += len(parts)
        return self._stored(document, (parts,), kind="parts", chunk=0)

    def _stored(
        self, document: ContentDocument, rest: tuple[bytes, ...] = (), *, kind: str, chunk: int, blob: str = ""
    ) -> Stored:
        plaintext = encode_document(document)
        sealed = self._key.seal(plaintext)
        storage = Storage(
            suite=aead.SUITE,
            kind=kind,
            domain=self._domain.id,
            salt=self._salt.hex(),
            sealed=len(sealed),
            chunk=chunk,
            length=self._data.length,
            root=aead.root(sealed, self._data.leaves),
            blob=blob,
        )
        return Stored(document, document_digest(plaintext), storage, (sealed, *rest))
