"""Decisions about matters, and their effects: one record opens one, one closes it, for good (``vault.matters``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import S3Error
from vault.matters import MAX_OPEN, MatterQuery, OpenMatter
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.other_rows import MatterRow, MattersRow
from vault.state.rows import MAX_KEY_BYTES
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from vault.matters import MatterRef
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case
    from vault.state.rows import Row

#: Lengths, in characters: of a name or an owner, and of a reason.
MAX_NAME: Final = 128
MAX_REASON: Final = 1024

_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


def open_(case: Case) -> Decision:
    """A new matter. What would hold nothing by mistake is refused: an unknown bucket or principal, an empty time."""
    wanted = _named(case)
    for what, text, limit in (
        ("name", wanted.name, MAX_NAME), ("owner", wanted.owner, MAX_NAME), ("reason", wanted.reason, MAX_REASON)
    ):  # fmt: skip
        _require_text(what, text, limit)
    query = _query(wanted)
    if lookup.matter(case.state, wanted.id) is not None:
        raise S3Error("InvalidArgument", "There is a matter of this id already.", reason="exists")
    if query.bucket:
        lookup.bucket(case.state, query.bucket)
    if query.actor and lookup.principal(case.state, query.actor) is None:
        raise S3Error("InvalidArgument", "There is no such principal.", reason="no_such_principal")
    if len(lookup.open_matters(case.state)) >= MAX_OPEN:
        problem = f"{MAX_OPEN} matters are open; release some, or open one that describes more."
        raise S3Error("InvalidArgument", problem, reason="too_many_matters")
    return Decision()


def close(case: Case) -> Decision:
    """The end of a matter: what no other one holds, and no lock, may be removed from here on."""
    wanted = _named(case)
    _require_text("reason", wanted.reason, MAX_REASON)
    found = lookup.matter(case.state, wanted.id)
    if found is None:
        raise S3Error("InvalidArgument", "There is no such matter.", reason="no_such_matter")
    if found.closed:
        raise S3Error("InvalidArgument", "The matter was released before.", reason="closed")
    return Decision()


def _named(case: Case) -> MatterRef:
    wanted = case.tail.matter
    if wanted is None or not _ID.fullmatch(wanted.id):
        raise S3Error("InvalidRequest")
    return wanted


def _require_text(what: str, text: str, limit: int) -> None:
    if not text.strip() or len(text) > limit or not text.isprintable():
        raise S3Error("InvalidArgument", f"{what}: 1 to {limit} printable characters.", reason=what)


def _query(wanted: MatterRef) -> OpenMatter:
    """The query, if it is one.

    Raises:
        S3Error: It is none: says what is wrong.
    """
    query = wanted.query or MatterQuery()
    if bool(query.bucket) == query.vault:
        problem = "query: name one bucket, or say that the whole vault is meant, and not both."
        raise S3Error("InvalidArgument", problem, reason="query")
    if len(query.prefix.encode()) > MAX_KEY_BYTES:
        raise S3Error("InvalidArgument", f"query: a prefix has at most {MAX_KEY_BYTES} bytes.", reason="query")
    try:
        found = from_ref(wanted)
    except ValueError as error:
        raise S3Error("InvalidArgument", "query: a time is no time.", reason="query") from error
    if any(text and rfc3339(parse_rfc3339(text)) != text for text in (query.since, query.before)):
        raise S3Error("InvalidRequest")  # the front end writes times as records do: the verifier reads no others
    if query.before and found.before <= found.since:
        raise S3Error("InvalidArgument", "query: its time ends before it begins.", reason="query")
    return found


def from_ref(ref: MatterRef) -> OpenMatter:
    """Read a matter's query out of a record.

    Raises:
        ValueError: One of its times is none.
    """
    query = ref.query or MatterQuery()
    since, before = (parse_rfc3339(text) if text else 0 for text in (query.since, query.before))
    return OpenMatter(ref.id, query.bucket, query.prefix, since, before, query.actor)


def opened(head: Head, tail: Tail, state: State) -> list[tuple[bytes, Row | None]]:
    """The effect of ``matter.open``."""
    if tail.matter is None or (tail.matter.query is None):
        msg = f"record {head.seq} opens a matter and does not say what it holds"
        raise ValueError(msg)
    matter, query = tail.matter, from_ref(tail.matter)
    row = MatterRow(
        query=query,
        name=matter.name,
        reason=matter.reason,
        owner=matter.owner,
        seq=head.seq,
        opened=parse_rfc3339(head.time),
        opened_by=tail.actor.person or tail.actor.id,
    )
    return [(rows.matter_key(query.id), row), (rows.OPEN_MATTERS, MattersRow((*lookup.open_matters(state), query)))]


def closed(head: Head, tail: Tail, state: State) -> list[tuple[bytes, Row | None]]:
    """The effect of ``matter.close``."""
    found = lookup.matter(state, tail.matter.id) if tail.matter is not None else None
    if tail.matter is None or found is None:
        msg = f"record {head.seq} closes a matter that no record opened"
        raise ValueError(msg)
    row = msgspec.structs.replace(
        found,
        closed=parse_rfc3339(head.time),
        closed_by=tail.actor.person or tail.actor.id,
        closed_reason=tail.matter.reason,
    )
    left = tuple(matter for matter in lookup.open_matters(state) if matter.id != row.query.id)
    return [(rows.matter_key(row.query.id), row), (rows.OPEN_MATTERS, MattersRow(left))]
