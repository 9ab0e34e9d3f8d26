"""Content document and manifest: what an object version *is*, and the digest by which the record knows it.

The content document holds everything about the bytes that must not stand in a record in the clear: digests, ETag,
headers, user metadata. It is sealed beside the data; the record carries the SHA-256 of its plaintext, and a random
salt inside makes that digest useless for guessing the content (DESIGN §2, *manifest*).

The manifest binds that digest to name, ordinal, time, lock and the digest of the key's previous manifest. All of it
is in the record, so anybody can recompute it and follow a key's versions as a hash chain.

Both are JSON with the fields in the order of the structs below, no whitespace, absent fields left out
(ARCHITECTURE, *Formats*). Everything here is pure.

Not handled here: encryption (``vault.crypto.aead``).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from vault.errors import CorruptError
from vault.forms import form, number, quoted, text
from vault.record import LockRef

VERSION: Final = 1
#: Random bytes that make a content document's digest no oracle for its content.
SALT_BYTES: Final = 16
#: A content document's plaintext, in bytes. Metadata is bounded long before (``vault.service.limits``).
MAX_DOCUMENT_BYTES: Final = 64 * 1024


class Checksum(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An S3 checksum. ``type`` is COMPOSITE or FULL_OBJECT; ``value`` is base64, with ``-N`` when composite."""

    algorithm: str
    type: str
    value: str = ""


class ContentDocument(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What is known of the bytes of an object version, an upload or a part.

    Attributes:
        v: :data:`VERSION`.
        salt: 32 hex characters, random.
        size: Plaintext bytes.
        etag: Without quotes: the MD5, or ``<MD5 of the parts' MD5s>-<parts>``. Empty for an upload under way.
        md5: Hex; empty where no single pass saw all bytes (multipart).
        sha256: Hex; empty like ``md5``.
        checksum: The checksum the client named, verified.
        headers: Stored response headers, names in lower case.
        metadata: User metadata, names in lower case without ``x-amz-meta-``.
        parts: Number of parts; 0 for what was put in one piece.
    """

    v: int
    salt: str
    size: int
    etag: str
    md5: str = ""
    sha256: str = ""
    checksum: Checksum | None = None
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    parts: int = 0


class _Manifest(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    v: int
    bucket: str
    key: str
    ordinal: int
    time: str
    content: str = ""
    lock: LockRef | None = None
    marker: bool = False
    null: bool = False
    prev: str = ""


_KEY, _CONTENT, _PREVIOUS = text(), text(), text()
_ORDINAL: Final = number()
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ContentDocument).decode


def encode_document(document: ContentDocument) -> bytes:
    """Write a content document; these bytes are what is digested and sealed."""
    return _encode(document)


def decode_document(data: bytes) -> ContentDocument:
    """Read a content document that was unsealed.

    Raises:
        CorruptError: It authenticated, yet is no content document of this version.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise CorruptError(f"content document of {len(data)} bytes; at most {MAX_DOCUMENT_BYTES} are ever written")
    try:
        document = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"not a content document of version {VERSION}: {error}") from error
    if document.v != VERSION:
        raise CorruptError(f"content document of version {document.v}; this software reads {VERSION}")
    return document


def document_digest(plaintext: bytes) -> str:
    """The digest that stands in records as ``object.content``, lowercase hex."""
    return sha256(plaintext).hexdigest()


def manifest_digest(
    *,
    bucket: str,
    key: str,
    ordinal: int,
    time: str,
    content: str = "",
    lock: LockRef | None = None,
    marker: bool = False,
    null: bool = False,
    prev: str = "",
) -> str:
    """Compute the digest of a version's manifest.

    Args:
        bucket: Its bucket.
        key: Its key.
        ordinal: Counts the versions of the key, from 1.
        time: The record's ``time``, RFC 3339 as it stands there.
        content: :func:`document_digest`; empty for a delete marker.
        lock: The record's ``lock``, None where it has none.
        marker: A delete marker.
        null: S3's null version.
        prev: Digest of the key's previous manifest; empty for the first.

    Returns:
        Lowercase hex.
    """
    return sha256(
        _encode(_Manifest(VERSION, bucket, key, ordinal, time, content, lock, marker, null, prev))
    ).hexdigest()


def manifest_form(*, bucket: str, time: str, lock: LockRef | None, null: bool, chained: bool) -> bytes:
    """A manifest that lacks key (with its quotes), ordinal and content: for ``%``, in this order, then to be digested.

    Args:
        bucket: As in :func:`manifest_digest`, like all that has the same name.
        time: The same.
        lock: The same.
        null: The same.
        chained: It also lacks ``prev``, at its end; else it has none.
    """
    previous = _PREVIOUS if chained else ""
    manifest = _Manifest(VERSION, bucket, _KEY, _ORDINAL, time, _CONTENT, lock, null=null, prev=previous)
    return form(_encode(manifest), quoted(_KEY), _ORDINAL, _CONTENT, *([previous] if chained else ()))
