"""A key backup's file: what comes back, and every way in which it must not."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.crypto import backup_file
from vault.crypto.backup_file import KeyBackup, read_header, seal, unseal
from vault.errors import KeyringError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME = "2026-11-27T17:00:00.000000000Z"
BACKUP = KeyBackup("0123456789abcdef", TIME, "0a1b2c3d", holds_kek=True, files={"keys/kek": b"the-kek", "x": bytes(99)})
PASSPHRASE = "correct horse battery"


@pytest.fixture(autouse=True, scope="module")
def _cheap() -> Iterator[None]:
    """A try costs nothing here; what it costs is in the header."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_file, "COST", (16, 1, 1))
        yield


@pytest.fixture(scope="module")
def sealed(_cheap: None) -> bytes:
    return seal(BACKUP, PASSPHRASE)


def header_replaced(data: bytes, **changes: object) -> bytes:
    """A backup with another header, whole again to who has no passphrase."""
    end = 12 + int.from_bytes(data[8:12], "big")
    header = json.dumps(json.loads(data[12:end]) | changes).encode()
    changed = data[:8] + len(header).to_bytes(4, "big") + header + data[end:-32]
    return changed + sha256(changed).digest()


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=4), st.text(min_size=1, max_size=20))
@settings(deadline=None)
def test_what_was_sealed_comes_back_with_its_passphrase_only(files: dict[str, bytes], passphrase: str) -> None:
    made = KeyBackup(BACKUP.vault, TIME, BACKUP.kek, holds_kek=False, files=files)
    data = seal(made, passphrase)
    assert unseal(data, passphrase) == made
    with pytest.raises(KeyringError, match="passphrase is not that of"):
        unseal(data, f"{passphrase}x")


def test_it_says_whose_it_is_without_a_passphrase_and_nothing_else(sealed: bytes) -> None:
    header = read_header(sealed)
    assert (header.vault, header.time, header.kek, header.holds_kek) == (BACKUP.vault, TIME, BACKUP.kek, True)
    for hidden in (b"the-kek", b"dGhlLWtlaw", b"keys/kek", PASSPHRASE.encode()):
        assert hidden not in sealed
    assert "the-kek" not in repr(BACKUP)


def test_two_backups_of_the_same_have_nothing_in_common(sealed: bytes) -> None:
    again = seal(BACKUP, PASSPHRASE)
    end = 12 + int.from_bytes(again[8:12], "big")
    assert again[12:end] != sealed[12:end]
    assert again[end:] != sealed[end:]


def test_every_flipped_byte_is_damage(sealed: bytes) -> None:
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(KeyringError, match="no key backup" if place < 8 else "damaged or cut short"):
            unseal(bytes(changed), PASSPHRASE)


def test_every_cut_is_damage(sealed: bytes) -> None:
    for length in range(len(sealed)):
        with pytest.raises(KeyringError, match="no key backup" if length < 8 else "damaged or cut short"):
            unseal(sealed[:length], PASSPHRASE)
    with pytest.raises(KeyringError, match="damaged"):
        unseal(sealed + b"\0", PASSPHRASE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"v": 2}, "of version 2"),
        ({"vault": "\x1b[31mred"}, "a header that this software does not read"),
        ({"kek": 1}, "a header that this software does not read"),
        ({"kdf": {"name": "none", "n": 16, "r": 1, "p": 1, "salt": "00" * 16}}, "does not read"),
        ({"kdf": {"name": "scrypt", "n": 1 << 22, "r": 64, "p": 1, "salt": "00" * 16}}, "more memory"),
        ({"kdf": {"name": "scrypt", "n": 1000, "r": 1, "p": 1, "salt": "00" * 16}}, "more memory"),
        ({"kdf": {"name": "scrypt", "n": 1 << 40, "r": 1, "p": 1, "salt": "00" * 16}}, "does not read"),
        ({"holds_kek": False}, "passphrase is not that of"),
        ({"vault": "fedcba9876543210"}, "passphrase is not that of"),
    ],
    ids=str,
)
def test_a_header_that_somebody_wrote_anew_is_refused(sealed: bytes, changes: dict[str, object], says: str) -> None:
    with pytest.raises(KeyringError, match=says):
        unseal(header_replaced(sealed, **changes), PASSPHRASE)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_backup_or_one_of_our_errors(data: bytes, begins_well: bool) -> None:  # noqa: FBT001
    body = b"SRKBAK1\n" + data if begins_well else data
    for some in (body, body + sha256(body).digest()):
        with pytest.raises(KeyringError):
            unseal(some, PASSPHRASE)


def test_what_holds_no_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "_Files", lambda files: ["something", "else"])
    with pytest.raises(KeyringError, match="something else than keys"):
        unseal(seal(BACKUP, PASSPHRASE), PASSPHRASE)


def test_more_than_is_ever_written_is_refused(monkeypatch: pytest.MonkeyPatch, sealed: bytes) -> None:
    monkeypatch.setattr(backup_file, "MAX_FILE_BYTES", 200)
    with pytest.raises(KeyringError, match="take more than 200 bytes"):
        seal(BACKUP, PASSPHRASE)
    with pytest.raises(KeyringError, match="damaged"):
        read_header(sealed)


def test_what_a_try_costs_by_default_is_what_is_documented() -> None:
    n, r, p = (1 << 17, 8, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup_file, "COST", (n, r, p))
        header = read_header(seal(BACKUP, PASSPHRASE))
    assert (header.kdf.n, header.kdf.r, header.kdf.p) == (131072, 8, 1)
