"""Rows of the many versions that one request makes, encoded as by ``vault.state.rows``: forms that are filled in.

Not handled here: where they stand (``vault.state.rows``), and what makes them (``vault.state.puts``).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from vault.forms import form, number, text
from vault.state.rows import KeyRow, VersionRow, encode_row

_ORDINAL, _SEQ, _SIZE, _SEALED, _LENGTH, _NULL = (number() for _ in range(6))
_ID, _MANIFEST, _CONTENT, _SALT, _ROOT = (text() for _ in range(5))
_CURRENT: Final = VersionRow(0, text(), 0, 0, 0, 0, "", "")
_KEY_FORM: Final = form(
    encode_row(KeyRow(_ORDINAL, _MANIFEST, _CURRENT, _NULL)), _ORDINAL, _MANIFEST, encode_row(_CURRENT), _NULL
)


def version_form(row: VersionRow) -> bytes:
    """A version's row that lacks what the PUTs of one request differ in.

    That is, for ``%`` and in this order: ordinal, id, seq, size, manifest, content; and of its storage salt, sealed,
    length and root. Digests, ids and salts are in hex.

    Args:
        row: What they have in common, of the storage too; what is lacking is of no account.

    Raises:
        ValueError: It has no storage.
    """
    if row.storage is None:
        raise ValueError("versions without bytes are not made together")
    storage = replace(row.storage, salt=_SALT, sealed=_SEALED, length=_LENGTH, root=_ROOT)
    marked = replace(
        row,
        ordinal=_ORDINAL,
        version_id=_ID,
        seq=_SEQ,
        size=_SIZE,
        manifest=_MANIFEST,
        content=_CONTENT,
        storage=storage,
    )
    marks = (_ORDINAL, _ID, _SEQ, _SIZE, _MANIFEST, _CONTENT, _SALT, _SEALED, _LENGTH, _ROOT)
    return form(encode_row(marked), *marks)


def encode_key_row(ordinal: int, manifest: bytes, version: bytes, null: int) -> bytes:
    """Encode a key's row: fields as in :class:`vault.state.rows.KeyRow`, its version encoded already."""
    return _KEY_FORM % (ordinal, manifest, version, null)
