"""How a production stands: from whoever makes it, from the directory that remembers it, or from the records.

What is under way is in memory; what stands still is in ``views/productions`` with what it remembers; what is kept, was
discarded, or stands in a directory of the command's caller, only the records know.

Not handled here: who may look, which is recorded first (``audit.production.jobs``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit.production.keep import BUCKET, Kept, key_of
from audit.production.question import Question
from audit.query.filter import condition
from audit.strand import holding
from vault.errors import S3Error
from vault.record import SUCCESS, decode
from vault.state import lookup
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.node import Node
    from audit.production.state import State
    from vault.record import Head, Tail

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"
DISCARDED: Final = "discarded"
KEPT: Final = "kept"
STATES: Final = (RUNNING, INTERRUPTED, CANCELLED, FAILED, DISCARDED, KEPT)
_ELSEWHERE: Final = "it stands in a directory that the command was given; the same command goes on with it"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a production stands.

    ``stream`` and ``seq`` are of the record that asked for it. ``done`` of ``versions`` are written. ``failed`` could
    not be read. ``digest`` is the SHA-256 of the last manifest, ``problem`` why it stands still.
    """

    id: str
    state: str
    asked: Question
    by: str
    time: str
    stream: str
    seq: int
    stage: str = ""
    versions: int = 0
    done: int = 0
    bytes: int = 0
    natives: int = 0
    failed: int = 0
    digest: str = ""
    problem: str = ""
    kept: Kept | None = None


def remembered(node: Node, state: State, how: str) -> Standing:
    """One that a directory remembers, or that is under way.

    Args:
        node: Open.
        state: What is remembered.
        how: One of :data:`STATES`.

    Raises:
        LedgerCorrupt: Its record cannot be read.
    """
    made = state.made
    found = _asked_at(node, state.id, state.asked, state.snapshot, how)
    if made is None:
        return msgspec.structs.replace(found, problem=state.problem)
    return msgspec.structs.replace(
        found,
        versions=made.versions,
        done=made.versions,
        bytes=made.bytes,
        natives=made.natives,
        failed=made.failed,
        digest=made.digest,
        problem=state.problem,
    )


def recorded(node: Node, production: str) -> Standing | None:
    """One that only the records know; None where they do not. The view is fresh.

    Raises:
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    of_it = [("op", "production.complete"), ("outcome", SUCCESS), ("bucket", BUCKET), ("key", key_of(production))]
    for (position,) in node.asking.select("position", condition(of_it), "ORDER BY position DESC LIMIT 1"):
        return _complete(node, *decode(node.history.record(position)))
    for position, tail in _firsts(node, 1 << 62):
        if tail.production is not None and tail.production.id == production:
            return _unfinished(node, position, tail, _later(node, position).get(production))
    return None


def listed(node: Node, after: int, limit: int) -> tuple[list[Standing], int]:
    """Productions as the records have them, the newest first. The view is fresh.

    Args:
        node: Open.
        after: Only those asked for before this position; 0 for all.
        limit: How many at most.

    Returns:
        They, and what goes on after the last one; 0 where there are no more.

    Raises:
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    chosen: dict[str, tuple[int, Tail]] = {}
    more = last = 0
    for position, tail in _firsts(node, after or 1 << 62):
        if tail.production is None or tail.production.id in chosen:
            continue
        if len(chosen) == limit:
            more = last
            break
        chosen[tail.production.id] = position, tail
        last = position
    later = _later(node, last)
    return [_unfinished(node, position, tail, later.get(one)) for one, (position, tail) in chosen.items()], more


def _firsts(node: Node, before: int) -> Iterator[tuple[int, Tail]]:
    """The records that asked for a production first, the newest first; those that go on with one name that."""
    asked = condition([("op", "production.create"), ("outcome", SUCCESS)]).within("coalesce(ref, -1) < ?", 0)
    for (position,) in node.asking.select("position", asked.within("position < ?", before), "ORDER BY position DESC"):
        yield position, decode(node.history.record(position))[1]


def _later(node: Node, since: int) -> dict[str, tuple[Head, Tail]]:
    """The last record of each production that says how it ended, from a position on.

    One that is complete stays so: whoever cancelled it came too late.
    """
    ends = condition([("op", "production.complete"), ("op", "production.cancel"), ("outcome", SUCCESS)])
    found: dict[str, tuple[Head, Tail]] = {}
    for (position,) in node.asking.select("position", ends.within("position >= ?", since), "ORDER BY position"):
        head, tail = decode(node.history.record(position))
        if tail.production is None:
            continue
        known = found.get(tail.production.id)
        if known is None or known[1].op != "production.complete":
            found[tail.production.id] = head, tail
    return found


def _unfinished(node: Node, position: int, first: Tail, last: tuple[Head, Tail] | None) -> Standing:
    """What the records say of one; where it is in memory or in a directory, that says more."""
    if last is not None and last[1].op == "production.complete":
        return _complete(node, *last)
    said = first.production
    asked = _question(said.asked if said is not None else "")
    here = first.origin.via != "cli"
    how = (DISCARDED if here else CANCELLED) if last is not None else INTERRUPTED
    found = _asked_at(node, said.id if said is not None else "", asked, position, how)
    return found if here else msgspec.structs.replace(found, problem=_ELSEWHERE)


def _complete(node: Node, head: Head, tail: Tail) -> Standing:
    said, named = tail.production, tail.object
    if said is None:
        raise TypeError(f"record {head.seq} completes a production and names none")
    kept = None
    if named is not None:
        try:
            row = lookup.resolve(node.stores.index, named.bucket, named.key, named.version_id)
        except S3Error:  # its lock ended, and somebody removed it
            until = ""
        else:
            until = rfc3339(row.until) if row.until else ""
        kept = Kept(named.bucket, named.key, named.version_id, named.size, said.archive, until)
    found = _asked_at(node, said.id, _question(said.asked), tail.ref, KEPT)
    return msgspec.structs.replace(
        found,
        stage="done",
        versions=max(said.versions, 0),
        done=max(said.versions, 0),
        bytes=max(said.bytes, 0),
        natives=max(said.natives, 0),
        failed=max(said.failed, 0),
        digest=said.digest,
        kept=kept,
    )


def _asked_at(node: Node, production: str, asked: Question, position: int, how: str) -> Standing:
    """With what the record says that asked for it."""
    if position < 0:
        return Standing(id=production, state=how, asked=asked, by="", time="", stream="", seq=-1)
    strand = holding(node.stores.strands, position)
    head, tail = decode(node.history.record(position))
    by = tail.actor.person or tail.actor.id
    return Standing(
        id=production, state=how, asked=asked, by=by, time=head.time, stream=strand.name, seq=position - strand.base
    )


def _question(text: str) -> Question:
    """A question as a record has it.

    Raises:
        TypeError: It has none; no version of this software wrote such a record.
    """
    try:
        return msgspec.json.decode(text or '{"reason":"","bucket":""}', type=Question)
    except msgspec.DecodeError as error:
        raise TypeError("a record of a production has a question that is none") from error
