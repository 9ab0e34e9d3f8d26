"""Content documents of stored versions, uploads and parts: read, unsealed, checked against the record, remembered.

A document is immutable and known by the seq of its record, so a copy in memory is never stale. Whoever has no lease
(a listing) may find the bytes erased meanwhile; see :meth:`Documents.load`.

Not handled here: the document's fields (``vault.manifest``).
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from vault.crypto.aead import SUITE, VersionKey
from vault.errors import CorruptError, IntegrityError
from vault.manifest import MAX_DOCUMENT_BYTES, decode_document, document_digest

if TYPE_CHECKING:
    from vault.crypto.keyring import Keyring
    from vault.manifest import ContentDocument
    from vault.ports import Bodies
    from vault.record import Storage

#: Documents remembered, a count; one takes about 1 KiB, at most some 12 KiB.
REMEMBERED: Final = 8192


class Documents:
    """Thread-safe; :meth:`load` and :meth:`body` may block on disk.

    Args:
        bodies: Where sealed documents lie.
        keyring: Opens them.
    """

    def __init__(self, bodies: Bodies, keyring: Keyring) -> None:
        self._bodies = bodies
        self._keyring = keyring
        self._known: OrderedDict[int, ContentDocument] = OrderedDict()
        self._lock = Lock()

    def known(self, seq: int) -> ContentDocument | None:
        """The document of record ``seq``'s body where memory holds it."""
        with self._lock:
            document = self._known.get(seq)
            if document is not None:
                self._known.move_to_end(seq)
            return document

    def load(self, seq: int, storage: Storage, content: str, body: bytes | None = None) -> ContentDocument:
        """The document of record ``seq``'s body.

        Args:
            seq: The record that made the version, upload or part.
            storage: Its storage descriptor.
            content: The record's digest of the document.
            body: The body, where it was read already.

        Raises:
            IntegrityError: It is not what the record names, or of a suite that this software does not know.
            CorruptError: There is no such body any more, or it is damaged.
            KeyringError: Its domain key is missing.
        """
        document = self.known(seq)
        if document is not None:
            return document
        if storage.sealed > MAX_DOCUMENT_BYTES + 1024:
            raise CorruptError(f"record {seq} claims a sealed document of {storage.sealed} bytes")
        sealed = self._bodies.read(seq, 0, storage.sealed) if body is None else body[: storage.sealed]
        plaintext = self.key(storage).open(sealed)
        if not hmac.compare_digest(document_digest(plaintext), content):
            raise IntegrityError(f"the content document of record {seq} is not the one the record names")
        document = decode_document(plaintext)
        self.remember(seq, document)
        return document

    def remember(self, seq: int, document: ContentDocument) -> None:
        """Keep a document that was just stored under record ``seq``."""
        with self._lock:
            self._known[seq] = document
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def key(self, storage: Storage) -> VersionKey:
        """The key of what a storage descriptor describes.

        Raises:
            IntegrityError: Its suite or salt is none that this software writes.
            KeyringError: Its domain key is missing.
        """
        if storage.suite != SUITE:
            raise IntegrityError(f"encryption suite {storage.suite}; this software knows {SUITE}")
        try:
            salt = bytes.fromhex(storage.salt)
        except ValueError as error:
            raise IntegrityError("the storage descriptor's salt is not hexadecimal") from error
        return VersionKey(self._keyring.get(storage.domain).key, salt)

    def seq_of(self, position: int) -> int:
        """See :meth:`vault.ports.Bodies.seq_of`."""
        return self._bodies.seq_of(position)

    def body(self, seq: int, offset: int, length: int) -> bytes:
        """Bytes of record ``seq``'s body; see :meth:`vault.ports.Bodies.read`."""
        return self._bodies.read(seq, offset, length)

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """The beginning of record ``seq``'s body, if memory holds it; see :meth:`vault.ports.Bodies.at_hand`."""
        return self._bodies.at_hand(seq, length)
