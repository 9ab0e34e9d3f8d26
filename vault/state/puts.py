"""PUTs of one request, one after the other: what ``vault.state.decide`` and ``apply`` make of each, for less.

Who asks, the bucket and the lock asked for are the same in all of them, and no PUT changes what these are judged by:
that is looked at once, by the same functions. Each key is looked up once, for the decision and for its effect. Where a
PUT is unlike the others, where the request is refused, or where a version is replaced, the general way is taken.

Not handled here: PUTs alone (``vault.state.objects``), records (``audit.journal.members``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.errors import S3Error
from vault.state import objects
from vault.state.apply import speaks_of_hold, version_changes, version_row_of
from vault.state.decide import admit, decide
from vault.state.decision import Case, Decision
from vault.state.rows import KeyRow

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Actor, Request, Tail
    from vault.retention import Lock
    from vault.state.apply import Changes
    from vault.state.rows import BucketRow
    from vault.times import Now


class Puts:
    """Decides PUTs in order; their effects are added to the state before the next is decided.

    Args:
        state: Everything sequenced before.
        now: The clocks of all their records.
    """

    def __init__(self, state: State, now: Now) -> None:
        self._state = state
        self._now = now
        self._alike: tuple[Actor, Request | None, str] | None = None
        self._case: Case | None = None
        self._bucket: BucketRow | None = None
        self._lock: Lock | None = None
        self._held = False
        self._where = b""
        self._found: KeyRow | None = None

    def decide(self, tail: Tail, where: bytes) -> Decision:
        """Decide the next one; as :func:`vault.state.decide.decide`.

        Args:
            tail: Its tail.
            where: Where its key's row stands.
        """
        named = tail.object
        if named is None or not self._is_like(tail):
            return decide(tail, self._state, self._now)
        case, bucket, lock = self._case, self._bucket, self._lock
        if case is None or bucket is None or lock is None:
            return decide(tail, self._state, self._now)
        case.tail, case.version, case.lock = tail, None, None
        found = self._state.get(where)
        self._where, self._found = where, found if isinstance(found, KeyRow) else None
        try:
            return objects.version_after(case, bucket, self._found, lock, named.content)
        except S3Error as error:
            return Decision(version=case.version, lock=case.lock, error=error)

    def _is_like(self, tail: Tail) -> bool:
        """Whether it is like the one before in all but its key and bytes; else what it has is looked at."""
        alike, named = self._alike, tail.object
        if named is None:
            return False
        if alike is not None and tail.actor is alike[0] and tail.request is alike[1] and named.bucket == alike[2]:
            return self._case is not None
        self._alike = (tail.actor, tail.request, named.bucket)
        self._held = speaks_of_hold(tail)
        self._case = case = Case(tail, self._state, self._now)
        try:
            admit(case)
            self._bucket, self._lock = objects.placed(case)
        except S3Error:
            self._case = None
        return self._case is not None

    def effect(self, tail: Tail, decision: Decision, position: int) -> Changes | None:
        """What the PUT that was decided last changes; as :func:`vault.state.apply.apply`.

        Args:
            tail: Its tail.
            decision: It, a success.
            position: Of its record.

        Returns:
            The changes; None where the general way is to be taken.
        """
        version, lock = decision.version, self._lock
        if version is None or version.replaced or lock is None or self._case is None or self._case.tail is not tail:
            return None
        row = version_row_of(
            version,
            tail,
            lock,  # the one that the decision names: a new version has no matters
            seq=position,
            created=self._now.wall,
            clock=self._now.clock,
            held=self._held,
        )
        return version_changes(self._where, self._found, row)
