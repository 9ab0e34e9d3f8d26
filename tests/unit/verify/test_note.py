"""Signed notes, vkeys and checkpoints; the first test is the example of C2SP signed-note."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from audit.verify.note import MAX_SIGNATURES, NoteError, parse_checkpoint, parse_vkey, signers
from tests.doubles.logbuilder import EMPTY, LogBuilder

C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
LOG = LogBuilder()
KEY = parse_vkey(LOG.vkey())
NOTE = LOG.checkpoint()


def vkey(name: str, data: bytes) -> str:
    digest = sha256(name.encode() + b"\n" + data).hexdigest()
    return f"{name}+{digest[:8]}+{b64encode(data).decode()}"


def test_the_example_of_the_specification_verifies() -> None:
    key = parse_vkey(C2SP_VKEY)
    assert signers(C2SP_NOTE, [key]) == [key]


def test_a_checkpoint_says_origin_size_and_root() -> None:
    assert parse_checkpoint(NOTE) == (LOG.origin, 0, EMPTY)
    assert signers(NOTE, [KEY]) == [KEY]


def test_extension_lines_are_signed_and_skipped() -> None:
    text = NOTE.replace(b"\n\n", b"\nextension\n\n")
    assert parse_checkpoint(text).size == 0
    with pytest.raises(NoteError, match="not good"):
        signers(text, [KEY])


def test_signatures_of_unknown_keys_are_skipped() -> None:
    assert signers(NOTE, [parse_vkey(C2SP_VKEY)]) == []
    stranger = NOTE + f"— someone.else {b64encode(bytes(68)).decode()}\n".encode()
    assert signers(stranger, [KEY]) == [KEY]


def test_a_signature_of_another_type_by_the_same_name_is_skipped() -> None:
    other = NOTE + f"— {LOG.origin} {b64encode(b'abcd' + bytes(72)).decode()}\n".encode()
    assert signers(other, [KEY]) == [KEY]


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        NOTE[:-1],
        NOTE.replace(b"\n\n", b"\n"),
        NOTE + b"junk\n",
        NOTE + b"\n",
        NOTE.replace("—".encode(), b"-"),
        NOTE.replace(b"\n0\n", b"\n0\r\n"),
        b"\xff" + NOTE,
        b"\x00" + NOTE,
        NOTE + NOTE.splitlines(keepends=True)[-1] * MAX_SIGNATURES,
        bytes(100_000),
    ],
)
def test_what_is_no_signed_note_is_refused(note: bytes) -> None:
    with pytest.raises(NoteError):
        signers(note, [KEY])


@pytest.mark.parametrize("size", ["-1", "+1", "01", "1.0", " 1", "1 ", "", "x", "1" * 30, "\u0661"])
def test_sizes_are_plain_decimals(size: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(NOTE.replace(b"\n0\n", f"\n{size}\n".encode()))


@pytest.mark.parametrize("root", ["", "AAAA", b64encode(bytes(31)).decode(), b64encode(bytes(33)).decode()])
def test_roots_are_of_32_bytes(root: str) -> None:
    line = b64encode(EMPTY)
    with pytest.raises(NoteError):
        parse_checkpoint(NOTE.replace(line, root.encode()))


def test_base64_has_one_form_only() -> None:
    line = b64encode(EMPTY).decode()
    stray = line[:-2] + chr(ord(line[-2]) + 1) + "="
    with pytest.raises(NoteError, match="stray"):
        parse_checkpoint(NOTE.replace(line.encode(), stray.encode()))


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "name+12345678", C2SP_VKEY.replace("530d", "530e"), C2SP_VKEY.replace("foo", "fo o"),
        vkey("name", b"\x01" + bytes(31)), vkey("name", b"\x02" + bytes(32)), vkey("name", b"\x01"), "a+b+c+d",
        C2SP_VKEY + "\nmore",
    ],
)  # fmt: skip
def test_what_is_no_ed25519_vkey_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        parse_vkey(text)
