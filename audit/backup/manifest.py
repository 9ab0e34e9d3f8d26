r"""What a backup says of itself: ``backup.json`` and ``SHA256SUMS``. Reading them believes nothing.

``SHA256SUMS`` has a line a file, ``<sha256>  data/<name>\n``, in the order of names. ``backup.json`` is JSON; ``sums``
is the SHA-256 of that file, so the SHA-256 of ``backup.json`` covers every byte. That one is in the record
``ledger.backup``.

Not handled here: whether the files are what it says (``audit.backup.restore``).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from audit.backup import BackupFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION: Final = 1
#: Names within a backup.
DATA: Final = "data"
SUMS: Final = "SHA256SUMS"
HEAD: Final = "backup.json"
#: Bytes of each that are read.
MAX_HEAD_BYTES: Final = 1024 * 1024
MAX_SUMS_BYTES: Final = 2 * 1024 * 1024 * 1024
_LINE: Final = re.compile(rf"([0-9a-f]{{64}})  {DATA}/([0-9A-Za-z._/-]+)", re.ASCII)

_Count = Annotated[int, Meta(ge=0)]
_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]


class Reach(msgspec.Struct, frozen=True):
    """How far a backup reaches in one stream: its records, their root, and the size of its checkpoint (-1: none)."""

    stream: str
    records: _Count
    root: _Digest
    checkpoint: int


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a data directory.

    Attributes:
        v: Version of this format.
        vault: Id of the vault.
        time: When it was complete, RFC 3339.
        software: Version of what made it.
        kek: Id of the KEK that its keyring is under.
        streams: How far it reaches, oldest stream first.
        files: How many files it has.
        bytes: How many bytes they have.
        sums: SHA-256 of ``SHA256SUMS``.
    """

    v: int
    vault: str
    time: str
    software: str
    kek: str
    streams: Annotated[tuple[Reach, ...], Meta(min_length=1)]
    files: _Count
    bytes: _Count
    sums: _Digest


def encode_sums(sums: Mapping[str, str]) -> bytes:
    """Write ``SHA256SUMS``."""
    return "".join(f"{sums[name]}  {DATA}/{name}\n" for name in sorted(sums)).encode()


def encode_head(backup: Backup) -> bytes:
    """Write ``backup.json``."""
    return msgspec.json.format(msgspec.json.encode(backup)) + b"\n"


def read_backup(place: Path) -> tuple[Backup, dict[str, str], str]:
    """Read what a backup says of itself.

    Args:
        place: Its directory.

    Returns:
        The head, the digests of its files by name, and the SHA-256 of ``backup.json``.

    Raises:
        BackupFailed: It is not whole, or of a version that this software does not know.
    """
    data = _read(place / HEAD, MAX_HEAD_BYTES)
    sums = _read(place / SUMS, MAX_SUMS_BYTES)
    try:
        backup = msgspec.json.decode(data, type=Backup)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackupFailed(f"{place / HEAD} is damaged: {error}") from error
    if backup.v != VERSION:
        raise BackupFailed(f"{place / HEAD} is of version {backup.v}; this software reads {VERSION}")
    if hashlib.sha256(sums).hexdigest() != backup.sums:
        raise BackupFailed(f"{place / SUMS} was changed: it is not the one that {HEAD} names")
    found: dict[str, str] = {}
    for line in sums.decode("ascii", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or any(part in {"", ".", ".."} for part in match[2].split("/")):
            raise BackupFailed(f"{place / SUMS} holds a line that names no file of a data directory")
        found[match[2]] = match[1]
    if len(found) != backup.files:
        raise BackupFailed(f"{place / SUMS} names {len(found)} files, and {HEAD} says {backup.files}")
    return backup, found, hashlib.sha256(data).hexdigest()


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise BackupFailed(f"{path} is longer than any that was made")
    return data
