from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.crypto import aead
from vault.crypto.aead import KEY_BYTES, SALT_BYTES, TAG_BYTES, VersionKey, encrypt_whole
from vault.errors import IntegrityError
from vault.merkle import leaf_hash

KEY = VersionKey(bytes(KEY_BYTES), bytes(SALT_BYTES))
OTHERS = {
    "of another version": VersionKey(bytes(KEY_BYTES), b"\x01" * SALT_BYTES),
    "of another domain": VersionKey(b"\x01" * KEY_BYTES, bytes(SALT_BYTES)),
}


@given(st.binary(max_size=300), st.binary(max_size=5000))
def test_a_whole_version_is_what_its_key_makes_piece_by_piece(document: bytes, plaintext: bytes) -> None:
    sealed, ciphertext, root = encrypt_whole(bytes(KEY_BYTES), bytes(SALT_BYTES), document, plaintext)
    assert (sealed, ciphertext) == (KEY.seal(document), KEY.encrypt(0, plaintext, last=True))
    assert root.hex() == aead.root(sealed, [leaf_hash(ciphertext)])


def flipped(data: bytes) -> list[bytes]:
    return [
        data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
        for place in range(len(data))
        for bit in (0, 7)
    ]


def test_a_chunk_with_any_byte_changed_is_refused() -> None:
    for damaged in flipped(KEY.encrypt(3, b"some evidence", last=False)):
        with pytest.raises(IntegrityError):
            KEY.decrypt(3, damaged, last=False)


def test_a_sealed_document_with_any_byte_changed_is_refused() -> None:
    for damaged in flipped(KEY.seal(b'{"v":1}')):
        with pytest.raises(IntegrityError):
            KEY.open(damaged)


@pytest.mark.parametrize(("number", "last"), [(4, False), (2, False), (3, True), (3 + (1 << 32), False)])
def test_a_chunk_in_another_place_is_refused(number: int, *, last: bool) -> None:
    chunk = KEY.encrypt(3, b"some evidence", last=False)
    with pytest.raises(IntegrityError):
        KEY.decrypt(number, chunk, last=last)


def test_a_last_chunk_does_not_pass_for_one_in_the_middle() -> None:
    with pytest.raises(IntegrityError):
        KEY.decrypt(0, KEY.encrypt(0, b"end", last=True), last=False)


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_key_opens_nothing(other: VersionKey) -> None:
    with pytest.raises(IntegrityError):
        other.decrypt(0, KEY.encrypt(0, b"x", last=True), last=True)
    with pytest.raises(IntegrityError):
        other.open(KEY.seal(b"x"))


def test_document_and_data_are_not_mistaken_for_each_other() -> None:
    with pytest.raises(IntegrityError):
        KEY.open(KEY.encrypt(0, b"x", last=True))
    with pytest.raises(IntegrityError):
        KEY.decrypt(0, KEY.seal(b"x"), last=True)


@pytest.mark.parametrize("length", range(TAG_BYTES))
def test_what_is_shorter_than_a_tag_is_refused(length: int) -> None:
    with pytest.raises(IntegrityError):
        KEY.decrypt(0, bytes(length), last=True)
    with pytest.raises(IntegrityError):
        KEY.open(bytes(length))


@given(number=st.integers(0, (1 << 64) - 1), data=st.binary(max_size=200), last=st.booleans())
def test_what_was_encrypted_comes_back(number: int, data: bytes, *, last: bool) -> None:
    chunk = KEY.encrypt(number, data, last=last)
    assert len(chunk) == len(data) + TAG_BYTES
    assert KEY.decrypt(number, chunk, last=last) == data
