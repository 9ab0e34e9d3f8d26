"""Questions about records, answered: recorded first, then asked of the view, then read from the ledger.

 1. The question is judged; what cannot be asked is refused before anything else.
 2. It is recorded, with its text (DESIGN §11). Whoever may not ask is refused there, by the committer.
 3. The view catches up with that very record: what was durable before the question was asked is in its answer.
 4. The view names positions; the records come from the ledger, exact bytes.

Not handled here: HTTP and the shell.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from audit.errors import AuditError, RecordPruned
from audit.query import filter as filters_
from audit.query.filter import QueryInvalid
from audit.query.page import Continuation, question, seal, unseal
from audit.strand import holding
from vault.errors import S3Error
from vault.merkle import leaf_hash
from vault.policy import SYSTEM, allowed
from vault.record import Request, Tail, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.query.view import View
    from audit.strand import History, Strand
    from vault.ports import Committed
    from vault.record import Actor, Origin

#: Records of one page.
MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
#: Newest first, or oldest first.
ORDERS: Final = ("desc", "asc")
#: Of a question as text, in characters.
MAX_TEXT: Final = 4096
_NEEDED: Final = "Reading records needs a token with the role auditor, examiner or compliance."
_NEEDED_TO_PRODUCE: Final = "Productions are made by the role compliance; auditor and examiner may see which there are."
#: How long an answer waits for the view, in seconds.
FRESH_SECONDS: Final = 5.0


class ViewBehind(AuditError):
    """The view has not read all that was recorded before the question: an answer could lack something."""

    code = "view-behind"
    status = 503
    retryable = True


class Question(NamedTuple):
    """What is asked.

    Attributes:
        filters: Names and values, see ``audit.query.filter``.
        text: As it was asked, for the record.
        limit: Records of a page, 1 to :data:`MAX_LIMIT`.
        order: One of :data:`ORDERS`.
        cursor: Where the page before ended; empty for the first.
        total: Count all that match, too.
    """

    filters: Sequence[tuple[str, str]]
    text: str
    limit: int = DEFAULT_LIMIT
    order: str = "desc"
    cursor: str = ""
    total: bool = False


class Found(msgspec.Struct, frozen=True):
    """A record: ``record`` holds its exact bytes, of which ``leaf`` is the RFC 6962 leaf hash (lowercase hex)."""

    stream: str
    seq: int
    leaf: str
    record: msgspec.Raw


class Page(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records that answer a question; fewer than asked for, with more to come, where some are being pruned just now.

    ``snapshot`` is how many records the vault held when the question was first asked; all pages are of these.
    ``next`` is the cursor of the next page, absent after the last. ``total`` is exact, but for what is
    being pruned just now.
    """

    records: list[Found]
    snapshot: int
    next: str = ""
    total: int | None = None


def may(actor: Actor, op: str) -> bool:
    """Whether somebody may look at records, or ask for productions, as far as their roles say."""
    return actor.id == SYSTEM or allowed(actor.roles, op, owns=False)


