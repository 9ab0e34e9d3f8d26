"""The plaintext of a stored version, piece by piece, from wherever its ciphertext lies.

Synchronous; runs in worker threads under a lease. Every chunk is authenticated before a byte of it is handed on, and a
list of parts, which lies in the clear, is checked against the root in the record.

Not handled here: leases and records of a read (``vault.service.reading``).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import msgspec

from vault.crypto import aead
from vault.crypto.aead import TAG_BYTES, chunks_of, ciphertext_length
from vault.errors import CorruptError, IntegrityError
from vault.merkle import leaf_hash
from vault.state import rows
from vault.state.rows import PartRow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from vault.ports import State
    from vault.record import Storage
    from vault.service.documents import Documents
    from vault.state.rows import VersionRow
    from vault.storage.blobs import BlobStore

#: (part number, seq of the part's record in the stream of both, plaintext bytes)
Part = tuple[int, int, int]

#: A list of 10,000 parts, in bytes, with room to spare.
MAX_LIST_BYTES: Final = 1 << 20
_decode_parts: Final = msgspec.json.Decoder(list[Part]).decode


def encode_parts(parts: list[Part]) -> bytes:
    """Write the list of parts that is the rest of the body of a multipart object."""
    return msgspec.json.encode(parts)


class Plaintext:
    """Reads versions. Thread-safe; each iterator belongs to one thread at a time.

    Args:
        documents: Bodies and keys.
        blobs: Large bodies.
        state: The durable view: parts of a multipart object are found there.
    """

    def __init__(self, documents: Documents, blobs: BlobStore, state: State) -> None:
        self._documents = documents
        self._blobs = blobs
        self._state = state

    def pieces(self, row: VersionRow, first: int, last: int, body: bytes | None = None) -> Generator[bytes, None, None]:
        """The bytes ``first`` to ``last``, both inclusive, in pieces of at most one chunk.

        Of an empty version (``last`` is -1) there is one empty piece, authenticated like any other. The caller holds a
        lease on the version until the iterator ends or is closed. ``body`` is the version's body, where all of it was
        read already.

        Raises:
            IntegrityError: What is stored does not authenticate.
            CorruptError: Something that the record names is missing or cut.
            KeyringError: A domain key is missing.
        """
        if row.storage is None:
            raise CorruptError(f"record {row.seq} made a version without bytes")
        if row.storage.kind != "parts":
            yield from self._stored(row.seq, row.storage, row.size, first, last, body)
            return
        start = 0
        for number, seq, size in self.parts(row):
            end = start + size
            if start <= last and end > first and size:
                part = self._state.get(rows.part_key(row.upload, number))
                if not isinstance(part, PartRow) or self._documents.seq_of(part.seq) != seq or part.size != size:
                    raise CorruptError(f"part {number} of upload {row.upload} is not the one that was completed")
                yield from self._stored(part.seq, part.storage, size, max(first - start, 0), min(last, end - 1) - start)
            start = end

    def parts(self, row: VersionRow) -> list[Part]:
        """The parts of a multipart object, in order; empty for an object that was put in one piece.

        Raises:
            IntegrityError: The list is not what the record's root covers.
            CorruptError: It is missing or no list.
        """
        storage = row.storage
        if storage is None or storage.kind != "parts":
            return []
        if storage.length > MAX_LIST_BYTES:
            raise CorruptError(f"record {row.seq} claims a list of parts of {storage.length} bytes")
        body = self._documents.body(row.seq, 0, storage.sealed + storage.length)
        sealed, data = body[: storage.sealed], body[storage.sealed :]
        if aead.root(sealed, [leaf_hash(data)]) != storage.root:
            raise IntegrityError(f"the list of parts of record {row.seq} is not what the record covers")
        try:
            return _decode_parts(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptError(f"the list of parts of record {row.seq} cannot be read") from error

    def _stored(  # noqa: PLR0917 - a body and the range of it
        self, seq: int, storage: Storage, size: int, first: int, last: int, body: bytes | None = None
    ) -> Generator[bytes, None, None]:
        """A range of one body's plaintext."""
        chunk = storage.chunk
        if chunk <= 0 or storage.length != ciphertext_length(size, chunk):
            raise CorruptError(f"the storage descriptor of record {seq} does not fit its size of {size}")
        key = self._documents.key(storage)
        final = chunks_of(size, chunk) - 1
        with ExitStack() as stack:
            read: Callable[[int, int], bytes]
            if storage.kind == "blob":
                read = stack.enter_context(self._blobs.open(storage.blob)).read
            else:
                read = _from_body(self._documents, seq, storage.sealed, body)
            for number in range(first // chunk, max(last, 0) // chunk + 1):
                start = number * chunk
                length = min(chunk, size - start)
                ciphertext = read(start + number * TAG_BYTES, length + TAG_BYTES)
                plaintext = key.decrypt(number, ciphertext, last=number == final)
                begin, end = max(first - start, 0), min(last + 1 - start, length)
                yield plaintext if end - begin == length else plaintext[begin:end]


def _from_body(documents: Documents, seq: int, sealed: int, body: bytes | None) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        if body is not None:
            return body[sealed + offset : sealed + offset + length]
        return documents.body(seq, sealed + offset, length)

    return read
