"""One operation's record: what was decided of it, chained and added to the group with what it changes."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from audit.journal.group import outcome_of
from vault.ports import Committed
from vault.record import SUCCESS, VERSION, Head, splice
from vault.state.apply import apply
from vault.times import rfc3339

if TYPE_CHECKING:
    from audit.journal.group import Group
    from vault.ports import Intent
    from vault.state.decision import Decision
    from vault.storage.index import Sequenced
    from vault.times import Now


class Place(NamedTuple):
    """Where records go: the stream's name, everything sequenced before, and the position of the stream's first one."""

    stream: str
    state: Sequenced
    base: int

    def head(self, now: Now) -> Head:
        """What the heads of all records have in common that are made at one reading of the clocks."""
        time, clock = rfc3339(now.wall), rfc3339(now.clock)
        return Head(v=VERSION, stream=self.stream, seq=0, prev="", time=time, clock=clock, outcome=SUCCESS)


def record_operation(intent: Intent, decision: Decision, common: Head, group: Group, place: Place) -> Committed:
    """Make the record of an operation, and add it and what it changes.

    Args:
        intent: The operation.
        decision: Of it, seeing everything sequenced before.
        common: From :meth:`Place.head`.
        group: Takes the record.
        place: Where it goes; its state takes what it changes.

    Returns:
        What becomes true with the group. ``row`` is the decision's, or the first that it changed.

    Raises:
        ValueError: The record would be too long; nothing was added.
    """
    error = decision.error
    head = replace(
        common,
        seq=group.seq,
        prev=group.prev.hex(),
        outcome=outcome_of(error),
        reason=error.reason if error is not None else "",
        version=decision.version,
        lock=decision.lock,
    )
    position = place.base + head.seq
    record = splice(head, intent.encoded)
    changes = apply(replace(head, seq=position) if place.base else head, intent.tail, place.state)
    leaf = sha256(b"\0" + record).digest()
    row = decision.row
    if row is None and changes:  # what the operation made comes first among its effects
        row = changes[0][1]
    if changes:
        place.state.add(changes)
    group.add(record, intent.body, leaf, error)
    return Committed(head, leaf, position, row, error)
