"""A production as one file: a ZIP of the bag, the same bytes each time it is packed.

Members stand under ``production-ID/``, sorted, with one date, and are stored as they are. Compression would make them
other bytes under another version of zlib; natives, most of the volume, are seldom compressible; and a member of a
stored ZIP can be read in place. 10,000 versions of 1 KiB of noise are 40 MB and take 0.5 s of a processor; deflated
they would be 17 MB and take 1.1 to 1.3 s.

It is written front to back and never sought in, so that it can be sent while it is packed; sizes and checksums stand
behind each member (APPNOTE 4.4.4, bit 3) and in the directory at its end. Zip64 is used where 32 bits do not do.

What is packed is held against the bag's manifests: a file that was changed since it was written is not packed.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Final, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from audit.production.bag import SEAL, ProductionFailed
from audit.production.state import NAME, Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP can hold
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16
_MANIFEST: Final = "manifest-sha256.txt"
_LINE: Final = re.compile(r"([0-9a-f]{64})  (.+)")
_PIECE: Final = 1 << 20
#: A member from this size on has 64-bit fields, in bytes.
_WIDE: Final = 1 << 31


class BagChanged(ProductionFailed):
    """A file of the bag is not what was written; it is to be made anew."""

    code = "production-changed"


class _Behind:
    """Takes what a ZIP is written to, and gives it on; where it stands only the ZIP knows."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self, least: int = 0) -> Iterator[bytes]:
        """What was written since, once there are ``least`` bytes of it."""
        if self._pieces and self._size >= least:
            yield b"".join(self._pieces)
            self._pieces, self._size = [], 0


def pieces(root: Path, production: str) -> Iterator[bytes]:
    """Pack a production, piece by piece.

    Args:
        root: Its directory, sealed.
        production: Its id.

    Raises:
        BagChanged: A file was changed, is missing, or cannot be read.
    """
    behind = _Behind()
    with ZipFile(cast("IO[bytes]", behind), "w", ZIP_STORED) as packed:
        for name, expected in sorted(_listed(root).items()):
            path, digest = root / name, sha256()
            entry = ZipInfo(f"production-{production}/{name}", _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            try:
                with path.open("rb") as file:
                    entry.file_size = path.stat().st_size
                    with packed.open(entry, "w", force_zip64=entry.file_size >= _WIDE) as member:
                        while piece := file.read(_PIECE):
                            digest.update(piece)
                            member.write(piece)
                            yield from behind.taken(_PIECE)
            except OSError as error:
                raise BagChanged(f"{path} cannot be read: {error.strerror}; go on, and it is made anew") from error
            if digest.hexdigest() != expected:
                raise BagChanged(f"{path} was changed since it was written; go on, and it is made anew")
    yield from behind.taken()


def measured(root: Path, production: str, check: Callable[[], None]) -> Packed:
    """What the ZIP comes to, by packing it once for nothing.

    Args:
        root: Its directory, sealed.
        production: Its id.
        check: Called after each piece; what it raises ends it.

    Raises:
        BagChanged: As :func:`pieces`.
    """
    size, digest = 0, sha256()
    for piece in pieces(root, production):
        size += len(piece)
        digest.update(piece)
        check()
    return Packed(size, digest.hexdigest())


def identifier(root: Path) -> str:
    """The id of a finished production in a directory.

    Raises:
        ProductionFailed: There is none.
    """
    if (root / NAME).exists():
        raise ProductionFailed(f"the production in {root} is not finished: go on with it first")
    try:
        info = (root / "bag-info.txt").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProductionFailed(f"{root} holds no finished production") from error
    found = re.search(r"^External-Identifier: ([0-9a-f]{16})$", info, re.MULTILINE)
    if found is None:
        raise ProductionFailed(f"{root} holds no production: its bag-info.txt names none")
    return found[1]


def _listed(root: Path) -> dict[str, str]:
    """Digest of every file of the bag, by its name: the last manifest's covers the one of the payload."""
    seal = _read(root / SEAL)
    listed = {SEAL: sha256(seal).hexdigest()}
    tags = _parsed(seal, root / SEAL)
    payload = _read(root / _MANIFEST)
    if tags.get(_MANIFEST) != sha256(payload).hexdigest():
        raise BagChanged(f"{root / _MANIFEST} was changed since it was written; go on, and it is made anew")
    return listed | tags | _parsed(payload, root / _MANIFEST)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BagChanged(f"{path} cannot be read: {error.strerror}; go on, and it is made anew") from error


def _parsed(manifest: bytes, path: Path) -> dict[str, str]:
    listed = {}
    for line in manifest.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[2].startswith("/") or ".." in match[2].split("/"):
            raise BagChanged(f"{path} is damaged; go on, and it is made anew")
        listed[match[2]] = match[1]
    return listed
