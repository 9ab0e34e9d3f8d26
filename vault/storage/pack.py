"""The pack format: many small bodies in one immutable file that describes itself (ARCHITECTURE, *Pack*).

Pure: whoever reads hands in a function that gives bytes, so one parser serves a file on disk and a copy in memory.
Bodies stand in ascending seq without a gap between them, which the parser checks against the index.

Not handled here: where packs lie and which body is in which (``vault.storage.packs``), and whether a body is what its
record says (whoever has the record).
"""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate
from operator import ge
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from awscrt import checksums

from vault.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAGIC: Final = b"SRPACK1\n"
END_MAGIC: Final = b"SRPEND1\n"
VERSION: Final = 1
#: The JSON header, in bytes.
MAX_HEADER_BYTES: Final = 4096

_LENGTH: Final = struct.Struct(">I")
_BODY: Final = struct.Struct(">QI")
_ENTRY: Final = struct.Struct(">QQI")
_END: Final = struct.Struct(">II8s")


class PackHeader(msgspec.Struct, frozen=True):
    """Whose bodies these are: one bucket's, of one month of expiry."""

    v: int
    stream: str
    bucket: str
    until: str


class Index(NamedTuple):
    """Where each body stands. ``seqs`` ascends; ``offsets`` and ``lengths`` are of the bodies, in bytes."""

    header: PackHeader
    seqs: array[int]
    offsets: array[int]
    lengths: array[int]


_encode_header: Final = msgspec.json.Encoder().encode
_decode_header: Final = msgspec.json.Decoder(PackHeader).decode


def encode_pack(header: PackHeader, bodies: Iterable[tuple[int, bytes | memoryview]]) -> bytes:
    """Make a pack.

    Args:
        header: Its header.
        bodies: At least one (seq, body), in ascending seq.

    Returns:
        The file's bytes.
    """
    encoded = _encode_header(header)
    pieces: list[bytes | memoryview] = [MAGIC, _LENGTH.pack(len(encoded)), encoded]
    entries = []
    position = len(MAGIC) + _LENGTH.size + len(encoded)
    for seq, body in bodies:
        length = len(body)
        pieces += (_BODY.pack(seq, length), body)
        position += _BODY.size
        entries.append(_ENTRY.pack(seq, position, length))
        position += length
    index = b"".join(entries)
    return b"".join([*pieces, index, _END.pack(len(entries), checksums.crc32c(index), END_MAGIC)])


def decode_index(read: Callable[[int, int], bytes], size: int, place: str) -> Index:
    """Read a pack's header and index; bodies are not looked at.

    Args:
        read: Gives the bytes at (offset, length); fewer where the file ends.
        size: The file's length in bytes.
        place: File name for messages.

    Raises:
        CorruptError: Not a whole pack.
    """
    header, position = _header(read, place)
    end = read(max(size - _END.size, 0), _END.size)
    if len(end) != _END.size or end[8:] != END_MAGIC:
        raise CorruptError(f"{place}: a pack does not end like this")
    count, crc, _ = _END.unpack(end)
    start = size - _END.size - count * _ENTRY.size
    entries = read(start, count * _ENTRY.size) if start >= position and count else b""
    if not entries or checksums.crc32c(entries) != crc:
        raise CorruptError(f"{place}: the pack's index is damaged")
    columns = zip(*_ENTRY.iter_unpack(entries), strict=True)
    seqs, offsets, lengths = (array(kind, column) for kind, column in zip("QQI", columns, strict=True))
    places = accumulate(lengths, lambda at, length: at + length + _BODY.size, initial=position + _BODY.size)
    if any(map(ge, seqs, seqs[1:])) or [*offsets, start + _BODY.size] != list(places):
        raise CorruptError(f"{place}: the pack's index does not follow its bodies")
    return Index(header, seqs, offsets, lengths)


def bodies(data: bytes, index: Index, place: str) -> Iterator[tuple[int, memoryview]]:
    """All bodies of a whole pack in memory, each with its own header checked.

    Raises:
        CorruptError: A body's header is not what the index says.
    """
    view = memoryview(data)
    for seq, offset, length in zip(index.seqs, index.offsets, index.lengths, strict=True):
        if view[offset - _BODY.size : offset] != _BODY.pack(seq, length):
            raise CorruptError(f"{place}: at {offset} stands another body than {seq}")
        yield seq, view[offset : offset + length]


def _header(read: Callable[[int, int], bytes], place: str) -> tuple[PackHeader, int]:
    """The header, and where the first body's own header begins."""
    start = len(MAGIC) + _LENGTH.size
    head = read(0, start)
    if len(head) != start or head[: len(MAGIC)] != MAGIC:
        raise CorruptError(f"{place}: not a pack")
    length = _LENGTH.unpack_from(head, len(MAGIC))[0]
    if length > MAX_HEADER_BYTES:
        raise CorruptError(f"{place}: a pack's header of {length} bytes; at most {MAX_HEADER_BYTES} are ever written")
    try:
        header = _decode_header(read(start, length))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"{place}: the pack's header is damaged: {error}") from error
    if header.v != VERSION:
        raise CorruptError(f"{place}: a pack of version {header.v}; this software reads {VERSION}")
    return header, start + length
