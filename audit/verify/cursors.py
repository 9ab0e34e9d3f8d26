"""How far each stream was written to its topic, as the relay says in the compacted topic of cursors.

The last cursor of a stream counts. It is written in one transaction with the records before it, so where it is, they
were; and since this topic is fixed before the one of records is, they are there to be read, or were lost.

Not handled here: which of them were lost (``relayed``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeGuard

from audit.verify.report import Bad
from audit.verify.schema import parse_strict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.verify.topic import Part, Reader

#: Streams of one topic.
MAX_STREAMS: Final = 1024
#: One cursor, in bytes.
_MAX_BYTES: Final = 4096
#: Every stream's name (``audit.identity`` makes shorter ones).
_MAX_NAME_BYTES: Final = 255
_MAX_NUMBER: Final = 1 << 62
_ORIGIN: Final = re.compile(r"strongroom/[^/\s]+/(\S+)")
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class Cursor(NamedTuple):
    """The last cursor of a stream: ``next`` records were written, the last of which has the leaf hash ``leaf``."""

    place: str
    origin: str
    partition: int
    next: int
    leaf: bytes


def parse_cursor(key: bytes, value: bytes, place: str) -> Cursor:
    """Read a cursor.

    Args:
        key: The message's key: the stream.
        value: The message's value.
        place: What findings call it.

    Returns:
        What it says.

    Raises:
        Bad: It is none, or of another stream than its key.
    """
    fields = parse_strict(value) if len(value) <= _MAX_BYTES else f"longer than {_MAX_BYTES} bytes"
    if isinstance(fields, str):
        raise Bad(place, f"no cursor: {fields[:200]}")
    if fields.get("v") != 1:
        raise Bad(place, "a cursor of a version that is not known here")
    origin, leaf = fields.get("origin"), fields.get("leaf")
    numbers = [fields.get(name) for name in ("partition", "next")]
    partition, following = (number if _is_number(number) else -1 for number in numbers)
    if not isinstance(origin, str) or not isinstance(leaf, str) or partition < 0 or following < 0:
        raise Bad(place, "no cursor: it lacks origin, partition, next or leaf, or one has another form")
    if (_HEX.fullmatch(leaf) if following else leaf == "") in {None, False}:
        raise Bad(place, "its leaf is not the hash of the record before its next one")
    if stream_of(origin) != key:
        raise Bad(place, f"it is of {origin[:200]}, and has the key of stream {shown(key)}")
    return Cursor(place, origin, partition, following, bytes.fromhex(leaf))


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < _MAX_NUMBER


def stream_of(origin: str) -> bytes:
    """The stream that a log's origin names, in UTF-8; none where it is no such origin."""
    match = _ORIGIN.fullmatch(origin)
    return match[1].encode("utf-8", "surrogatepass") if match else b""


def shown(key: bytes) -> str:
    """A key, in words."""
    return key[:_MAX_NAME_BYTES].decode(errors="replace") if key else "(none)"


def last_cursors(reader: Reader, parts: Iterable[Part]) -> tuple[dict[bytes, Cursor], list[Bad]]:
    """Read the topic of cursors.

    Args:
        reader: Reads the cluster.
        parts: The topic's partitions.

    Returns:
        The last cursor of each stream, and what is bad; nothing is said of those that others of their stream follow.

    Raises:
        Bad: There are more streams than :data:`MAX_STREAMS`.
        Unchecked: The topic cannot be read.
    """
    found: dict[bytes, tuple[str, bytes]] = {}
    bad: list[Bad] = []
    for part in parts:
        here: set[bytes] = set()
        for batch in reader.read(part):
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                if key in found and key not in here:
                    bad.append(Bad(part.at(offset), f"stream {shown(key)} has cursors in two partitions"))
                here.add(key)
                found[key] = part.at(offset), value[: _MAX_BYTES + 1]
            if len(found) > MAX_STREAMS:
                raise Bad(part.place, f"more than {MAX_STREAMS} streams")
    cursors: dict[bytes, Cursor] = {}
    for key, (place, value) in found.items():
        try:
            cursors[key] = parse_cursor(key, value, place)
        except Bad as error:
            bad.append(error)
    return cursors, bad
