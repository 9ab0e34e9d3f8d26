"""Content documents and tails of the members of one archive, as forms (``vault.forms``).

Of a thousand members all but some seven values are the same.

Not handled here: what the values are (``vault.service.packing``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from vault.forms import form, number, quoted, text
from vault.manifest import VERSION, ContentDocument, encode_document
from vault.record import ObjectRef, Storage, encode_tail

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.record import Tail

_SALT, _MD5, _SHA256, _KEY, _CONTENT, _STORED_SALT, _ROOT = (text() for _ in range(7))
_SIZE, _SEALED, _LENGTH = (number() for _ in range(3))
_NO_STORAGE: Final = Storage(0, "", "", "", 0, 0, 0, "")


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
    return form(encode_document(document), _SALT, _SIZE, _MD5, _MD5, _SHA256)


def tail_form(common: Tail) -> bytes:
    """A tail, without its first byte, that lacks what :class:`vault.ports.Put` has for itself.

    For ``%``, in this order: key (with its quotes), size, content; and of its storage salt, sealed, length and root.
    Digests and salt are in hex.

    Args:
        common: What all of them have in common; what is lacking is of no account.
    """
    named, storage = common.object or ObjectRef(""), common.storage or _NO_STORAGE
    tail = replace(
        common,
        object=replace(named, key=_KEY, size=_SIZE, content=_CONTENT),
        storage=replace(storage, salt=_STORED_SALT, sealed=_SEALED, length=_LENGTH, root=_ROOT),
    )
    marks = (quoted(_KEY), _SIZE, _CONTENT, _STORED_SALT, _SEALED, _LENGTH, _ROOT)
    return form(encode_tail(tail)[1:], *marks)
