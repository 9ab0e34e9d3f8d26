"""One header of a tar archive: 512 bytes, read exactly (POSIX.1-2017, *pax*, ustar Interchange Format). Pure.

Numbers are octal, as all writers have them for what fits here; GNU's base-256 is for sizes beyond every limit of ours
and is refused. The checksum is that of unsigned bytes; the signed one that some systems wrote before 1988 is not taken.

Not handled here: what follows from a header (``vault.archive.contents``).
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import adler32

from vault.errors import S3Error

#: Everything in a tar archive stands at a multiple of this, in bytes.
BLOCK: Final = 512

#: Where a header is cut: what is before differs from member to member, what is behind hardly does.
_HALF: Final = 256
#: name, size, checksum, type, in the first half; what is left out is not looked at.
_FIRST: Final = struct.Struct("100s24x12s12x8sc")
#: magic with version, prefix, in the second half.
_SECOND: Final = struct.Struct("x8s80x155s12x")
_is_octal: Final = re.compile(rb" *([0-7]{1,12})[ \0]*").fullmatch
_POSIX: Final = b"ustar\x0000"
#: GNU tar's own form, and V7's: neither has a prefix.
_OTHERS: Final = frozenset({b"ustar  \0", bytes(8)})
_ZEROS: Final = bytes(BLOCK)
_SPACES: Final = 8 * ord(" ")


class Header(NamedTuple):
    """A header: ``name`` up to its NUL, with the prefix before it; ``kind`` the type flag; ``size`` in bytes."""

    name: bytes
    size: int
    kind: bytes


def broken(what: str, at: int, reason: str = "archive_damaged") -> S3Error:
    """Make the refusal of an archive that cannot be read with certainty.

    Args:
        what: Why, for people.
        at: Offset in the archive, bytes.
        reason: For the record.
    """
    return S3Error("InvalidRequest", f"The archive is refused at byte {at}: {what}", reason=reason, Offset=str(at))


def read_header(block: bytes, at: int) -> Header | None:
    """Read a header.

    Args:
        block: Its 512 bytes.
        at: Where they stand, for the message.

    Returns:
        The header; None for a block of zeros, of which two end an archive.

    Raises:
        S3Error: InvalidRequest: it is no header, or a damaged one.
    """
    name, size, checksum, kind = _FIRST.unpack_from(block)
    rest, prefix = _second(block[_HALF:])
    if _claimed(checksum) != _sum(block[:_HALF]) + rest:
        if block == _ZEROS:
            return None
        raise broken("a header's checksum is not that of the header", at, "archive_checksum")
    length = octal(size)
    if length < 0:
        raise broken("a size that is not octal digits", at)
    name = name.partition(b"\0")[0]
    if prefix:
        name = prefix + name
    elif prefix is None:
        raise broken("a header of no known format", at)
    return Header(name, length, kind)


def _sum(half: bytes) -> int:
    """The sum of the bytes: Adler-32 keeps it, one more, modulo 65,521, which that of 256 bytes never reaches."""
    return (adler32(half) & 0xFFFF) - 1


@lru_cache(maxsize=64)  # all members of an archive have the same, unless their names are long
def _second(half: bytes) -> tuple[int, bytes | None]:
    """The sum of a header's second half, and what it puts before the name: None where its format is not known."""
    magic, prefix = _SECOND.unpack(half)
    if magic == _POSIX:
        return _sum(half), prefix.partition(b"\0")[0] + b"/" if prefix[0] else b""
    return _sum(half), b"" if magic in _OTHERS else None


@lru_cache(maxsize=4096)
def _claimed(checksum: bytes) -> int:
    """What the sum of a header is to be, by its checksum, which counts its own eight bytes as spaces."""
    return octal(checksum) + sum(checksum) - _SPACES


@lru_cache(maxsize=4096)
def octal(field: bytes) -> int:
    """Read a number; -1 where it is none."""
    match = _is_octal(field)
    return int(match[1], 8) if match is not None else -1


def padded(size: int) -> int:
    """``size`` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK
