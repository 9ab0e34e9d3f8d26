from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vectors import suite1
from vault.crypto import aead
from vault.crypto.aead import Encryptor, VersionKey

GOLDEN: dict[str, Any] = json.loads(suite1.FILE.read_text())
KEY = VersionKey(bytes.fromhex(GOLDEN["domain_key"]), bytes.fromhex(GOLDEN["salt"]))


def test_the_file_is_what_its_script_makes() -> None:
    assert suite1.vectors() == GOLDEN


def test_the_content_document_is_sealed_as_the_format_says() -> None:
    document, sealed = bytes.fromhex(GOLDEN["document"]), bytes.fromhex(GOLDEN["sealed"])
    assert KEY.seal(document) == sealed
    assert KEY.open(sealed) == document


@pytest.mark.parametrize("body", GOLDEN["bodies"], ids=lambda body: body["name"])
def test_data_is_encrypted_and_rooted_as_the_format_says(body: dict[str, Any]) -> None:
    plaintext, size = bytes.fromhex(body["plaintext"]), GOLDEN["chunk"]
    pieces = [plaintext[start : start + size] for start in range(0, len(plaintext), size)] or [b""]
    encryptor = Encryptor(KEY)
    chunks = [encryptor.encrypt(piece, last=piece is pieces[-1]) for piece in pieces]
    assert [chunk.hex() for chunk in chunks] == body["chunks"]
    assert aead.root(bytes.fromhex(GOLDEN["sealed"]), encryptor.leaves) == body["root"]
    assert encryptor.length == aead.ciphertext_length(len(plaintext), size)
    assert aead.chunks_of(len(plaintext), size) == len(chunks)
