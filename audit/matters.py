"""Matters of an open vault: opened, released, listed and counted (``vault.matters`` says what they are).

Every call is a record first, also a look. How many versions a matter holds is counted in the index when somebody asks,
since no row of a version names its matters: up to :data:`MAX_EXAMINED` versions are looked at, and an answer that had
to stop there says so.

Not handled here: HTTP (``audit.api.holds``), the shell (``audit.cli.hold``), and the gate (``vault.retention``).
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from audit.errors import AuditError
from audit.query.filter import QueryInvalid, instant
from audit.strand import holding
from vault.errors import S3Error
from vault.matters import MatterQuery, MatterRef, describes
from vault.policy import SYSTEM, allowed
from vault.record import Request, Tail
from vault.state import lookup, rows
from vault.state.matters import from_ref
from vault.state.other_rows import MatterRow
from vault.state.rows import VersionRow
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.strand import Strand
    from vault.ports import Committed, State
    from vault.record import Actor, Origin

#: Versions that one count looks at: about a second of work.
MAX_EXAMINED: Final = 100_000
OPEN: Final = "open"
CLOSED: Final = "closed"
_NEEDED: Final = "Holds are placed and released by the role compliance; auditor and examiner may see them."


class IdempotencyKeyReused(AuditError):
    """The same Idempotency-Key came before, with another body; nothing was opened."""

    code = "idempotency-key-reused"
    status = 422


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a matter holds, as people write it: times as in ``GET /v1/records``, ``until`` exclusive."""

    bucket: str = ""
    vault: bool = False
    prefix: str = ""
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    actor: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """A matter that somebody wants to be opened."""

    name: str
    reason: str
    owner: str
    query: Query


