"""Signed notes (C2SP signed-note v1.0.0) with Ed25519 keys.

A note is a text, an empty line, and signature lines ``— <name> <base64(key id || signature)>``.
Parsing believes nothing; only :func:`open_note` returns a text, once a key that the caller
named has signed it.

Not handled here: what the text says (``audit.checkpoint``), Go's private key form, and the
other signature types, whose lines are kept apart by name and key id and so ignored.
"""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.errors import NoteInvalid

if TYPE_CHECKING:
    from collections.abc import Collection

#: Bytes of a whole note: room for 32 post-quantum signatures of almost 5 kB, base64 included.
MAX_NOTE_BYTES: Final = 256 * 1024
#: Signature lines of one note; the specification asks for at least 16.
MAX_SIGNATURES: Final = 32
#: Characters of a verifier key's text form.
MAX_VKEY_CHARS: Final = 1024

#: The signature type of Ed25519 over the text (signed-note, "Signature types").
ED25519: Final = b"\x01"
KEY_ID_BYTES: Final = 4
ED25519_KEY_BYTES: Final = 32

_MARK: Final = "\N{EM DASH} "
#: Not empty, no Unicode spaces, no plus sign ("Format"); and nothing that UTF-8 cannot carry.
_KEY_NAME: Final = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")


class Signature(NamedTuple):
    """One signature line, not verified."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A parsed note, not verified: ``text`` must not be used before :func:`open_note` returned it."""

    text: str
    signatures: tuple[Signature, ...]


class VerifierKey(NamedTuple):
    """The public half of a key: its name, and 32 bytes of Ed25519 public key."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || type || public key)[:4] (signed-note, "Signatures")."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:KEY_ID_BYTES]

    def encode(self) -> str:
        """Write the verifier key: ``name+<key id in hex>+<base64(type || public key)>``."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(ED25519 + self.public_key)}"

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a verifier key.

        Raises:
            NoteInvalid: It is malformed, its key id does not fit, or it is no Ed25519 key.
        """
        name, _, rest = vkey[: MAX_VKEY_CHARS + 1].partition("+")
        key_id, _, key = rest.partition("+")
        if len(vkey) > MAX_VKEY_CHARS or not _KEY_NAME.fullmatch(name):
            raise NoteInvalid("a verifier key is name+id+key, of at most 1,024 characters")
        typed = _unbase64(key)
        if typed[:1] != ED25519 or len(typed) != len(ED25519) + ED25519_KEY_BYTES:
            raise NoteInvalid(f"the verifier key of {name} is no Ed25519 key")
        parsed = cls(name, typed[1:])
        if parsed.key_id.hex() != key_id:
            raise NoteInvalid(f"the verifier key of {name} has key id {parsed.key_id.hex()}, not what it says")
        return parsed

    def verifies(self, text: str, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``text``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """A key that signs notes; thread-safe.

    Args:
        name: The key's name, for a log its origin.
        key: The private key.

    Raises:
        NoteInvalid: The name is none.
    """

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        if not _KEY_NAME.fullmatch(name):
            raise NoteInvalid("a key name is not empty and has no spaces, control characters or +")
        self._key = key
        self.verifier = VerifierKey(name, key.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Sign a note's text."""
        return Signature(self.verifier.name, self.verifier.key_id, self._key.sign(text.encode()))


def sign_note(text: str, *signers: Signer) -> bytes:
    """Sign a text and return the note.

    Raises:
        NoteInvalid: The text does not end in a newline, holds control characters, or is too long.
    """
    lines = [_MARK + f"{s.name} {_base64(s.key_id + s.signature)}\n" for s in (key.sign(text) for key in signers)]
    note = f"{text}\n{''.join(lines)}".encode()
    if parse_note(note).text != text:
        raise NoteInvalid("the text does not survive as a note's")
    return note


def parse_note(note: bytes) -> Note:
    """Take a note apart without believing it.

    Raises:
        NoteInvalid: It is not a signed note, or is larger than :data:`MAX_NOTE_BYTES`, or has more
            than :data:`MAX_SIGNATURES` signatures.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise NoteInvalid(f"a note has at most {MAX_NOTE_BYTES} bytes, this one {len(note)}")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteInvalid("a note is UTF-8, this one is not") from error
    if any(char < " " and char != "\n" for char in whole):
        raise NoteInvalid("a note has no control characters but newlines, this one does")
    text, blank, signatures = whole.rpartition("\n\n")
    lines = signatures.split("\n")
    if not blank or lines.pop() or not lines:
        raise NoteInvalid("a note ends in an empty line and whole signature lines, this one does not")
    if len(lines) > MAX_SIGNATURES:
        raise NoteInvalid(f"a note has at most {MAX_SIGNATURES} signatures, this one {len(lines)}")
    return Note(text + "\n", tuple(map(_parse_line, lines)))


def open_note(note: bytes, keys: Collection[VerifierKey]) -> str:
    """Return the text of a note that at least one of the keys has signed.

    1. The note parses.
    2. A line of an unknown (name, key id) is ignored ("Signatures": MUST).
    3. A line of a known key must verify; one that fails rejects the whole note (SHOULD).
    4. At least one line was of a known key (MUST).

    Left to the caller: what the text says, and that the names mean what he thinks.

    Raises:
        NoteInvalid: One of these does not hold.
    """
    parsed = parse_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    signed = False
    for line in parsed.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.verifies(parsed.text, line.signature):
            raise NoteInvalid(f"the signature of {key.name} does not verify")
        signed = True
    if not signed:
        raise NoteInvalid(f"none of {', '.join(sorted(key.name for key in keys))} has signed this note")
    return parsed.text


def _parse_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    raw = _unbase64(encoded)
    if not line.startswith(_MARK) or not space or not _KEY_NAME.fullmatch(name) or len(raw) <= KEY_ID_BYTES:
        raise NoteInvalid("a signature line is an em dash, a key name, and base64 of key id and signature")
    return Signature(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unbase64(text: str) -> bytes:
    """Decode base64 in its one canonical form, so that a note has one way to be written."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:  # binascii.Error is one
        raise NoteInvalid("not base64") from error
    if _base64(raw) != text:
        raise NoteInvalid("not canonical base64")
    return raw
