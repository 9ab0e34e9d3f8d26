"""Recycling: a commit segment is given back only when every byte of it was found again elsewhere (DESIGN §4, §6).

What destroys bytes needs a token; a segment's is made here, by reading back and re-hashing the copies, and nowhere
else. The checks, numbered:

 1. The segment itself is whole: every group's checksum is good, up to the last record it is known to hold.
 2. Each of its records, as the device gives it from the settled ledger, is the same bytes.
 3. Those records chain: each names the leaf hash of the one before, and the first that of the record before it.
 4. Each of its bodies, as the device gives it from a pack, is the same bytes.
 5. The root over each body is the one in its record (a large body lies in a blob beside it, which is not moved).

The caller checks that a published checkpoint covers the segment.

Retiring, each step durable before the next: header overwritten → forgotten by the log → (whoever found it before that
has finished) → zeros → moved to the spare segments. From the first step on it does not count: a start removes it. So
nothing that the log has forgotten comes back, and an erased body has no last copy in a segment that nobody names.

Not handled here: when (``audit.settle``), and making the copies.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice, zip_longest
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from audit.chain import Chain
from audit.crash import crash_point
from audit.errors import LedgerCorrupt
from audit.journal.segment import BLOCK, RETIRED_MAGIC, decode_segment_header, places, read_group
from vault import durable, merkle
from vault.crypto.aead import TAG_BYTES
from vault.errors import DurabilityError
from vault.record import Storage
from vault.storage.room import has_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from audit.journal.segment_file import Segment
    from audit.ledger import SettledLedger
    from vault.storage.packs import PackStore

#: Spare segments kept; what is recycled beyond is removed.
MAX_SPARES: Final = 4
#: Zeros written by one call, in bytes: a commit's sync never waits for more of them.
_ZERO_BYTES: Final = 4 * 1024 * 1024
#: After so many records, or up to twice as many, other threads get a turn, and for how long: without it each of a
#: commit's steps could wait for the interpreter's whole switch interval while we compute.
TURN_RECORDS: Final = 128
_TURN_SECONDS: Final = 0.000_05
_never: Final = Event()
_ZEROS: Final = bytes(_ZERO_BYTES)


class _Stored(msgspec.Struct):
    storage: Storage | None = None


_decode: Final = msgspec.json.Decoder(_Stored).decode


@dataclass(frozen=True, slots=True)
class RecyclingToken:
    """Leave to destroy one commit segment: its records ``first`` to ``end`` and these bodies were found again whole."""

    path: Path
    first: int
    end: int
    bodies: frozenset[int]


class Piece(NamedTuple):
    """Some records of a segment, in order: the first one's seq, their exact bytes, and their bodies by seq."""

    first: int
    records: list[bytes]
    bodies: list[tuple[int, memoryview]]


def contents(segment: Segment, *, hurry: bool = False) -> Iterator[Piece]:
    """The records of a closed segment with their bodies, in order, at most :data:`TURN_RECORDS` at once; check 1.

    Args:
        segment: Not written any more.
        hurry: Other threads get no turn in between but what the interpreter gives them.

    Raises:
        LedgerCorrupt: It cannot be read up to the last record it holds.
    """
    place = str(segment.path)
    try:
        data = segment.path.read_bytes()
    except OSError as error:
        raise LedgerCorrupt(place, f"cannot be read: {error.strerror}") from error
    if decode_segment_header(data[:BLOCK], place) != segment.header:
        raise LedgerCorrupt(place, "not the segment that was opened")
    view = memoryview(data)
    offset, seq, turn = BLOCK, segment.first_seq, segment.first_seq
    while seq < segment.end_seq:
        group = read_group(data, offset, segment.header)
        if group is None or group.first_seq != seq:
            raise LedgerCorrupt(f"{place} at {offset}", f"record {seq} was here and cannot be read any more")
        found = places(data, group, place)
        for at in range(0, len(found), TURN_RECORDS):
            some, first = found[at : at + TURN_RECORDS], seq + at
            yield Piece(
                first,
                [data[start : start + length] for start, length, _ in some],
                [
                    (number, view[start + length : start + length + body])
                    for number, (start, length, body) in enumerate(some, first)
                    if body
                ],
            )
            if not hurry and first + len(some) >= turn + TURN_RECORDS:
                turn = first + len(some)
                _never.wait(_TURN_SECONDS)  # unlike sleep, it waits on no clock that a tester may shift
        offset, seq = group.end, seq + group.count


