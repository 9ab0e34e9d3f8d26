"""Content documents and tails of the members of one archive: encoded once, then filled in where members differ.

Encoding a struct takes longer than filling in a form, and of a thousand members all but seven values are the same. The
forms are made by the encoders themselves, of a member whose values are marks, so there is one place that knows either
format. The marks are random and of this process alone: nothing that a client sends can be taken for one.

Not handled here: what the values are (``vault.service.packing``).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from vault.manifest import VERSION, ContentDocument, encode_document
from vault.record import ObjectRef, Storage, Tail, encode_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.record import Request
    from vault.service.context import Caller

_SALT, _MD5, _SHA256, _KEY, _CONTENT, _STORED_SALT, _ROOT = (secrets.token_hex(16) for _ in range(7))
_SIZE, _SEALED, _LENGTH = (10**17 + secrets.randbelow(10**17) for _ in range(3))

#: Writes a string as JSON.
quoted: Final = msgspec.json.Encoder().encode


def _form(encoded: bytes, *marks: str | int) -> bytes:
    """Put a place where each mark is, for ``%``; all stand there in this order."""
    form = encoded.replace(b"%", b"%%")
    at = 0
    for mark in marks:
        sign = b"%b" if isinstance(mark, str) else b"%d"
        written = quoted(mark) if mark == _KEY else str(mark).encode()  # a key brings its quotes
        at = form.index(written, at)
        form = form[:at] + sign + form[at + len(written) :]
    return form


def document_form(headers: Mapping[str, str], metadata: Mapping[str, str]) -> bytes:
    """A content document that lacks salt, size, MD5 (twice) and SHA-256, in this order; hashes and salt in hex."""
    document = ContentDocument(
        v=VERSION,
        salt=_SALT,
        size=_SIZE,
        etag=_MD5,
        md5=_MD5,
        sha256=_SHA256,
        headers=dict(headers),
        metadata=dict(metadata),
    )
    return _form(encode_document(document), _SALT, _SIZE, _MD5, _MD5, _SHA256)


def tail_form(caller: Caller, bucket: str, asked: Request, storage: Storage) -> bytes:
    """A tail that lacks key (:data:`quoted`), size, content digest; and of the storage salt, sealed, length and root.

    Args:
        caller: Who asks.
        bucket: The bucket.
        asked: What is asked for.
        storage: Has what the storage of all of them has.
    """
    tail = Tail(
        op="object.put",
        actor=caller.actor,
        origin=caller.origin,
        object=ObjectRef(bucket, _KEY, size=_SIZE, content=_CONTENT),
        storage=msgspec.structs.replace(storage, salt=_STORED_SALT, sealed=_SEALED, length=_LENGTH, root=_ROOT),
        request=asked,
    )
    return _form(encode_tail(tail), _KEY, _SIZE, _CONTENT, _STORED_SALT, _SEALED, _LENGTH, _ROOT)
