"""A group being gathered, and what a batch of foreign events adds to it.

The events of a batch were decided together (``vault.state.ingest``); here they become records in one tight loop: their
heads differ in seq, ``prev`` and reason alone, and one is encoded for each reason there is.

Not handled here: which operations a group takes (``audit.journal.committer``).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from vault.foreign import IngestRef
from vault.record import MAX_RECORD_BYTES, encode_tail, splice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.errors import VaultError
    from vault.ports import Committed, Done
    from vault.record import ClockState, Head, Tail
    from vault.state.ingest import Batch, Plan

#: What the head of an event's record may take at most, in bytes.
EVENT_HEAD_BYTES: Final = 640
#: What the record of a gap may take at most beside what its batch's own has, in bytes.
GAP_BYTES: Final = 1024

_SEQ_PREV: Final = b'"seq":0,"prev":""'
_NO_BODY: Final = ()


class Group:
    """A group being gathered: everything that becomes true at once, or not at all."""

    __slots__ = ("begun", "clock_state", "committed", "leaves", "prev", "records", "seq", "waiting")

    def __init__(self, seq: int, prev: bytes, waiting: list[Done]) -> None:
        self.seq = seq
        self.prev = prev
        self.waiting: dict[int, Done] = dict(enumerate(waiting))
        self.committed: dict[int, Committed] = {}
        self.records: list[tuple[bytes, Sequence[bytes]]] = []
        self.leaves: list[bytes] = []
        self.clock_state: ClockState | None = None
        self.begun = False  # from here on the outcome is unknown until it is done

    def add(self, record: bytes, body: Sequence[bytes], leaf: bytes) -> None:
        """Add a record with its body."""
        self.records.append((record, body))
        self.leaves.append(leaf)
        self.seq += 1
        self.prev = leaf

    def extend(self, records: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Add records without bodies; at least one."""
        self.records += [(record, _NO_BODY) for record in records]
        self.leaves += leaves
        self.seq += len(records)
        self.prev = leaves[-1]

    def answer(self, number: int, outcome: Committed | VaultError) -> None:
        """Tell whoever sent operation ``number`` what became of it."""
        self.waiting.pop(number)(outcome)

    def unanswered(self) -> list[tuple[Done, Committed | None]]:
        """Who is still to be told, and of what."""
        return [(done, self.committed.get(number)) for number, done in self.waiting.items()]


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
    seq, prev = group.seq, group.prev.hex().encode()
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
        leaf = sha256(b"\0" + record)
        records.append(record)
        leaves.append(leaf.digest())
        prev = leaf.hexdigest().encode()
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
