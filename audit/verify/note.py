"""Signed notes, vkeys and checkpoints (C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0).

Not handled here: which keys to trust (``anchor``); SM2 signatures, whose type is
unknown here and which are skipped as the specification demands.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify import ed25519

if TYPE_CHECKING:
    from collections.abc import Callable

#: A signed note, in bytes.
MAX_NOTE_BYTES: Final = 64 * 1024
#: Signatures on one note; the specification asks for at least 16.
MAX_SIGNATURES: Final = 100
_ED25519: Final = 1

_NAME: Final = r"[^\s+]+"
_SIGNATURE: Final = re.compile(rf"— ({_NAME}) ([A-Za-z0-9+/]+={{0,2}})")
_VKEY: Final = re.compile(rf"({_NAME})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/]+={{0,2}})")
_BODY: Final = re.compile(r"(\S+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n((?:[^\n]+\n)*)")


class NoteError(Exception):
    """Not a signed note, vkey or checkpoint, or its signature is not good; says which."""


class VerifierKey(NamedTuple):
    """A public key: ``name+hex8(id)+base64(type ‖ key)``."""

    name: str
    id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    """A log's state: what its key signs."""

    origin: str
    size: int
    root: bytes


def _base64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except Base64Error as error:
        raise NoteError(f"not base64: {error}") from error
    if b64encode(data).decode() != text:
        raise NoteError("base64 with stray bits")
    return data


def parse_vkey(text: str) -> VerifierKey:
    """Read a vkey.

    Args:
        text: One line, a trailing line feed allowed.

    Returns:
        The key.

    Raises:
        NoteError: Not a vkey, its id is not its hash, or not an Ed25519 key.
    """
    match = _VKEY.fullmatch(text.strip())
    if match is None:
        raise NoteError("not a vkey: expected name+hash+key")
    name, data = match[1], _base64(match[3])
    key_id = bytes.fromhex(match[2])
    if sha256(name.encode("utf-8", "surrogatepass") + b"\n" + data).digest()[:4] != key_id:
        raise NoteError("the vkey's hash is not that of its name and key: mistyped?")
    if data[0] != _ED25519 or len(data) != 33:
        raise NoteError(f"not an Ed25519 key (type {data[0]})")
    return VerifierKey(name, key_id, data[1:])


def _split(data: bytes) -> tuple[str, list[str]]:
    if len(data) > MAX_NOTE_BYTES:
        raise NoteError(f"longer than {MAX_NOTE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NoteError("not UTF-8") from error
    if any(char < " " and char != "\n" for char in text):
        raise NoteError("control characters")
    body, gap, signatures = text.rpartition("\n\n")
    lines = signatures.split("\n")
    if not gap or lines.pop() or not lines or len(lines) > MAX_SIGNATURES:
        raise NoteError("not a signed note")
    return body + "\n", lines


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint without checking its signatures.

    Args:
        data: The signed note.

    Returns:
        What it says.

    Raises:
        NoteError: Not a checkpoint.
    """
    match = _BODY.fullmatch(_split(data)[0])
    if match is None:
        raise NoteError("not a checkpoint: expected origin, size and root, a line each")
    return Checkpoint(match[1], int(match[2]), _base64(match[3]))


def signers(
    data: bytes, keys: list[VerifierKey], check: Callable[[bytes, bytes, bytes], bool] = ed25519.verify
) -> list[VerifierKey]:
    """Check a note's signatures.

    Args:
        data: The signed note.
        keys: Keys to check with; signatures of others are skipped.
        check: Whether a public key made a signature of a message.

    Returns:
        Those of ``keys`` that signed it, perhaps none.

    Raises:
        NoteError: Not a signed note, or a signature under one of ``keys`` is not good.
    """
    text, lines = _split(data)
    known = {(key.name, key.id): key for key in keys}
    good: list[VerifierKey] = []
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise NoteError("a signature line is malformed")
        blob = _base64(match[2])
        if len(blob) < 5:
            raise NoteError("a signature is too short")
        key = known.get((match[1], blob[:4]))
        if key is None:
            continue
        if not check(key.public, blob[4:], text.encode()):
            raise NoteError(f"the signature of {key.name} is not good")
        if key not in good:
            good.append(key)
    return good
