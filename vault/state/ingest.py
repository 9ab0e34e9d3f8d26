"""Decisions about events of other systems: which are repeats, which are new, and which are missing.

**Repeats.** An event that its source names, by an id or by a number, and whose bytes are those of an event of that name
that is there already, is not kept again. The same name with other bytes is kept and marked (``other_bytes``): evidence
is never dropped for a name. What is remembered follows from the records alone: the events among at least the last
:data:`GENERATION` records of the vault, which a start reads back (``audit.ingest.window``). It is no row of the index
and no file of its own: a row for each event would cost more than its record does, and a file could disagree with the
ledger. Only the committer decides by it, in sequence, so that two connections that bring the same events at the same
time keep them once.

**Gaps.** Where a source numbers its events, one that comes before all of its predecessors did leaves a record that says
which are missing. Its highest number is a row of the index. A number that comes later after all is kept, and marked
(``late``).

Pure but for :class:`Seen`, which is the committer's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import S3Error
from vault.state import rows
from vault.state.decision import Decision
from vault.state.other_rows import SourceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case
    from vault.state.rows import Row

#: Records of the vault within which a repeat is recognised, at least; at most twice as many.
GENERATION: Final = 524_288

OTHER_BYTES: Final = "other_bytes"
LATE: Final = "late"


class Member(msgspec.Struct, frozen=True, gc=False):
    """One event of a batch.

    Attributes:
        tail: Its record's tail, encoded.
        key: From :func:`event_key`; 0 where its source does not name it.
        digest: From :func:`digest_key`.
        sequence: Its number; negative where it has none.
    """

    tail: bytes
    key: int
    digest: bytes
    sequence: int = -1


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are decided and become durable together.

    Attributes:
        source: Whose they are.
        members: In order.
        bound: The most bytes that their records, and those of gaps between them, can take of a group.
    """

    source: str
    members: Sequence[Member]
    bound: int


@dataclass(slots=True)
class Outcome:
    """What became of a batch; members are named by their place in it, from 0.

    Attributes:
        first: Seq of its first record.
        last: Seq of its last record: all in between are of this batch.
        stored: How many events were kept.
        duplicates: Members that are there already.
        conflicts: Members that were kept though an event of their name is there with other bytes.
        late: Members that were kept though their number was taken for missing.
        gaps: Numbers that are missing, (first, last) each.
    """

    first: int = 0
    last: int = 0
    stored: int = 0
    duplicates: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)


#: One record to come: a tail, and the reason in its head; or no tail, and the numbers of a gap.
Kept = tuple[bytes, str, tuple[int, int] | None]


def event_key(source: str, event_id: str, sequence: int) -> int:
    """What an event is recognised by within this process: its id, or its number where it has no id; 0 for neither.

    64 bits of a keyed hash that is another one in every process: what collides by chance is marked ``other_bytes``,
    not dropped, for the digests differ.
    """
    if event_id:
        return hash((source, event_id)) or 1
    return (hash((source, sequence)) or 1) if sequence >= 0 else 0


def digest_key(digest: bytes) -> bytes:
    """What its bytes are recognised by: the first 128 bits of their SHA-256."""
    return digest[:16]


def other_key(key: int, digest: bytes) -> int:
    """What an event is recognised by whose name was taken by one of other bytes."""
    return hash((key, digest)) or 1


class Seen:
    """The events that repeats are recognised by: two generations of records. Not thread-safe.

    One event takes some 150 bytes, so that no more than some 160 MB are ever held.
    """

    def __init__(self) -> None:
        self._generation = -1
        self._before: dict[int, bytes] = {}
        self._now: dict[int, bytes] = {}

    def find(self, key: int) -> bytes | None:
        """The digest that is known under a key."""
        found = self._now.get(key)
        return found if found is not None else self._before.get(key)

    def none_of(self, keys: dict[int, bytes]) -> bool:
        """Whether none of these keys is known."""
        return self._now.keys().isdisjoint(keys) and self._before.keys().isdisjoint(keys)

    def add(self, position: int, fresh: dict[int, bytes]) -> None:
        """Remember events, by key, whose records begin at ``position``; what is two generations old is forgotten."""
        generation = position // GENERATION
        if generation > self._generation:
            self._before = self._now if generation == self._generation + 1 else {}
            self._now, self._generation = {}, generation
        self._now.update(fresh)

    def recall(self, position: int, key: int, digest: bytes) -> None:
        """Remember an event that has the record at ``position``, as :func:`plan` did; in order of positions."""
        known = self.find(key)
        if known != digest:
            self.add(position, {key if known is None else other_key(key, digest): digest})


@dataclass(slots=True)
class Plan:
    """What a batch comes to.

    Attributes:
        records: To be made, in order.
        fresh: What is to be remembered of them.
        highest: The source's highest number since; negative where it has none.
        outcome: What its sender is told; ``first`` and ``last`` are still to come.
    """

    records: list[Kept]
    fresh: dict[int, bytes]
    highest: int
    outcome: Outcome


def plan(batch: Batch, highest: int, seen: Seen) -> Plan:
    """Decide the members of a batch, each seeing those before it.

    Args:
        batch: The batch.
        highest: The source's highest number so far; negative where there was none.
        seen: What is remembered.
    """
    records: list[Kept] = []
    fresh = {member.key: member.digest for member in batch.members if member.sequence < 0}
    if len(fresh) == len(batch.members) and 0 not in fresh and seen.none_of(fresh):
        # As nearly every batch is: all have names, no two the same, none was ever seen, and nothing is numbered.
        records = [(member.tail, "", None) for member in batch.members]
        return Plan(records, fresh, highest, Outcome(stored=len(records)))
    fresh = {}
    outcome = Outcome()
    for number, member in enumerate(batch.members):
        key, digest, sequence, reason = member.key, member.digest, member.sequence, ""
        if key:
            free, reason = _recognise(key, digest, fresh, seen)
            if not free:
                outcome.duplicates.append(number)
                continue
            fresh[free] = digest
            if reason:
                outcome.conflicts.append(number)
        if sequence > highest:
            if 0 <= highest < sequence - 1:
                outcome.gaps.append((highest + 1, sequence - 1))
                records.append((b"", "", outcome.gaps[-1]))
            highest = sequence
        elif sequence >= 0 and not reason:
            reason = LATE
            outcome.late.append(number)
        records.append((member.tail, reason, None))
    outcome.stored = len(batch.members) - len(outcome.duplicates)
    return Plan(records, fresh, highest, outcome)


def _recognise(key: int, digest: bytes, fresh: dict[int, bytes], seen: Seen) -> tuple[int, str]:
    """Under which key an event is to be remembered, 0 where it is there already; and what is odd about it."""
    known = fresh.get(key)
    if known is None:
        known = seen.find(key)
    if known is None:
        return key, ""
    if known == digest:
        return 0, ""
    other = other_key(key, digest)
    return (0, "") if other in fresh or seen.find(other) is not None else (other, OTHER_BYTES)


def admit(case: Case) -> Decision:
    """A batch as a whole: it names its source, and its sender may bring events (``vault.state.decide``)."""
    if case.tail.ingest is None or not case.tail.ingest.source:
        raise S3Error("InvalidRequest")
    return Decision()


def noted(_head: Head, tail: Tail, _state: State) -> list[tuple[bytes, Row | None]]:
    """What the record of a request changes: the highest number of its source (``vault.state.apply``)."""
    if tail.ingest is None or tail.ingest.sequence < 0:
        return []
    return [(rows.source_key(tail.ingest.source), SourceRow(tail.ingest.source, tail.ingest.sequence))]