def verify_copies(segment: Segment, ledger: SettledLedger, packs: PackStore, *, hurry: bool = False) -> RecyclingToken:
    """Find everything in a closed segment again, wholly settled as it is.

    Args:
        segment: Not written any more.
        ledger: Has its records.
        packs: Have its bodies.
        hurry: See :func:`contents`.

    Returns:
        Leave to recycle it.

    Raises:
        LedgerCorrupt: Something in it has no good copy.
        CorruptError: A pack is damaged.
    """
    first, end = segment.first_seq, segment.end_seq
    copies = ledger.read_back(first, end)
    chain = Chain(first, ledger.record(first - 1) if first else None)
    bodies: dict[int, tuple[bytes, memoryview]] = {}
    for piece in contents(segment, hurry=hurry):
        there = list(islice(copies, len(piece.records)))
        for own, copy in zip_longest(enumerate(piece.records, piece.first), there):
            if own != copy:  # check 2
                raise LedgerCorrupt(str(segment.path), f"record {own[0]} was settled with other bytes")
            chain.add(copy[1], str(segment.path))  # check 3
        bodies.update((seq, (piece.records[seq - piece.first], body)) for seq, body in piece.bodies)
    found: set[int] = set()
    for seq, copy in packs.read_back(list(bodies)):
        record, body = bodies.pop(seq)
        if bytes(copy) != bytes(body):  # check 4; views are compared item by item
            raise LedgerCorrupt(str(segment.path), f"the body of record {seq} was settled with other bytes")
        if not _as_recorded(record, copy):  # check 5
            raise LedgerCorrupt(str(segment.path), f"the body of record {seq} is not what the record says")
        found.add(seq)
    if bodies:
        raise LedgerCorrupt(str(segment.path), f"no pack holds the body of record {min(bodies)}")
    return RecyclingToken(segment.path, first, end, frozenset(found))


def _as_recorded(record: bytes, body: memoryview) -> bool:
    """Whether a body has the root that its record names: a list of parts is one leaf, ciphertext one a chunk."""
    try:
        storage = _decode(record).storage
    except msgspec.DecodeError:
        return False
    if storage is None or storage.kind == "blob":
        return True
    rest = body[storage.sealed :]
    step = storage.chunk + TAG_BYTES if storage.kind == "log" else max(len(rest), 1)
    pieces = [body[: storage.sealed], *(rest[at : at + step] for at in range(0, len(rest), step))]
    return merkle.root([merkle.leaf_hash(bytes(piece)) for piece in pieces]).hex() == storage.root


def retire(token: RecyclingToken) -> None:
    """Make a segment not count any more; durable on return. Its bytes stay for those who read them now.

    Raises:
        DurabilityError: The file system failed.
    """
    _overwrite(token.path, [RETIRED_MAGIC], 0)
    crash_point("settle.retired")


def reuse(token: RecyclingToken, spares: Path, length: int) -> None:
    """Fill a retired segment with zeros and make it a spare one; durable on return.

    Args:
        token: Of a segment that was retired and that nobody reads.
        spares: Where spare segments wait; where there are enough, the file is removed, and where the disk has no room
            to settle the next two segments, one is enough.
        length: Length of segments in use; another one is of no use.

    Raises:
        DurabilityError: The file system failed.
    """
    size = token.path.stat().st_size
    for offset in range(BLOCK, size, _ZERO_BYTES):
        _overwrite(token.path, [_ZEROS[: size - offset]], offset)
        crash_point("settle.zeroing")
    waiting = len(list(spares.iterdir()))
    if size == length and (not waiting or (waiting < MAX_SPARES and has_room(spares, 2 * length))):
        durable.move(token.path, spares / token.path.name)
    else:
        durable.remove(token.path)
    crash_point("settle.recycled")


def _overwrite(path: Path, buffers: list[bytes], offset: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise DurabilityError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        durable.append_group(fd, buffers, offset)
    finally:
        os.close(fd)
