r"""The keyring's file format, version 1. Pure.

    `SRKEYS1\n` ‖ u32 header length ‖ header ‖ nonce (12 bytes) ‖ AES-256-GCM of the list

The header is JSON in the clear: ``{"v":1,"kek","generation","site"}``. ``kek`` is the id of the KEK; ``site`` is hex of
nonce ‖ AES-256-GCM(KEK, site key), associated data ``strongroom v1 site key``. The list is JSON, ``[[id, key in hex,
bucket, month], …]``, encrypted under HKDF-SHA256(site key, info = ``strongroom v1 keyring``) with all bytes before the
nonce as associated data: neither a header nor a single key can be exchanged or left out unseen.

Not handled here: files and copies (``vault.crypto.keyring``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.crypto.kek import kek_id
from vault.errors import KeyringError

VERSION: Final = 1
KEY_BYTES: Final = 32
#: Domain keys in one keyring; a key takes about 150 bytes in each copy.
MAX_DOMAINS: Final = 250_000
#: Of one copy, in bytes.
MAX_FILE_BYTES: Final = 64 * 1024 * 1024

#: Of the clear part of a copy, in bytes.
MAX_HEADER_BYTES: Final = 8 + 4 + 1024

_MAGIC: Final = b"SRKEYS1\n"
_MAX_HEADER_BYTES: Final = 1024
_NONCE_BYTES: Final = 12
_SITE_AAD: Final = b"strongroom v1 site key"


@dataclass(frozen=True, slots=True)
class DomainKey:
    """The key of a bucket's versions that expire in one month.

    Attributes:
        id: 16 hex characters, random; stands in storage descriptors.
        key: 32 bytes.
        bucket: The bucket it was made for.
        month: ``YYYY-MM`` or ``none``. Placement, not a promise: a lock may be lengthened later.
    """

    id: str
    key: bytes = field(repr=False)
    bucket: str
    month: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a keyring holds. ``generation`` counts its writes."""

    generation: int
    site: bytes = field(repr=False)
    domains: tuple[DomainKey, ...]


class _Header(msgspec.Struct, frozen=True, gc=False):
    v: int
    kek: str
    generation: int
    site: str


_Entry = tuple[str, str, str, str]
_headers: Final = msgspec.json.Decoder(_Header)
_lists: Final = msgspec.json.Decoder(list[_Entry])


def derive(site: bytes, purpose: str) -> bytes:
    """Derive a 32-byte key from the site key: HKDF-SHA256 with info ``strongroom v1 <purpose>``."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"strongroom v1 " + purpose.encode()).derive(site)


def kek_named(data: bytes) -> str:
    """The id of the KEK that a keyring's header names; empty for what does not begin like one.

    Args:
        data: At least its first :data:`MAX_HEADER_BYTES`, where it is that long.
    """
    header = _header_of(data)
    return header.kek if header is not None else ""


def generation_named(data: bytes) -> int:
    """The generation that a keyring's header names; -1 for what does not begin like one."""
    header = _header_of(data)
    return header.generation if header is not None else -1


def _header_of(data: bytes) -> _Header | None:
    start = len(_MAGIC) + 4
    length = int.from_bytes(data[len(_MAGIC) : start], "big")
    try:
        return _headers.decode(data[start : start + length]) if data[: len(_MAGIC)] == _MAGIC else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def encode(contents: Contents, kek: bytes) -> bytes:
    """Write a keyring, with fresh nonces."""
    nonce = os.urandom(_NONCE_BYTES)
    site = nonce + AESGCM(kek).encrypt(nonce, contents.site, _SITE_AAD)
    header = msgspec.json.encode(_Header(VERSION, kek_id(kek), contents.generation, site.hex()))
    clear = _MAGIC + len(header).to_bytes(4, "big") + header
    entries: list[_Entry] = [(domain.id, domain.key.hex(), domain.bucket, domain.month) for domain in contents.domains]
    nonce = os.urandom(_NONCE_BYTES)
    return clear + nonce + _list_cipher(contents.site).encrypt(nonce, msgspec.json.encode(entries), clear)


def decode(data: bytes, kek: bytes) -> Contents:
    """Read a keyring.

    Raises:
        KeyringError: It is damaged, of another version, or wrapped by another KEK; never names a key.
    """
    if len(data) > MAX_FILE_BYTES:
        raise KeyringError(f"a keyring of {len(data)} bytes; at most {MAX_FILE_BYTES} are ever written")
    start = len(_MAGIC) + 4
    length = int.from_bytes(data[len(_MAGIC) : start], "big")
    if data[: len(_MAGIC)] != _MAGIC or length > _MAX_HEADER_BYTES:
        raise KeyringError("it does not begin like a keyring of version 1")
    clear, rest = data[: start + length], data[start + length :]
    try:
        header = _headers.decode(clear[start:])
        wrapped = bytes.fromhex(header.site)
    except (msgspec.DecodeError, ValueError) as error:
        raise KeyringError("its header is damaged") from error
    if header.v != VERSION:
        raise KeyringError(f"it is of version {header.v}; this software reads {VERSION}")
    if header.kek != kek_id(kek):
        raise KeyringError(f"it is wrapped by the key-encryption key {header.kek}, and {kek_id(kek)} was given")
    try:
        site = AESGCM(kek).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _SITE_AAD)
        entries = _list_cipher(site).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], clear)
        domains = tuple(_domain(entry) for entry in _lists.decode(entries))
    except (InvalidTag, msgspec.DecodeError, ValueError) as error:
        raise KeyringError("it does not authenticate") from error
    return Contents(header.generation, site, domains)


def _list_cipher(site: bytes) -> AESGCM:
    return AESGCM(derive(site, "keyring"))


def _domain(entry: _Entry) -> DomainKey:
    domain_id, key, bucket, month = entry
    return DomainKey(domain_id, bytes.fromhex(key), bucket, month)