class Asking:
    """Answers questions. Thread-safe; not for the event loop.

    Args:
        view: The view.
        strands: The vault's streams.
        history: Their records.
        commit: Commits one record (``audit.node.Node.commit``).
        key: Signs continuations.
    """

    def __init__(
        self,
        view: View,
        strands: Sequence[Strand],
        history: History,
        commit: Callable[[Tail, S3Error | None], Committed],
        key: bytes,
    ) -> None:
        self._view = view
        self._strands = strands
        self._history = history
        self._commit = commit
        self._key = key

    def ask(self, actor: Actor, origin: Origin, asked: Question) -> Page:
        """Answer one question.

        Args:
            actor: Who asks.
            origin: From where.
            asked: What.

        Raises:
            QueryInvalid: It cannot be asked like this; nothing was recorded.
            S3Error: AccessDenied: who asks may not read records; this was recorded.
            Unavailable: It could not be recorded, and is not answered.
            ViewBehind: The view is being built; ask again.
            ViewFailed: The view cannot be read; ask again.
            QueryTooLong: It would take too long.
            LedgerCorrupt: A record cannot be read.
        """
        condition, going_on = self._judge(actor, asked)
        recorded = self.record(Tail(op="record.query", actor=actor, origin=origin, request=Request(http=asked.text)))
        snapshot = going_on.snapshot if going_on is not None else recorded.position
        self.fresh(snapshot)
        condition = condition.within("position < ?", snapshot)
        total = self._view.select("count(*)", condition)[0][0] if asked.total else None
        newest_first = asked.order == "desc"
        if going_on is not None:
            condition = condition.within(f"position {'<' if newest_first else '>'} ?", going_on.after)
        rest = f"ORDER BY position {'DESC' if newest_first else 'ASC'} LIMIT {asked.limit + 1}"
        positions = [row[0] for row in self._view.select("position", condition, rest)]
        more = len(positions) > asked.limit
        shown = positions[: asked.limit]
        page = self._found(shown)
        following = ""
        if more:
            following = seal(self._key, Continuation(_question(actor, asked), snapshot, shown[-1]))
        return Page(page, snapshot, following, total)

    def record(self, tail: Tail, missing: S3Error | None = None) -> Committed:
        """Record that somebody looks at records, before they see any.

        Args:
            tail: What they want to see.
            missing: Where that does not exist: what whoever may look is told.

        Raises:
            S3Error: AccessDenied: they may not; or ``missing``. Recorded.
            Unavailable: It could not be recorded; nothing may be shown.
        """
        if may(tail.actor, tail.op):
            return self._commit(tail, missing)
        needed = _NEEDED_TO_PRODUCE if tail.op.startswith("production.") else _NEEDED
        return self._commit(tail, S3Error("AccessDenied", needed, reason="policy"))

    def fresh(self, snapshot: int, seconds: float = FRESH_SECONDS) -> None:
        """Have the view read everything before a position.

        Raises:
            ViewBehind: It could not within so many seconds.
        """
        if not self._view.catch_up(snapshot, seconds):
            missing = snapshot - self._view.end
            raise ViewBehind(f"the view has {missing} records still to read, so an answer could lack some; ask again")

    def select(self, what: str, condition: filters_.Condition, rest: str) -> list[tuple[Any, ...]]:
        """Ask the view, which must be fresh; see :meth:`audit.query.view.View.select`."""
        return self._view.select(what, condition, rest)

    def time(self, position: int) -> str:
        """Wall clock of the record at a position, as it stands there; empty where it was pruned.

        Raises:
            LedgerCorrupt: It cannot be read.
        """
        try:
            return decode(self._history.record(position))[0].time
        except RecordPruned:
            return ""

    def matching(self, condition: filters_.Condition, limit: int) -> list[Found]:
        """The first records that match, oldest first; part of a question that was asked and recorded before.

        Raises:
            ViewFailed: The view cannot be read.
            LedgerCorrupt: A record cannot be read.
        """
        chosen = self._view.select("position", condition, f"ORDER BY position LIMIT {limit}")
        return self._found([row[0] for row in chosen])

    def _found(self, positions: Sequence[int]) -> list[Found]:
        """The records at positions, without those that are being pruned just now: the view forgets them after that."""
        found = []
        for position in positions:
            with suppress(RecordPruned):
                found.append(self.found(position))
        return found

    def found(self, position: int) -> Found:
        """The record at a position.

        Raises:
            RecordPruned: Only its hash is left.
            LedgerCorrupt: It cannot be read.
        """
        strand = holding(self._strands, position)
        record = self._history.record(position)
        return Found(strand.name, position - strand.base, leaf_hash(record).hex(), msgspec.Raw(record))

    def _judge(self, actor: Actor, asked: Question) -> tuple[filters_.Condition, Continuation | None]:
        if not 1 <= asked.limit <= MAX_LIMIT:
            raise QueryInvalid(f"limit: 1 to {MAX_LIMIT}")
        if asked.order not in ORDERS:
            raise QueryInvalid(f"order: one of {', '.join(ORDERS)}")
        if len(asked.text) > MAX_TEXT:
            raise QueryInvalid(f"the question as a whole is longer than {MAX_TEXT} characters")
        condition = filters_.condition(asked.filters)
        going_on = unseal(self._key, asked.cursor, _question(actor, asked)) if asked.cursor else None
        return condition, going_on


def _question(actor: Actor, asked: Question) -> str:
    return question(f"{actor.id} {actor.person}", asked.order, asked.filters)