class Matter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A matter as it is shown; ``stream`` and ``seq`` are of the record that opened it."""

    id: str
    state: str
    name: str
    reason: str
    owner: str
    query: Query
    opened: str
    opened_by: str
    stream: str
    seq: int
    closed: str = ""
    closed_by: str = ""
    closed_reason: str = ""


class Held(msgspec.Struct, frozen=True):
    """How many versions a matter holds now; at least so many where it is not exact. ``how`` says how it was counted."""

    versions: int
    exact: bool
    how: str


class Listed(NamedTuple):
    """Matters, the newest first; ``next`` goes on after the last one, 0 where there are no more."""

    matters: list[Matter]
    next: int


class Matters:
    """All matters of one node. Thread-safe; not for the event loop.

    Every method raises S3Error where it is refused, which is recorded (AccessDenied for want of a role), and
    Unavailable where it could not be recorded; then nothing was done or shown. ``http`` is the request as it was sent.

    Args:
        commit: Commits one record (``audit.node.Node.commit``).
        state: The durable view.
        strands: The vault's streams.
    """

    def __init__(
        self, commit: Callable[[Tail, S3Error | None], Committed], state: State, strands: Sequence[Strand]
    ) -> None:
        self._commit = commit
        self._state = state
        self._strands = strands

    def open(self, actor: Actor, origin: Origin, wanted: Wanted, *, http: str = "", once: str = "") -> Matter:
        """Open a matter: from its record on it holds what its query describes. Durable on return.

        Args:
            actor: Who opens it.
            origin: From where.
            wanted: What it is.
            http: The request.
            once: The request's Idempotency-Key. Sent again by the same principal it opens nothing, and the answer is
                the one of the first time.

        Raises:
            QueryInvalid: It is not written as it must be; nothing was recorded.
            IdempotencyKeyReused: ``once`` came before with something else.
        """
        digest = sha256(f"matter\0{actor.id}\0{once}".encode()).digest() if once else os.urandom(8)
        ref = _ref(digest[:8].hex(), wanted)
        try:
            self._record("matter.open", actor, origin, ref, http)
        except S3Error as error:
            found = lookup.matter(self._state, ref.id) if once and error.reason == "exists" else None
            if found is None:
                raise
            if (found.name, found.reason, found.owner, found.query) != (ref.name, ref.reason, ref.owner, from_ref(ref)):
                problem = "this Idempotency-Key came with another body before; take a new one"
                raise IdempotencyKeyReused(problem) from error
            first = msgspec.structs.replace(found, closed=0, closed_by="", closed_reason="")
            return self._shown(first)
        return self._one(ref.id)

    def close(self, actor: Actor, origin: Origin, matter_id: str, reason: str, *, http: str = "") -> Matter:
        """Release a matter, for good. Other matters, legal holds and retention are what they were. Durable on return.

        Raises:
            QueryInvalid: The reason is no text.
        """
        ref = MatterRef(_id(matter_id), reason=_text("reason", reason))
        self._record("matter.close", actor, origin, ref, http)
        return self._one(ref.id)

    def list(
        self,
        actor: Actor,
        origin: Origin,
        state: str = "",
        *,
        limit: int | None = None,
        after: int = 0,
        http: str = "",
    ) -> Listed:
        """List matters, the newest first.

        Args:
            actor: Who looks.
            origin: From where.
            state: Only those that are :data:`OPEN`, or :data:`CLOSED`.
            limit: Matters of a page; None for all.
            after: ``next`` of the page before.
            http: The request.
        """
        self._record("matter.list", actor, origin, None, http)
        found = [row for _, row in self._state.scan(b"h", b"i") if isinstance(row, MatterRow)]
        found = [row for row in found if state in {"", _state(row)} and (not after or row.seq < after)]
        found.sort(key=lambda row: -row.seq)
        page = found[:limit]
        return Listed([self._shown(row) for row in page], page[-1].seq if len(page) < len(found) else 0)

    def get(self, actor: Actor, origin: Origin, matter_id: str, *, http: str = "") -> tuple[Matter, Held]:
        """A matter, and how many versions it holds now."""
        known = lookup.matter(self._state, _id(matter_id))
        missing = S3Error("InvalidArgument", "There is no such matter.", reason="no_such_matter")
        self._record("matter.get", actor, origin, MatterRef(_id(matter_id)), http, missing if known is None else None)
        return self._one(matter_id), self._held(matter_id)

    def _record(  # noqa: PLR0917 - private to this class
        self,
        op: str,
        actor: Actor,
        origin: Origin,
        ref: MatterRef | None,
        http: str,
        refused: S3Error | None = None,
    ) -> None:
        """Commit it. Roles are those that the actor acts with now, which may be fewer than the principal's."""
        if actor.id != SYSTEM and not allowed(actor.roles, op, owns=False):
            refused = S3Error("AccessDenied", _NEEDED, reason="policy")
        asked = Request(http=http) if http else None
        self._commit(Tail(op=op, actor=actor, origin=origin, request=asked, matter=ref), refused)

    def _one(self, matter_id: str) -> Matter:
        row = lookup.matter(self._state, matter_id)
        if row is None:
            raise TypeError(f"matter {matter_id} was recorded and is not in the index")
        return self._shown(row)

    def _shown(self, row: MatterRow) -> Matter:
        strand, query = holding(self._strands, row.seq), row.query
        return Matter(
            id=query.id,
            state=_state(row),
            name=row.name,
            reason=row.reason,
            owner=row.owner,
            query=Query(
                query.bucket,
                not query.bucket,
                query.prefix,
                rfc3339(query.since) if query.since else "",
                rfc3339(query.before) if query.before else "",
                query.actor,
            ),
            opened=rfc3339(row.opened),
            opened_by=row.opened_by,
            stream=strand.name,
            seq=row.seq - strand.base,
            closed=rfc3339(row.closed) if row.closed else "",
            closed_by=row.closed_by,
            closed_reason=row.closed_reason,
        )

    def _held(self, matter_id: str) -> Held:
        row = lookup.matter(self._state, matter_id)
        if row is None or row.closed:
            return Held(0, exact=True, how="it is closed, and holds nothing")
        query = row.query
        start, end = b"v", b"w"
        if query.bucket:
            start = rows.listing_prefix(b"v", query.bucket, query.prefix)
            end = start + b"\xff" * 4
        found = examined = 0
        for where, version in self._state.scan(start, end):
            if examined == MAX_EXAMINED:
                how = f"the first {examined} versions of its bucket and prefix were looked at, and there are more"
                return Held(found, exact=False, how=how)
            examined += 1
            if isinstance(version, VersionRow) and not version.marker:
                bucket = where[1 : where.index(b"\0")].decode()
                found += describes(query, lookup.stored(bucket, rows.name_in(where), version))
        return Held(found, exact=True, how=f"all {examined} versions of its bucket and prefix were looked at")


def _state(row: MatterRow) -> str:
    return CLOSED if row.closed else OPEN


def _ref(matter_id: str, wanted: Wanted) -> MatterRef:
    """What is asked for, as records write it.

    Raises:
        QueryInvalid: It cannot be written: a text is no UTF-8, or a time none.
    """
    query = wanted.query
    since, before = (
        rfc3339(instant(name, value)) if value else "" for name, value in (("from", query.since), ("to", query.until))
    )
    for what, text in (
        ("name", wanted.name), ("reason", wanted.reason), ("owner", wanted.owner), ("bucket", query.bucket),
        ("prefix", query.prefix), ("actor", query.actor),
    ):  # fmt: skip
        _text(what, text)
    described = MatterQuery(query.bucket, query.vault, query.prefix, since, before, query.actor)
    return MatterRef(matter_id, wanted.name, wanted.reason, wanted.owner, described)


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise QueryInvalid(f"{name}: is not UTF-8") from error
    return value


def _id(matter_id: str) -> str:
    """An id that a record can hold; what is longer is nobody's."""
    return _text("id", matter_id[:64])
