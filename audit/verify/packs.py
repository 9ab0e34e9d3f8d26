"""Packs of settled small bodies (ARCHITECTURE, Pack): every byte accounted for, each body against its descriptor.

Not handled here: which bodies must be in some pack (``holdings``).
"""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from audit.verify.bodies import Body, Seen, check_inline
from audit.verify.crc32c import crc32c
from audit.verify.files import open_regular, read_at
from audit.verify.report import Bad, Finding
from audit.verify.schema import parse_strict

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A body of a pack, and a whole pack, in bytes: a pack ends at 16 MiB, or holds one body, which fitted into a group.
MAX_BODY_BYTES: Final = 17 * 1024 * 1024
MAX_PACK_BYTES: Final = 64 * 1024 * 1024
_MAX_BODIES: Final = 1 << 24
_MAX_HEADER_BYTES: Final = 64 * 1024

_BEGIN: Final = b"SRPACK1\n"
_END: Final = b"SRPEND1\n"
_TAIL: Final = struct.Struct(">II8s")  # count, CRC-32C of the index, end
_INDEX: Final = struct.Struct(">QQI")
_BODY: Final = struct.Struct(">QI")
_NAME: Final = re.compile(r"(.+)-([0-9]+)-([0-9]+)\.pack")


class Pack(NamedTuple):
    """A pack: its file, what findings call it, and by its name the stream and the first seq."""

    path: str
    place: str
    stream: str
    first: int


class Bodies(NamedTuple):
    """A pack's header and index, as far as they can be checked without its records."""

    pack: Pack
    bucket: str
    until: str
    entries: list[tuple[int, int, int]]


class Wanted(NamedTuple):
    """A pack with the descriptors of its bodies, by seq, to be checked; those of seqs in ``left`` another time."""

    bodies: Bodies
    descriptors: dict[int, Body]
    left: frozenset[int] = frozenset()


def parse_name(name: str) -> tuple[str, int] | None:
    """Read a pack's file name as (stream, first seq), or None where it is no pack's."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def read_pack(pack: Pack) -> Bodies:
    """Read header and index.

    Args:
        pack: Which.

    Returns:
        What they say.

    Raises:
        Bad: It is damaged.
        Unchecked: It cannot be read.
    """
    file = open_regular(pack.path, pack.place)
    if file is None:
        raise Bad(pack.place, "the pack is missing")
    with file:
        return _read(pack, file)


def _read(pack: Pack, file: BinaryIO) -> Bodies:
    size = file.seek(0, 2)
    if size > MAX_PACK_BYTES:
        raise Bad(pack.place, f"longer than {MAX_PACK_BYTES} bytes")
    begin = read_at(file, 0, len(_BEGIN) + 4, pack.place)
    length = int.from_bytes(begin[len(_BEGIN) :], "big")
    if not begin.startswith(_BEGIN) or length > min(_MAX_HEADER_BYTES, size):
        raise Bad(pack.place, "it does not begin as a pack")
    header = parse_strict(read_at(file, len(begin), length, pack.place))
    if isinstance(header, str):
        raise Bad(pack.place, f"its header is {header}")
    if list(header) != ["v", "stream", "bucket", "until"] or header["v"] != 1 or header["stream"] != pack.stream:
        raise Bad(pack.place, f"its header does not fit its name: {json.dumps(header)[:200]}")
    start = len(begin) + length
    tail = read_at(file, max(0, size - _TAIL.size), _TAIL.size, pack.place)
    count, crc, end = _TAIL.unpack(tail) if len(tail) == _TAIL.size else (0, 0, b"")
    at = size - _TAIL.size - count * _INDEX.size
    if end != _END or not 0 < count <= _MAX_BODIES or at < start:
        raise Bad(pack.place, "it does not end as a pack")
    index = read_at(file, at, count * _INDEX.size, pack.place)
    if crc32c(index) != crc:
        raise Bad(pack.place, "the checksum of its index is wrong")
    entries = list(_INDEX.iter_unpack(index))
    if entries[0][0] != pack.first:
        raise Bad(pack.place, f"its first body is that of record {entries[0][0]}")
    _check_index(pack, entries, start, at)
    return Bodies(pack, str(header["bucket"]), str(header["until"]), entries)


def _check_index(pack: Pack, entries: list[tuple[int, int, int]], start: int, end: int) -> None:
    at, before = start, -1
    for seq, offset, length in entries:
        if seq <= before or offset != at + _BODY.size or length > MAX_BODY_BYTES:
            raise Bad(pack.place, "its index does not follow its bodies", seq)
        at, before = offset + length, seq
    if at != end:
        raise Bad(pack.place, "bytes between its bodies and its index", before)


def check_pack(wanted: Wanted) -> tuple[list[Seen], list[Finding]]:
    """Check the bodies of a pack.

    Args:
        wanted: Which, and what its records say.

    Returns:
        Bodies that are good, or left out, and what is bad.

    Raises:
        Unchecked: It cannot be read.
    """
    seen: list[Seen] = []
    findings: list[Finding] = []
    pack = wanted.bodies.pack
    try:
        file = open_regular(pack.path, pack.place)
        if file is None:
            raise Bad(pack.place, "the pack is missing")
        with file:
            seen += map(Seen, sorted(wanted.left))
            for seq, data in _each(wanted.bodies, wanted.left, file):
                body = wanted.descriptors.get(seq)
                try:
                    if body is None:
                        raise Bad(pack.place, "a body of which no record tells", seq)
                    seen.append(check_inline(body, seq, data, pack.place))
                except Bad as bad:
                    findings.append(bad.finding)
    except Bad as bad:
        findings.append(bad.finding)
    return seen, findings


def _each(bodies: Bodies, left: frozenset[int], file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    for seq, offset, length in bodies.entries:
        if seq in left:
            continue
        data = read_at(file, offset - _BODY.size, _BODY.size + length, bodies.pack.place)
        if len(data) != _BODY.size + length or _BODY.unpack_from(data) != (seq, length):
            raise Bad(bodies.pack.place, "a body does not stand where the index says", seq)
        yield seq, data[_BODY.size :]
