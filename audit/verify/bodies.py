"""Bodies of records as ciphertext, against the descriptors in the records (DESIGN §2, storage descriptor).

The root in a descriptor is the RFC 6962 root over leaf(sealed content document), then the leaf of each ciphertext
chunk of what follows it, or of the list of parts as one leaf (ARCHITECTURE, Body).

Not handled here: where bodies lie (``segment``, ``packs``) and which must be there (``holdings``).
"""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.files import open_regular, read_at
from audit.verify.report import Bad, Finding
from audit.verify.schema import STORAGE
from audit.verify.tree import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from audit.verify.event import Event

#: Bytes that suite 1 adds to each chunk.
_TAG_BYTES: Final = 16
#: Plaintext bytes in a chunk, at most: a chunk is hashed in one piece.
MAX_CHUNK_BYTES: Final = 64 * 1024 * 1024
#: What is said of a blob that is not there.
MISSING: Final = "the blob is missing"
_SUITES: Final = frozenset((1,))


class Body(NamedTuple):
    """A storage descriptor."""

    kind: str
    suite: int
    sealed: int
    chunk: int
    length: int
    root: bytes
    blob: str

    @property
    def inline(self) -> int:
        """Bytes of it in the body itself, the rest of a blob being elsewhere."""
        return self.sealed if self.kind == "blob" else self.sealed + self.length


class Seen(NamedTuple):
    """A body that was found and is good as far as it lies there.

    ``sealed_leaf`` is wanted for a blob, whose root covers both; ``parts`` is the list in a body of that kind,
    as (number, seq, size).
    """

    seq: int
    sealed_leaf: bytes = b""
    parts: list[tuple[int, int, int]] | None = None


class Blob(NamedTuple):
    """A blob to be checked, whole or its length alone: the file, and what its record says."""

    seq: int
    path: str
    place: str
    body: Body
    sealed_leaf: bytes
    whole: bool = True


def descriptor(event: Event) -> Body | None:
    """The descriptor that an operation recorded, if it stored something."""
    if not event.root:
        return None
    return _body(event.kind, event.suite, event.sealed, event.chunk, event.length, event.root, event.blob)


def descriptor_in(record: bytes) -> Body | None:
    """The descriptor in a record's bytes, if there is one: what looks like it cannot stand inside a string."""
    match = STORAGE.search(record)
    return _body(*match.group("kind", "suite", "sealed", "chunk", "length", "root", "blob")) if match else None


def _body(*fields: bytes | None) -> Body:
    kind, suite, sealed, chunk, length, root, blob = (field or b"" for field in fields)
    numbers = int(suite), int(sealed), int(chunk), int(length)
    return Body(kind.decode(), *numbers, bytes.fromhex(root.decode()), blob.decode())


def check_inline(body: Body, seq: int, data: bytes, place: str) -> Seen:
    """Check what lies in the body itself.

    Args:
        body: Its descriptor.
        seq: Its record.
        data: The body.
        place: What findings call it.

    Returns:
        What was seen; of a blob, its root is still to be checked.

    Raises:
        Bad: It is not what the record says.
    """
    if len(data) != body.inline:
        raise Bad(place, f"the body has {len(data)} bytes; its record says {body.inline}", seq)
    if not known_suite(body):
        return Seen(seq)
    sealed_leaf = leaf_hash(data[: body.sealed])
    rest = memoryview(data)[body.sealed :]
    if body.kind == "blob":
        return Seen(seq, sealed_leaf)
    if body.kind == "parts":
        _same_root(body, [sealed_leaf, leaf_hash(bytes(rest))], seq, place)
        return Seen(seq, parts=_parts(bytes(rest), seq, place))
    stride = _stride(body, seq, place)
    chunks = (rest[at : at + stride] for at in range(0, len(rest), stride))
    _same_root(body, (sealed_leaf, *map(_chunk_leaf, chunks)), seq, place)
    return Seen(seq)


def check_blob(blob: Blob) -> list[Finding]:
    """Check a blob against its record.

    Args:
        blob: Which.

    Returns:
        What is bad.

    Raises:
        Unchecked: It cannot be read.
    """
    body = blob.body
    try:
        file = open_regular(blob.path, blob.place)
        if file is None:
            return [Finding(blob.seq, blob.place, MISSING)]
        with file:
            length = file.seek(0, 2)
            if length != body.length:
                why = f"the blob has {length} bytes; its record says {body.length}"
                return [Finding(blob.seq, blob.place, why)]
            if not (blob.whole and known_suite(body)):
                return []
            stride = _stride(body, blob.seq, blob.place)

            def leaves() -> Iterator[bytes]:
                yield blob.sealed_leaf
                for at in range(0, length, stride):
                    yield _chunk_leaf(read_at(file, at, min(stride, length - at), blob.place))

            try:
                _same_root(body, leaves(), blob.seq, blob.place)
            except Bad as bad:
                why = "the blob, or the sealed document beside its record, is not what the record says"
                return [bad.finding._replace(why=why)]
    except Bad as bad:
        return [bad.finding]
    return []


def known_suite(body: Body) -> bool:
    """Whether this verifier knows how the suite cuts and hashes bodies."""
    return body.suite in _SUITES


def _stride(body: Body, seq: int, place: str) -> int:
    if body.chunk > MAX_CHUNK_BYTES:
        raise Bad(place, f"chunks of {body.chunk} bytes, more than {MAX_CHUNK_BYTES}", seq)
    return body.chunk + _TAG_BYTES


def _chunk_leaf(chunk: bytes | memoryview) -> bytes:
    digest = sha256(b"\0")
    digest.update(chunk)
    return digest.digest()


def _same_root(body: Body, leaves: Iterable[bytes], seq: int, place: str) -> None:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    if tree.root() != body.root:
        raise Bad(place, "the bytes are not those whose root its record holds", seq)


def _parts(data: bytes, seq: int, place: str) -> list[tuple[int, int, int]]:
    try:
        value = json.loads(data)
        parts = [(number, part, size) for number, part, size in value]
        if not all(type(field) is int for part in parts for field in part):
            raise TypeError("a field that is no integer")
    except (ValueError, TypeError, RecursionError) as error:
        raise Bad(place, f"not a list of parts: {error}", seq) from error
    if json.dumps([list(part) for part in parts], separators=(",", ":")).encode() != data:
        raise Bad(place, "the list of parts is not in its one form", seq)
    if any(before[0] >= after[0] for before, after in pairwise(parts)):
        raise Bad(place, "the parts are not in order", seq)
    return parts
