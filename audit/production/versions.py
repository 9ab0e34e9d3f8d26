"""The versions of a production: their bytes as natives, and all that ties these to records.

A native is read under a lease, decrypted, and authenticated chunk by chunk. What the index no longer has was removed
meanwhile: the version is listed without a native, and so is one that cannot be read. What an earlier attempt wrote of
either goes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import CorruptError, IntegrityError, KeyringError, S3Error
from vault.manifest import decode_document, document_digest
from vault.merkle import leaf_hash
from vault.record import decode
from vault.service.documents import Documents
from vault.service.plaintext import Plaintext
from vault.state import lookup, rows
from vault.state.rows import PartRow
from vault.times import rfc3339

if TYPE_CHECKING:
    from audit.node import Node
    from audit.production.bag import Bag
    from vault.manifest import ContentDocument
    from vault.record import Storage
    from vault.state.rows import VersionRow

#: Of the part of a native's name that comes from its key, in characters.
MAX_NAME: Final = 80
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Part(msgspec.Struct, frozen=True):
    """A part of a multipart object: its record, and the content document that the record names."""

    number: int
    stream: str
    seq: int
    size: int
    document: str


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of ``versions.ndjson``.

    ``state`` is ``native``, or ``removed`` where the version had been removed when the production was made, or
    ``failed`` with what went wrong in ``problem``. ``document`` is the content document's exact text; ``sealed_leaf``
    and ``list`` tie the parts of a multipart object to its record (ARCHITECTURE, Body).
    """

    n: int
    bucket: str
    key: str
    version_id: str
    ordinal: int
    stream: str
    seq: int
    time: str
    size: int
    state: str
    native: str = ""
    sha256: str = ""
    document: str = ""
    sealed_leaf: str = ""
    list: str = ""
    parts: tuple[Part, ...] = ()
    mode: str = ""
    until: str = ""
    hold: bool = False
    matters: tuple[str, ...] = ()
    problem: str = ""
    trail: tuple[tuple[str, int], ...] = ()


#: What a version is listed with as unreadable, for good; what may pass by itself ends the attempt.
_UNREADABLE: Final = (IntegrityError, CorruptError, KeyringError, S3Error)


class Versions:
    """Reads the versions of one node. For one thread.

    Args:
        node: Open.
        bag: Where natives go.
    """

    def __init__(self, node: Node, bag: Bag) -> None:
        self._node = node
        self._bag = bag
        self._documents = Documents(node.stores, node.keyring)
        self._plaintext = Plaintext(self._documents, node.stores.blobs, node.stores.index)

    def produce(self, number: int, position: int, trail: tuple[tuple[str, int], ...]) -> Entry:
        """Write a version's native, unless an earlier attempt did.

        Args:
            number: Counts the versions of the production, from 1.
            position: Of the record that stored it.
            trail: Stream and seq of each record of its trail.

        Raises:
            ProductionFailed: The bag cannot be written, or would take what the vault needs of the disk.
            LedgerCorrupt: The record cannot be read.
            Unavailable: It cannot be read now; try again.
        """
        found = self._node.asking.found(position)
        head, tail = decode(bytes(found.record))
        version, named = head.version, tail.object
        if version is None or named is None:
            raise CorruptError(f"record {found.seq} stored a version and names none")
        entry = Entry(
            n=number,
            bucket=named.bucket,
            key=named.key,
            version_id=version.version_id,
            ordinal=version.ordinal,
            stream=found.stream,
            seq=found.seq,
            time=head.time,
            size=max(named.size, 0),
            state="removed",
            trail=trail,
        )
        name = f"data/natives/{number:06d}-{_safe(named.key)}"
        release = self._node.stores.leases.take(position)
        try:
            row = lookup.version_by_ordinal(self._node.stores.index, named.bucket, named.key, version.ordinal)
            if row is not None and row.seq == position and row.storage is not None:
                return self._native(entry, name, row, row.storage)
        except _UNREADABLE as error:
            entry = msgspec.structs.replace(entry, state="failed", problem=str(error))
        finally:
            release()
        self._bag.drop(name)
        return entry

    def _native(self, entry: Entry, name: str, row: VersionRow, storage: Storage) -> Entry:
        text, document = self._document(row.seq, storage, row.content)
        parts, sealed_leaf, listed = self._parts(row, storage)
        lock = lookup.lock_of(self._node.stores.index, entry.bucket, entry.key, row)
        if not self._bag.kept(name, row.size, document.sha256):  # last: what may fail after it would leave it listed
            with self._bag.open(name, row.size) as put:
                for piece in self._plaintext.pieces(row, 0, row.size - 1):
                    put(piece)
        return msgspec.structs.replace(
            entry,
            state="native",
            native=name.removeprefix("data/"),
            sha256=self._bag.digest(name),
            document=text,
            sealed_leaf=sealed_leaf,
            list=listed,
            parts=parts,
            mode=row.mode,
            until=rfc3339(row.until) if row.until else "",
            hold=row.hold,
            matters=lock.matters,
        )

    def _document(self, position: int, storage: Storage, content: str) -> tuple[str, ContentDocument]:
        """A content document's exact text, which the record's digest is of."""
        plaintext = self._documents.key(storage).open(self._node.stores.read(position, 0, storage.sealed))
        if document_digest(plaintext) != content:
            raise IntegrityError("the content document is not the one that the record names")
        return plaintext.decode(), decode_document(plaintext)

    def _parts(self, row: VersionRow, storage: Storage) -> tuple[tuple[Part, ...], str, str]:
        if storage.kind != "parts":
            return (), "", ""
        body = self._node.stores.read(row.seq, 0, storage.sealed + storage.length)
        parts = []
        for number, seq, size in self._plaintext.parts(row):
            part = self._node.stores.index.get(rows.part_key(row.upload, number))
            if not isinstance(part, PartRow) or self._node.stores.seq_of(part.seq) != seq:
                raise CorruptError(f"part {number} is not the one that was completed")
            text, _ = self._document(part.seq, part.storage, part.content)
            stream = self._node.asking.found(part.seq).stream
            parts.append(Part(number, stream, seq, size, text))
        return tuple(parts), leaf_hash(body[: storage.sealed]).hex(), body[storage.sealed :].decode()


def _safe(key: str) -> str:
    """A name that every file system takes, and that leads nowhere: the end of the key, as far as it is plain."""
    last = _UNSAFE.sub("_", key.rsplit("/", 1)[-1])[-MAX_NAME:].lstrip(".-_").rstrip(".")
    return last or "native"
