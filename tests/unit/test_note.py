from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.errors import NoteInvalid
from audit.note import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    MAX_VKEY_CHARS,
    Signer,
    VerifierKey,
    open_note,
    parse_note,
    sign_note,
)


def signer(name: str = "log.example/a", seed: int = 1) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


A, B = signer(), signer("log.example/b", 2)
TEXT = "first\n\nlast\n"
NOTE = sign_note(TEXT, A)
LINE = NOTE.rpartition(b"\n\n")[2].decode()
SIGNATURE = LINE.split(" ")[2].strip()


def line(name: str, raw: bytes) -> str:
    return f"— {name} {base64.b64encode(raw).decode()}\n"


def test_the_text_is_cut_at_the_last_empty_line() -> None:
    assert open_note(NOTE, [A.verifier]) == TEXT


def test_lines_of_unknown_keys_are_ignored_even_where_they_share_name_or_id() -> None:
    same_name = line(A.verifier.name, b"\0\0\0\0" + bytes(64))
    same_id = line("log.example/c", A.verifier.key_id + bytes(64))
    cosignature = line("witness.example", bytes(4 + 8 + 64))
    note = NOTE + f"{same_name}{same_id}{cosignature}".encode()
    assert open_note(note, [A.verifier]) == TEXT
    assert len(parse_note(note).signatures) == 4


def test_one_failing_signature_of_a_known_key_rejects_the_note() -> None:
    note = sign_note(TEXT, A) + line(B.verifier.name, B.verifier.key_id + bytes(64)).encode()
    assert open_note(note, [A.verifier]) == TEXT
    with pytest.raises(NoteInvalid, match=r"log\.example/b does not verify"):
        open_note(note, [A.verifier, B.verifier])


def test_a_second_failing_line_of_the_same_key_rejects_the_note() -> None:
    with pytest.raises(NoteInvalid, match="does not verify"):
        open_note(NOTE + line(A.verifier.name, A.verifier.key_id + bytes(64)).encode(), [A.verifier])


def test_a_signature_of_another_length_does_not_verify() -> None:
    note = f"{TEXT}\n".encode() + line(A.verifier.name, A.verifier.key_id + b"x").encode()
    with pytest.raises(NoteInvalid, match="does not verify"):
        open_note(note, [A.verifier])


def test_a_changed_text_does_not_verify() -> None:
    with pytest.raises(NoteInvalid, match="does not verify"):
        open_note(NOTE.replace(b"last", b"lost"), [A.verifier])


@pytest.mark.parametrize("keys", [[], [B.verifier]])
def test_a_note_that_no_known_key_signed_is_rejected(keys: list[VerifierKey]) -> None:
    with pytest.raises(NoteInvalid, match="has signed this note"):
        open_note(NOTE, keys)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        f"text\n{LINE}".encode(),
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"more\n",
        NOTE.replace(b"first", b"fi\trst"),
        NOTE.replace(b"first", b"fi\r\nrst"),
        NOTE.replace(b"first", b"\xff"),
        NOTE.replace("— ".encode(), b"- "),
        NOTE.replace("— ".encode(), "—  ".encode()),
        NOTE.replace(b"log.example/a ", b""),
        NOTE.replace(b"log.example/a", b"log+a"),
        NOTE.replace(b"log.example/a", "log\N{NO-BREAK SPACE}a".encode()),
        NOTE.replace(b"log.example/a", "log\N{LINE SEPARATOR}a".encode()),
        NOTE.replace(SIGNATURE.encode(), SIGNATURE.encode() + b" x"),
        NOTE.replace(SIGNATURE.encode(), SIGNATURE.rstrip("=").encode()),
        NOTE.replace(SIGNATURE.encode(), b"!" * 8),
        NOTE.replace(SIGNATURE.encode(), base64.b64encode(b"1234")),
        NOTE.replace(SIGNATURE.encode(), base64.b64encode(b"12345")[:-2] + b"V="),
    ],
)
def test_what_is_not_a_signed_note_is_refused(note: bytes) -> None:
    with pytest.raises(NoteInvalid):
        parse_note(note)


def test_the_number_of_signatures_is_bounded_above_what_the_specification_asks_for() -> None:
    more = line("w.example", bytes(8)).encode()
    assert len(parse_note(NOTE + more * (MAX_SIGNATURES - 1)).signatures) == MAX_SIGNATURES >= 16
    with pytest.raises(NoteInvalid, match="signatures"):
        parse_note(NOTE + more * MAX_SIGNATURES)


def test_the_size_of_a_note_is_bounded() -> None:
    with pytest.raises(NoteInvalid, match="bytes"):
        parse_note(b"x" * (MAX_NOTE_BYTES + 1 - len(NOTE)) + NOTE)


@pytest.mark.parametrize("text", ["", "no newline", "control\x00\n", "x" * MAX_NOTE_BYTES + "\n"])
def test_only_a_text_that_opens_again_is_signed(text: str) -> None:
    with pytest.raises(NoteInvalid):
        sign_note(text, A)


def test_a_note_without_signers_is_none() -> None:
    with pytest.raises(NoteInvalid):
        sign_note(TEXT)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\tb", "a\N{EM SPACE}b", "a\x00b", "\ud800"])
def test_a_key_name_has_no_spaces_and_no_plus(name: str) -> None:
    with pytest.raises(NoteInvalid):
        signer(name)


VKEY = A.verifier.encode()


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        "name+00000000",
        VKEY.replace(A.verifier.key_id.hex(), "00000000"),
        VKEY.replace(A.verifier.key_id.hex(), A.verifier.key_id.hex().upper()),
        VKEY.replace("log.example/a", "log.example/b"),
        VKEY.replace("log.example/a", ""),
        VKEY + "\n",
        VKEY[:-4],
        VKEY[:-1] + "é",
        f"{A.verifier.name}+{A.verifier.key_id.hex()}+{base64.b64encode(bytes(33)).decode()}",
        f"{A.verifier.name}+{A.verifier.key_id.hex()}+{base64.b64encode(bytes([4]) + bytes(32)).decode()}",
        "x" * MAX_VKEY_CHARS + VKEY,
    ],
)
def test_what_is_not_a_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(vkey)
