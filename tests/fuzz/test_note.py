"""Bytes from outside give a value or our own error, and a value is written back as it was read."""

from __future__ import annotations

import contextlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from audit.checkpoint import Checkpoint
from audit.errors import NoteInvalid, TilePathInvalid
from audit.note import Signer, VerifierKey, open_note, parse_note, sign_note
from audit.tiles import Tile

SIGNER = Signer("log.example/a", Ed25519PrivateKey.from_private_bytes(bytes(32)))
NOTE = sign_note(Checkpoint("log.example/a", 3, bytes(32)).text(), SIGNER)
PIECES = st.lists(
    st.sampled_from([b"\n", b"\n\n", "— ".encode(), b"a", b"log.example/a", b" ", b"AAAAAAAA", b"\xff", b"="]),
    max_size=12,
).map(b"".join)


@given(st.binary(max_size=200) | PIECES)
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    with contextlib.suppress(NoteInvalid):
        assert data.startswith(parse_note(data).text.encode() + b"\n")


@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_no_changed_byte_leaves_a_note_that_opens(position: int, change: int) -> None:
    changed = bytearray(NOTE)
    changed[position] ^= change
    with contextlib.suppress(NoteInvalid):
        open_note(bytes(changed), [SIGNER.verifier])
        raise AssertionError("a changed note opened")


@given(st.text() | st.text("a+09=/fA").map("name+".__add__) | st.just(SIGNER.verifier.encode()))
def test_any_text_is_a_verifier_key_or_refused(text: str) -> None:
    with contextlib.suppress(NoteInvalid):
        assert VerifierKey.parse(text).encode() == text


@given(st.text() | st.from_regex(r"[a.]+\n[0-9]{1,20}\n[A-Za-z0-9+/]{43}=\n"))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    with contextlib.suppress(NoteInvalid):
        assert Checkpoint.parse(text).text() == text


@given(st.text() | st.from_regex(r"tile/([0-9]{1,2}|entries)/(x[0-9]{3}/){0,6}[0-9]{3}(\.p/[0-9]{1,3})?"))
def test_any_text_is_a_tile_path_or_refused(text: str) -> None:
    with contextlib.suppress(TilePathInvalid):
        assert Tile.parse(text).path == text
