"""The members of one request that are decided together: each an operation with its own record, all in one group.

What a thousand members have in common (who asks, where, under which lock, and the clocks) is looked at once
(``vault.state.decide.decide_puts``); what each one does to the state, the next one sees.

Not handled here: which operations a group takes (``audit.journal.committer``).
"""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from vault.errors import NoSpace, Unavailable
from vault.ports import Committed
from vault.record import DENIED, FAILURE, SUCCESS, VERSION, Head, splice
from vault.state.apply import apply
from vault.state.decide import decide_puts
from vault.state.decision import Decision
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.journal.group import Group
    from vault.ports import Intent
    from vault.storage.index import Sequenced
    from vault.times import Now

_log: Final = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where records go: the stream's name, everything sequenced before, and the position of the stream's first one."""

    stream: str
    state: Sequenced
    base: int


def record_members(
    members: Sequence[Intent], now: Now, group: Group, place: Place, *, denials: bool
) -> Committed | None:
    """Decide the members of one request in order, and make a record of each.

    Args:
        members: ``object.put``, all of them; at least one.
        now: The clocks of all their records.
        group: Takes the records.
        place: Where they go; its state takes what they change.
        denials: There is disk enough for records that only tell of a refusal.

    Returns:
        What became of each; None where none has a record.
    """
    stream, state, base = place
    time, clock = rfc3339(now.wall), rfc3339(now.clock)
    decided = _decided(members, state, now)
    outcomes: list[Committed | Unavailable] = []
    last: Committed | None = None
    for intent in members:
        try:
            decision = next(decided)
            error = decision.error
            if error is not None and not denials:
                outcomes.append(NoSpace())
                continue
            outcome, reason = SUCCESS, ""
            if error is not None:
                outcome, reason = DENIED if error.denied else FAILURE, error.reason
            seq, tail = group.seq, intent.tail
            head = Head(
                v=VERSION,
                stream=stream,
                seq=seq,
                prev=group.prev.hex(),
                time=time,
                clock=clock,
                outcome=outcome,
                reason=reason,
                version=decision.version,
                lock=decision.lock,
            )
            changes = apply(replace(head, seq=base + seq) if base else head, tail, state)
            record = splice(head, intent.encoded)
        except Exception as fault:  # noqa: BLE001 - as in the committer: a member that trips over a fault stops no other
            # Nothing was sequenced for it: what was made of it is added below, at the end.
            _log.exception("a member could not be decided", extra={"request_id": intent.tail.origin.request_id})
            problem = f"the operation could not be decided and nothing was written: {type(fault).__name__}"
            outcomes.append(Unavailable(problem))
            decided = _decided(members[len(outcomes) :], state, now)  # a generator that raised has ended
            continue
        leaf = sha256(b"\0" + record).digest()
        last = Committed(head, leaf, base + seq, changes[0][1] if changes else decision.row, error)
        if changes:
            state.add(changes)
        group.add(record, () if error is not None else intent.body, leaf)
        outcomes.append(last)
    return Committed(last.head, last.leaf, last.position, members=outcomes) if last is not None else None


def _decided(members: Sequence[Intent], state: Sequenced, now: Now) -> Iterator[Decision]:
    """Decide each when it is asked for; those that the front end refused have their outcome."""
    allowed = decide_puts((each.tail for each in members if each.refused is None), state, now)
    return (Decision(error=each.refused) if each.refused is not None else next(allowed) for each in members)
