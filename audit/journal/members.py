"""The members of one request that are decided together: each an operation with its own record, all in one group.

What a thousand members have in common (who asks, where, under which lock, and the clocks) is looked at once
(``vault.state.puts``), and their heads, which differ in seq, ``prev`` and version, are one form that is filled in. What
each member does to the state, the next one sees.

Not handled here: which operations a group takes (``audit.journal.committer``).
"""

from __future__ import annotations

import logging
from binascii import hexlify
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from audit.journal.group import outcome_of
from vault.errors import NoSpace, Unavailable
from vault.ports import Committed, MemberDone
from vault.record import SUCCESS, VERSION, Head, encode_version, head_form, splice
from vault.state.apply import apply
from vault.state.decision import Decision
from vault.state.puts import Puts
from vault.state.rows import key_key
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.journal.group import Group
    from vault.ports import Intent
    from vault.record import LockRef
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
    records = _Records(now, group, place)
    outcomes: list[MemberDone | Unavailable] = []
    places = [key_key(each.bucket, each.key) if (each := intent.tail.object) else b"" for intent in members]
    place.state.prefetch(places)
    for intent, where in zip(members, places, strict=True):
        try:
            decision = records.decide(intent, where)
            if decision.error is None or denials:
                outcomes.append(records.add(intent, decision))
            else:
                outcomes.append(NoSpace())
        except Exception as fault:  # noqa: BLE001 - as in the committer: a member that trips over a fault stops no other
            # Nothing was sequenced for it: what was made of it is added at the end.
            _log.exception("a member could not be decided", extra={"request_id": intent.tail.origin.request_id})
            problem = f"the operation could not be decided and nothing was written: {type(fault).__name__}"
            outcomes.append(Unavailable(problem))
    return records.committed(outcomes)


class _Records:
    """Decides members, and makes their records."""

    def __init__(self, now: Now, group: Group, place: Place) -> None:
        self._puts = Puts(place.state, now)
        self._group = group
        self._state = place.state
        self._base = place.base
        self._common = Head(
            v=VERSION,
            stream=place.stream,
            seq=0,
            prev="",
            time=rfc3339(now.wall),
            clock=rfc3339(now.clock),
            outcome=SUCCESS,
        )
        self._lock: LockRef | None = None
        self._form = head_form(self._common)
        self._last: tuple[Decision, bytes, MemberDone] | None = None

    def decide(self, intent: Intent, where: bytes) -> Decision:
        """Decide the next member, whose key's row stands at ``where``; one that was refused has its outcome."""
        return Decision(error=intent.refused) if intent.refused is not None else self._puts.decide(intent.tail, where)

    def add(self, intent: Intent, decision: Decision) -> MemberDone:
        """Make the record of the member that was decided last, and add it and what it changes."""
        group, error, version = self._group, decision.error, decision.version
        seq, prev = group.seq, group.prev
        position = self._base + seq
        changes = self._puts.effect(intent.tail, decision, position) if error is None else None
        if changes is None or version is None:
            head = self._head(decision, seq, prev)
            changes = apply(replace(head, seq=position) if self._base else head, intent.tail, self._state)
            record = splice(head, intent.encoded)
        else:
            if decision.lock is not self._lock:
                self._form, self._lock = head_form(replace(self._common, lock=decision.lock)), decision.lock
            record = self._form % (seq, hexlify(prev), encode_version(version), intent.encoded[1:])
        leaf = sha256(b"\0" + record).digest()
        if changes:
            self._state.add(changes)
        group.add(record, () if error is not None else intent.body, leaf)
        done = MemberDone(seq, position, leaf, changes[0][1] if changes else decision.row, error)
        self._last = decision, prev, done
        return done

    def _head(self, decision: Decision, seq: int, prev: bytes) -> Head:
        error = decision.error
        return replace(
            self._common,
            seq=seq,
            prev=prev.hex(),
            outcome=outcome_of(error),
            reason=error.reason if error is not None else "",
            version=decision.version,
            lock=decision.lock,
        )

    def committed(self, outcomes: Sequence[MemberDone | Unavailable]) -> Committed | None:
        """What became of all; None where none has a record."""
        if self._last is None:
            return None
        decision, prev, done = self._last
        return Committed(self._head(decision, done.seq, prev), done.leaf, done.position, members=outcomes)
