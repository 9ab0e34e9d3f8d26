r"""Secrets at rest under keys of the site key: principals' secrets, and signing keys.

    magic ‖ nonce (12 bytes) ‖ AES-256-GCM (associated data: name) ‖ SHA-256(all before it ‖ name)

The magic of a principal's secret is `SRSECR1\n` and its name the principal's id; a stream's signing key has `SRSIGN1\n`
and the stream's name. A file that was moved to another name does not open. The digest lets who has no key see damage
(``audit.verify.keys``); against forgery stands the cipher. Both are no view: a secret is durable before the record that
adds its principal.

Not handled here: who the principals are (the index), and signing (``audit``).
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault import durable
from vault.errors import KeyringError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vault.crypto.keyring import Keyring

#: Of one secret, in bytes.
MAX_SECRET_BYTES: Final = 1024

_SECRET_MAGIC: Final = b"SRSECR1\n"
_SIGNING_MAGIC: Final = b"SRSIGN1\n"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_DIGEST_BYTES: Final = 32
#: Of a file, with the longest secret in it.
_MAX_BYTES: Final = len(_SECRET_MAGIC) + _NONCE_BYTES + MAX_SECRET_BYTES + _TAG_BYTES + _DIGEST_BYTES
_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


class SecretStore:
    """Principals' secrets, one file each. Thread-safe; blocks on disk.

    Args:
        directory: ``keys/secrets``; must exist.
        keyring: Its site key seals.
    """

    def __init__(self, directory: Path, keyring: Keyring) -> None:
        self._directory = directory
        self._cipher = AESGCM(keyring.derive("secrets"))

    def add(self, principal_id: str, secret: str) -> None:
        """Keep a new principal's secret: durable on return.

        Raises:
            NameTaken: This principal has one.
            DurabilityError: It could not be written.
        """
        data = secret.encode()
        if len(data) > MAX_SECRET_BYTES:
            raise ValueError(f"a secret of {len(data)} bytes; at most {MAX_SECRET_BYTES}")
        durable.write_new(self._path(principal_id), _wrap(self._cipher, _SECRET_MAGIC, principal_id, data))

    def get(self, principal_id: str) -> str:
        """A principal's secret.

        Raises:
            KeyringError: It is missing, damaged, or another principal's.
        """
        path = self._path(principal_id)
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise KeyringError(f"{path} cannot be read ({error.strerror}); restore it from a key backup") from error
        return _unwrap(self._cipher, _SECRET_MAGIC, principal_id, data, str(path)).decode()

    def sweep(self, known: Callable[[str], bool]) -> None:
        """Remove the secrets that no durable record names: of additions that were refused, or cut short by a crash.

        Only at start, before the committer opens.

        Args:
            known: Whether there is a principal of this id, disabled or not.

        Raises:
            DurabilityError: The file system failed.
        """
        durable.sweep_temps(self._directory)
        for path in sorted(self._directory.iterdir()):
            if _ID.fullmatch(path.name) and not known(path.name):
                durable.remove(path)

    def _path(self, principal_id: str) -> Path:
        if _ID.fullmatch(principal_id) is None:
            raise KeyringError(f"{principal_id[:64]!r} cannot be a principal's id")
        return self._directory / principal_id


def is_secret_of(keyring: Keyring, principal_id: str, data: bytes) -> bool:
    """Whether a file's bytes are a principal's sealed secret, of this site."""
    try:
        _unwrap(AESGCM(keyring.derive("secrets")), _SECRET_MAGIC, principal_id, data, "")
    except KeyringError:
        return False
    return _ID.fullmatch(principal_id) is not None


def wrap_signing_key(keyring: Keyring, stream: str, private: bytes) -> bytes:
    """Seal a stream's private signing key; the result is what ``keys/<stream>.signing`` holds."""
    return _wrap(AESGCM(keyring.derive("signing")), _SIGNING_MAGIC, stream, private)


def unwrap_signing_key(keyring: Keyring, stream: str, data: bytes) -> bytes:
    """Open what :func:`wrap_signing_key` sealed.

    Raises:
        KeyringError: It is damaged, another stream's, or of another site.
    """
    return _unwrap(AESGCM(keyring.derive("signing")), _SIGNING_MAGIC, stream, data, f"the signing key of {stream}")


def _wrap(cipher: AESGCM, magic: bytes, name: str, plaintext: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    sealed = magic + nonce + cipher.encrypt(nonce, plaintext, name.encode())
    return sealed + sha256(sealed + name.encode()).digest()


def _unwrap(cipher: AESGCM, magic: bytes, name: str, data: bytes, place: str) -> bytes:
    start = len(magic)
    sealed, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    try:
        if data[:start] != magic:
            raise KeyringError(f"{place} does not begin as it must; restore it from a key backup")
        if sha256(sealed + name.encode()).digest() != digest:
            raise KeyringError(f"{place} is damaged, or was moved from another name; restore it from a key backup")
        return cipher.decrypt(sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :], name.encode())
    except (InvalidTag, ValueError) as error:
        raise KeyringError(f"{place} does not authenticate; restore it from a key backup") from error
