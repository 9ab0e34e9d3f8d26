"""Bytes from outside give a value or one of our errors, and nothing else."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vault.crypto import keyring_file
from vault.crypto.kek import VARIABLE, EnvironmentKek
from vault.crypto.keyring_file import Contents, DomainKey
from vault.errors import CorruptError, KeyringError, S3Error
from vault.manifest import decode_document
from vault.service.pages import _read_token
from vault.storage.blobs import BlobStore

KEK = bytes(range(32))
GOOD = keyring_file.encode(Contents(3, b"s" * 32, (DomainKey("ab" * 8, b"d" * 32, "ledgers", "2031-05"),)), KEK)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good keyring with a slice of it exchanged."""
    start = draw(st.integers(0, len(GOOD)))
    end = draw(st.integers(start, len(GOOD)))
    return GOOD[:start] + draw(st.binary(max_size=40)) + GOOD[end:]


@given(st.one_of(mutated(), st.binary(max_size=200), st.binary(max_size=200).map(lambda data: GOOD[:12] + data)))
def test_keyrings(data: bytes) -> None:
    try:
        assert keyring_file.decode(data, KEK) == keyring_file.decode(GOOD, KEK)
        assert data == GOOD
    except KeyringError:
        assert data != GOOD


@given(st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_content_documents(data: bytes) -> None:
    with contextlib.suppress(CorruptError):
        decode_document(data)


@given(st.text(max_size=80))
def test_keys_in_the_environment(text: str) -> None:
    with contextlib.suppress(KeyringError):
        assert len(EnvironmentKek({VARIABLE: text}).load()) == 32


@given(st.text(max_size=80))
def test_continuation_tokens(token: str) -> None:
    with contextlib.suppress(S3Error):
        assert isinstance(_read_token(token), str)


@given(st.text(max_size=40))
def test_blob_ids(blob_id: str) -> None:
    with tempfile.TemporaryDirectory() as directory, contextlib.suppress(CorruptError):
        BlobStore(Path(directory)).open(blob_id).close()
