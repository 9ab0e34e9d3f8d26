r"""The format of a key backup, version 1 (ARCHITECTURE, *Key backup*). Pure.

    `SRKBAK1\n` ‖ u32 header length ‖ header ‖ nonce (12 bytes) ‖ AES-256-GCM of the files ‖ SHA-256(all before it)

The header is JSON in the clear, ``{"v":1,"vault","time","kek","holds_kek","kdf":{"name","n","r","p","salt"}}``, with
``scrypt`` as name. The cipher's key is scrypt (RFC 7914) of the passphrase's UTF-8 bytes, 32 bytes long; its associated
data are all bytes before the nonce. What it encrypts is JSON, ``{"files":{path below the data directory: base64}}``.

The digest lets who has no passphrase see damage, and tells damage from a wrong passphrase; against forgery stands the
cipher. Whoever has the file may try passphrases at home: the cost of one try is in the header.

Not handled here: which files (``audit.keys``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from vault.errors import KeyringError

VERSION: Final = 1
#: A whole backup, in bytes: the longest keyring in base64, and a hundred thousand secrets.
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
#: A passphrase, in bytes of UTF-8.
MAX_PASSPHRASE_BYTES: Final = 1024
#: What new backups cost: n, r and p of scrypt; 128 MiB of memory, and about half a second, for each try.
COST: Final = (1 << 17, 8, 1)

_MAGIC: Final = b"SRKBAK1\n"
_MAX_HEADER_BYTES: Final = 4096
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_DIGEST_BYTES: Final = 32
#: n times r of a header: 128 bytes of memory each.
_MAX_MEMORY: Final = 1 << 23


class _Kdf(msgspec.Struct, frozen=True):
    name: Literal["scrypt"]
    n: Annotated[int, Meta(ge=2, le=1 << 22)]
    r: Annotated[int, Meta(ge=1, le=64)]
    p: Annotated[int, Meta(ge=1, le=16)]
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}\\Z")]


class Header(msgspec.Struct, frozen=True):
    """What a backup says of itself in the clear: whose keys, made when, under which KEK, and whether that is in it."""

    v: int
    vault: Annotated[str, Meta(pattern="^[0-9a-z-]{1,64}\\Z")]
    time: Annotated[str, Meta(pattern="^[0-9TZ:.-]{1,40}\\Z")]
    kek: Annotated[str, Meta(pattern="^[0-9a-f]{8}\\Z")]
    holds_kek: bool
    kdf: _Kdf


@dataclass(frozen=True, slots=True)
class KeyBackup:
    """What a backup holds; ``files`` are bytes by path below the data directory."""

    vault: str
    time: str
    kek: str
    holds_kek: bool
    files: dict[str, bytes] = field(repr=False)


class _Files(msgspec.Struct, frozen=True):
    files: dict[str, bytes]


_headers: Final = msgspec.json.Decoder(Header)
_contents: Final = msgspec.json.Decoder(_Files)


def seal(backup: KeyBackup, passphrase: str) -> bytes:
    """Write a backup, with fresh salt and nonce. Takes memory and time (:data:`COST`).

    Args:
        backup: What to keep.
        passphrase: Whoever has it and the result has the keys.

    Raises:
        KeyringError: There is too much to keep, or not the memory to do it.
    """
    n, r, p = COST
    kdf = _Kdf("scrypt", n, r, p, os.urandom(_SALT_BYTES).hex())
    header = msgspec.json.encode(Header(VERSION, backup.vault, backup.time, backup.kek, backup.holds_kek, kdf))
    clear = _MAGIC + len(header).to_bytes(4, "big") + header
    nonce = os.urandom(_NONCE_BYTES)
    plain = msgspec.json.encode(_Files(backup.files))
    sealed = clear + nonce + AESGCM(_derive(kdf, passphrase)).encrypt(nonce, plain, clear)
    if len(sealed) + _DIGEST_BYTES > MAX_FILE_BYTES:
        raise KeyringError(f"the keys take more than {MAX_FILE_BYTES} bytes; back the files up as they are")
    return sealed + sha256(sealed).digest()


def read_header(data: bytes) -> Header:
    """Read what a backup says of itself; needs no passphrase.

    Raises:
        KeyringError: It is no key backup, damaged, or of another version.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        raise KeyringError("this is no key backup")
    if len(data) > MAX_FILE_BYTES or sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise KeyringError("this key backup is damaged or cut short: use another copy of it")
    start, end = _header_bounds(data)
    try:
        header = _headers.decode(data[start:end])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyringError("this key backup has a header that this software does not read") from error
    if header.v != VERSION:
        raise KeyringError(f"this key backup is of version {header.v}; this software reads {VERSION}")
    if header.kdf.n * header.kdf.r > _MAX_MEMORY or header.kdf.n & (header.kdf.n - 1):
        raise KeyringError("this key backup asks for more memory than any that was made")
    return header


def unseal(data: bytes, passphrase: str) -> KeyBackup:
    """Read a backup. Takes memory and time, as its header says.

    Raises:
        KeyringError: As :func:`read_header`; or the passphrase is another one.
    """
    header = read_header(data)
    _, end = _header_bounds(data)
    nonce, sealed = data[end : end + _NONCE_BYTES], data[end + _NONCE_BYTES : -_DIGEST_BYTES]
    try:
        plain = AESGCM(_derive(header.kdf, passphrase)).decrypt(nonce, sealed, data[:end])
        files = _contents.decode(plain).files
    except InvalidTag as error:
        raise KeyringError("the passphrase is not that of this key backup") from error
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise KeyringError("this key backup holds something else than keys") from error
    return KeyBackup(header.vault, header.time, header.kek, header.holds_kek, files)


def _header_bounds(data: bytes) -> tuple[int, int]:
    start = len(_MAGIC) + 4
    length = int.from_bytes(data[len(_MAGIC) : start], "big")
    return start, start + min(length, _MAX_HEADER_BYTES)


def _derive(kdf: _Kdf, passphrase: str) -> bytes:
    try:
        return Scrypt(bytes.fromhex(kdf.salt), _KEY_BYTES, kdf.n, kdf.r, kdf.p).derive(passphrase.encode())
    except MemoryError as error:
        raise KeyringError(f"scrypt found no {kdf.n * kdf.r >> 13} MiB of memory on this host: free some") from error
