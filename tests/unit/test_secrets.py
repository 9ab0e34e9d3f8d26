from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.keys import FixedKek
from vault import durable
from vault.crypto.keyring import Keyring
from vault.crypto.secrets import SecretStore, unwrap_signing_key, wrap_signing_key
from vault.errors import KeyringError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "wJalrXUtnFEMI-example"


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path, FixedKek())


@pytest.fixture
def store(tmp_path: Path, ring: Keyring) -> SecretStore:
    (tmp_path / "secrets").mkdir()
    return SecretStore(tmp_path / "secrets", ring)


def test_a_secret_comes_back_and_is_nowhere_in_the_clear(tmp_path: Path, store: SecretStore) -> None:
    store.add("p1", SECRET)
    assert store.get("p1") == SECRET
    assert SECRET.encode() not in (tmp_path / "secrets" / "p1").read_bytes()
    with pytest.raises(durable.NameTaken):
        store.add("p1", "another")
    assert store.get("p1") == SECRET


def test_a_secret_that_was_moved_changed_cut_or_lost_is_refused(tmp_path: Path, store: SecretStore) -> None:
    store.add("p1", SECRET)
    data = (tmp_path / "secrets" / "p1").read_bytes()
    bad = [
        data,
        data[:-1],
        data + b"\0",
        b"",
        *(data[:n] + bytes((data[n] ^ 1,)) + data[n + 1 :] for n in range(len(data))),
    ]
    for content in bad:
        (tmp_path / "secrets" / "p2").write_bytes(content)
        with pytest.raises(KeyringError, match="p2") as caught:
            store.get("p2")
        assert SECRET not in str(caught.value)
    with pytest.raises(KeyringError, match="restore it"):
        store.get("p3")


@pytest.mark.parametrize("principal_id", ["", "../kek", "a/b", ".", "x" * 65, "p\n"])
def test_an_id_is_no_path(store: SecretStore, principal_id: str) -> None:
    with pytest.raises(KeyringError):
        store.get(principal_id)
    with pytest.raises(KeyringError):
        store.add(principal_id, SECRET)


def test_a_secret_has_a_longest_length(store: SecretStore) -> None:
    with pytest.raises(ValueError, match="1025 bytes"):
        store.add("p1", "x" * 1025)


def test_a_signing_key_opens_for_its_stream_and_site_only(tmp_path: Path, ring: Keyring) -> None:
    private = bytes(range(32))
    data = wrap_signing_key(ring, "site-a.node-1", private)
    assert private not in data
    assert unwrap_signing_key(ring, "site-a.node-1", data) == private
    with pytest.raises(KeyringError, match="node-2"):
        unwrap_signing_key(ring, "site-a.node-2", data)
    (tmp_path / "other").mkdir()
    with pytest.raises(KeyringError):
        unwrap_signing_key(Keyring.create(tmp_path / "other", FixedKek()), "site-a.node-1", data)
    for place in range(len(data)):
        with pytest.raises(KeyringError):
            unwrap_signing_key(ring, "site-a.node-1", data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :])


def test_a_secret_is_no_signing_key(tmp_path: Path, ring: Keyring, store: SecretStore) -> None:
    store.add("site-a", SECRET)
    with pytest.raises(KeyringError):
        unwrap_signing_key(ring, "site-a", (tmp_path / "secrets" / "site-a").read_bytes())
