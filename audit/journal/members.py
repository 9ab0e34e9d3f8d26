"""The members of one request that are decided together: each an operation with its own record, all in one group.

What a thousand PUTs have in common (who asks, where, under which lock, and the clocks) is looked at once
(``vault.state.puts``), and their records, which differ in seq, ``prev``, version and tail, are a form that is filled
in. What each member does to the state, the next one sees.

Not handled here: which operations a group takes (``audit.journal.committer``).
"""

from __future__ import annotations

import logging
from binascii import hexlify
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.journal.operation import record_operation
from vault.errors import NoSpace, Unavailable
from vault.ports import Committed, MemberDone, Put
from vault.record import VersionRef, head_form
from vault.state.decide import decide
from vault.state.decision import Decision
from vault.state.puts import Puts, intent_of
from vault.state.rows import VersionRow, key_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.journal.group import Group
    from audit.journal.operation import Place
    from vault.ports import Intent
    from vault.record import Head
    from vault.state.puts import Made
    from vault.state.rows import Row
    from vault.times import Now

_log: Final = logging.getLogger(__name__)


def record_members(intent: Intent, now: Now, group: Group, place: Place, *, denials: bool) -> Committed | None:
    """Decide the members of one request in order, and make a record of each.

    Args:
        intent: Has members.
        now: The clocks of all their records.
        group: Takes the records.
        place: Where they go; its state takes what they change.
        denials: There is disk enough for records that only tell of a refusal.

    Returns:
        What became of each; None where none has a record.
    """
    records = _Records(intent, now, group, place, denials=denials)
    outcomes: list[MemberDone | Unavailable] = []
    for member in intent.members:
        try:
            outcomes.append(records.put(member) if isinstance(member, Put) else records.other(member))
        except Exception as fault:  # noqa: BLE001 - as in the committer: a member that trips over a fault stops no other
            # Nothing was sequenced for it: what was made of it is added at the end.
            _log.exception("a member could not be decided", extra={"request_id": intent.tail.origin.request_id})
            problem = f"the operation could not be decided and nothing was written: {type(fault).__name__}"
            outcomes.append(Unavailable(problem))
    return records.committed(outcomes)


class _Records:
    """Decides members, and makes their records."""

    def __init__(self, intent: Intent, now: Now, group: Group, place: Place, *, denials: bool) -> None:
        self._alike = intent.tail
        self._now = now
        self._group = group
        self._place = place
        self._denials = denials
        self._head = place.head(now)
        self._last: Head | tuple[int, bytes, Made] | None = None
        puts = [member for member in intent.members if isinstance(member, Put)]
        if puts:
            self._prepare(puts)

    def _prepare(self, puts: Sequence[Put]) -> None:
        """Look once at what all of them need."""
        self._puts = Puts(self._alike, self._place.state, self._now)
        head = replace(self._head, version=VersionRef(0, "", "", null=self._puts.null), lock=self._puts.lock)
        self._first, self._chained = head_form(head, chained=False), head_form(head, chained=True)
        bucket = self._alike.object.bucket if self._alike.object is not None else ""
        places = key_keys(bucket, [put.key for put in puts])
        self._places = iter(places)
        self._known: dict[bytes, Row | None] | None = self._place.state.look(places)
        if len(set(places)) < len(places):  # what one of them does to a key, the next one sees
            self._known = None

    def put(self, put: Put) -> MemberDone | NoSpace:
        """Decide the next PUT, make its record, and add it and what it changes."""
        where, known, group = next(self._places), self._known, self._group
        found = known.get(where) if known is not None else self._place.state.get(where)
        made = self._puts.made(put, found)
        if made is None:
            intent = intent_of(put, self._alike)
            return self._add(intent, self._puts.decide(intent.tail, found))
        seq, prev = group.seq, group.prev
        position = self._place.base + seq
        ordinal, version_id, manifest, previous, _ = made
        if previous:
            record = self._chained % (seq, hexlify(prev), ordinal, version_id, manifest, previous, put.encoded)
        else:
            record = self._first % (seq, hexlify(prev), ordinal, version_id, manifest, put.encoded)
        leaf = sha256(b"\0" + record).digest()
        done = MemberDone(seq, position, leaf, version_id.decode(), self._puts.null)
        self._place.state.add(self._puts.changes(put, made, where, position))
        group.add(record, (put.sealed, put.data), leaf)
        self._last = seq, prev, made
        return done

    def other(self, intent: Intent) -> MemberDone | NoSpace:
        """The same for any operation, as the committer does for one that comes alone."""
        if intent.refused is not None:
            return self._add(intent, Decision(error=intent.refused))
        self._known = None  # it may change any key's row
        return self._add(intent, decide(intent.tail, self._place.state, self._now))

    def _add(self, intent: Intent, decision: Decision) -> MemberDone | NoSpace:
        """Make a record of what was decided, and add it and what it changes."""
        if decision.error is not None and not self._denials:
            return NoSpace()
        done = record_operation(intent, decision, self._head, self._group, self._place)
        self._last = done.head
        made = (done.row.version_id, done.row.null) if isinstance(done.row, VersionRow) else ("", False)
        return MemberDone(done.head.seq, done.position, done.leaf, *made, done.error)

    def committed(self, outcomes: Sequence[MemberDone | Unavailable]) -> Committed | None:
        """What became of all; None where none has a record."""
        last, group = self._last, self._group
        if last is None:
            return None
        if isinstance(last, tuple):
            seq, prev, (ordinal, version_id, manifest, previous, _) = last
            ids = version_id.decode(), manifest.decode(), previous.decode()
            version = VersionRef(ordinal, *ids, null=self._puts.null)
            last = replace(self._head, seq=seq, prev=prev.hex(), version=version, lock=self._puts.lock)
        return Committed(last, group.prev, self._place.base + last.seq, members=outcomes)
