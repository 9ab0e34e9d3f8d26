"""What a batch of foreign events adds to a group.

The events of a batch were decided together (``vault.state.ingest``); here they become records in one tight loop: their
heads differ in seq, ``prev`` and reason alone, and one is encoded for each reason there is.

Not handled here: which operations a group takes (``audit.journal.committer``).
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.journal.segment import frame_bytes
from vault.errors import S3Error
from vault.foreign import IngestRef
from vault.ports import Committed
from vault.record import MAX_RECORD_BYTES, encode_tail, splice
from vault.state.apply import apply
from vault.state.ingest import plan
from vault.state.other_rows import SourceRow
from vault.state.rows import source_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.journal.group import Group
    from audit.journal.operation import Place
    from vault.ports import Intent
    from vault.record import Head, Tail
    from vault.state.ingest import Batch, Plan, Seen

#: What the head may take of a record at most, in bytes.
HEAD_BYTES: Final = 2048
#: What the head of an event's record may take at most, in bytes.
EVENT_HEAD_BYTES: Final = 640
#: What the record of a gap may take at most beside what its batch's own has, in bytes.
GAP_BYTES: Final = 1024

_SEQ_PREV: Final = b'"seq":0,"prev":""'


def record_batch(batch: Batch, tail: Tail, common: Head, group: Group, place: Place, *, seen: Seen) -> Committed:
    """Decide the events of a batch, and make a record of each that is kept.

    Args:
        batch: Admitted.
        tail: Of the request.
        common: What the heads of its records have in common.
        group: Takes the records.
        place: Where they go; its state takes what they change.
        seen: What repeats are recognised by; takes the new ones.

    Raises:
        ValueError: A record would be too long; nothing was added.
    """
    row = place.state.get(source_key(batch.source))
    decided = plan(batch, row.sequence if isinstance(row, SourceRow) else -1, seen)
    own, first, prev = of_request(batch, decided, tail), group.seq, group.prev
    changes = apply(common, own, place.state) if own is not None else []
    add_batch(group, decided, common, tail, own)
    seen.add(place.base + first, decided.fresh)
    place.state.add(changes)
    last = replace(common, seq=group.seq - 1, prev=(group.leaves[-2] if group.seq - first > 1 else prev).hex())
    return Committed(last, group.prev, place.base + last.seq, batch=decided.outcome)


def of_request(batch: Batch, plan: Plan, tail: Tail) -> Tail | None:
    """The record of a request itself: where there is something that no event's record says.

    That is: repeats, another highest number, or nothing at all.

    Args:
        batch: What was decided.
        plan: What it comes to.
        tail: As the front end made it.
    """
    told, asked = plan.outcome, tail.ingest
    moved = any(member.sequence >= 0 for member in batch.members)
    if asked is None or (plan.records and not told.duplicates and not moved):
        return None
    said = replace(
        asked,
        sequence=plan.highest,
        members=len(batch.members),
        duplicates=len(told.duplicates),
    )
    return replace(tail, ingest=said)


def add_batch(group: Group, plan: Plan, head: Head, tail: Tail, own: Tail | None) -> None:
    """Add the records of a batch to a group: all of them, or none where one cannot be made.

    Args:
        group: The group.
        plan: What the batch comes to. Told the seqs of its first and last record.
        head: What all heads have in common.
        tail: Of the request: its sender and where it came from.
        own: From :func:`of_request`.

    Raises:
        ValueError: A record would be too long; nothing was added.
    """
    told = plan.outcome
    seq, prev = group.seq, hexlify(group.prev)
    records: list[bytes] = []
    leaves: list[bytes] = []
    parts: dict[str, tuple[bytes, bytes]] = {}
    sha256 = hashlib.sha256
    for encoded, reason, gap in (*plan.records, *([(encode_tail(own), "", None)] if own else ())):
        try:
            front, back = parts[reason]
        except KeyError:
            front, back = parts[reason] = _around(head, reason)
        if gap is not None:
            numbers = IngestRef(tail.ingest.source if tail.ingest is not None else "", missing=gap)
            encoded = encode_tail(replace(tail, op="ingest.gap", ingest=numbers))  # noqa: PLW2901 - a gap has none yet
        record = b'%b"seq":%d,"prev":"%b"%b%b' % (front, seq, prev, back, encoded[1:])
        leaf = sha256(b"\0" + record).digest()
        records.append(record)
        leaves.append(leaf)
        prev = hexlify(leaf)
        seq += 1
    longest = max(map(len, records))
    if longest > MAX_RECORD_BYTES:
        raise ValueError(f"a record of {longest} bytes")
    told.first, told.last = group.seq, seq - 1
    group.extend(records, leaves)


def _around(head: Head, reason: str) -> tuple[bytes, bytes]:
    """What stands before and after seq and ``prev`` in the heads of one reason."""
    own = replace(head, seq=0, prev="", reason=reason)
    front, _, back = splice(own, b"{").partition(_SEQ_PREV)
    return front, back


def frame_bound(intent: Intent) -> int:
    """The most that an operation can take of a group, in bytes."""
    if intent.members:
        return len(intent.members) * frame_bytes(HEAD_BYTES, 0) + intent.extent[1]
    own = frame_bytes(len(intent.encoded) + HEAD_BYTES, sum(map(len, intent.body)) if intent.body else 0)
    return own if intent.batch is None else own + intent.batch.bound


def records_of(intent: Intent) -> int:
    """About how many records an operation makes."""
    return len(intent.batch.members) if intent.batch is not None else len(intent.members) or 1


def require_fits(intents: Sequence[Intent], bounds: Sequence[int], limit: int) -> None:
    """Check that operations can be recorded at all.

    Args:
        intents: The operations.
        bounds: Of each, from :func:`frame_bound`.
        limit: The most payload that a group can have, in bytes.

    Raises:
        S3Error: MaxMessageLengthExceeded.
    """
    for intent, bound in zip(intents, bounds, strict=True):
        longest = intent.extent[0] if intent.members else len(intent.encoded)
        if bound > limit or longest + HEAD_BYTES > MAX_RECORD_BYTES:
            raise S3Error("MaxMessageLengthExceeded", "The request is too big for one record of the ledger.")
