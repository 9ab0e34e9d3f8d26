"""One header of a tar archive: 512 bytes, read exactly (POSIX.1-2017, *pax*, ustar Interchange Format). Pure.

Numbers are octal, as all writers have them for what fits here; GNU's base-256 is for sizes beyond every limit of ours
and is refused. The checksum is that of unsigned bytes; the signed one that some systems wrote before 1988 is not taken.

Not handled here: what follows from a header (``vault.archive.contents``).
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple
from zlib import adler32

from vault.errors import S3Error

#: Everything in a tar archive stands at a multiple of this, in bytes.
BLOCK: Final = 512

#: name, size, checksum, type, magic with version, prefix; what is left out is not looked at.
_HEADER: Final = struct.Struct("100s24x12s12x8sc100x8s80x155s12x")
_is_octal: Final = re.compile(rb" *([0-7]{1,12})[ \0]*").fullmatch
_POSIX: Final = b"ustar\x0000"
#: GNU tar's own form, and V7's: neither has a prefix.
_OTHERS: Final = frozenset({b"ustar  \0", bytes(8)})
_ZEROS: Final = bytes(BLOCK)
#: The checksum counts its own eight bytes as spaces.
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
    name, size, checksum, kind, magic, prefix = _HEADER.unpack(block)
    # Adler-32 keeps the sum of the bytes, one more, modulo 65,521; that of 256 bytes never reaches it.
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    if octal(checksum) != total - sum(checksum) + _SPACES:
        if block == _ZEROS:
            return None
        raise broken("a header's checksum is not that of the header", at, "archive_checksum")
    length = octal(size)
    if length < 0:
        raise broken("a size that is not octal digits", at)
    name = name.partition(b"\0")[0]
    if magic == _POSIX:
        if prefix[0]:
            name = b"%b/%b" % (prefix.partition(b"\0")[0], name)
    elif magic not in _OTHERS:
        raise broken("a header of no known format", at)
    return Header(name, length, kind)


def octal(field: bytes) -> int:
    """Read a number; -1 where it is none."""
    match = _is_octal(field)
    return int(match[1], 8) if match is not None else -1


def padded(size: int) -> int:
    """``size`` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK
