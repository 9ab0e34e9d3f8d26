"""What the ledger says of bytes and keys that are to be destroyed: who made them, what removed them, what held them.

The index proposes what is garbage; it is a view, and a view may be wrong. Before anything is destroyed the records are
asked (DESIGN §6), and only them:

 1. The record that made the body succeeded, and names that bucket, key and storage.
 2. The record said to have removed it succeeded, and removes exactly that: the version by its id or by taking the null
    version's place, the part by its upload's abort or by a newer part of its number, an upload's own document by the
    upload's end.
 3. The lock is the one of its creation, changed by every successful change up to the removal; nothing can change it
    after. A part of an upload that was never completed has none.
 4. The matters are those that were open at the removal. One that was opened later holds nothing that was gone.

Pure but for the reading. Whether that lock allows it is the gate's to say (``vault.retention``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import LedgerCorrupt
from vault.matters import Stored, holding
from vault.record import SUCCESS, decode
from vault.retention import Lock, from_ref
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from vault.matters import OpenMatter
    from vault.record import Head, ObjectRef, Storage, Tail
    from vault.state.rows import GarbageRow

_UPLOAD_ENDS: Final = frozenset({"multipart.complete", "multipart.abort"})
_VERSIONS: Final = frozenset({"object.put", "multipart.complete"})
_LOCK_OPS: Final = (b'"op":"object.retention.put"', b'"op":"object.hold.put"')

_Name = tuple[str, str, int]
_Record = tuple["Head", "Tail"]


class Removed(NamedTuple):
    """A body whose removal the ledger holds.

    Attributes:
        storage: Where it is kept.
        upload: The multipart upload it came from, if any.
        lock: The lock at its removal, with the matters that held it.
        bypassed: The removal asked for the GOVERNANCE bypass, and was allowed.
    """

    storage: Storage
    upload: str
    lock: Lock
    bypassed: bool


def gather(
    rows: Sequence[GarbageRow],
    read: Callable[[int, int], Iterable[tuple[int, bytes]]],
    open_at: Callable[[int], Sequence[OpenMatter]],
) -> dict[int, Removed | str]:
    """Look up what the ledger says, in one pass over the records from the oldest body to the newest removal.

    Args:
        rows: What the index takes for garbage; at least one row.
        read: Gives the records ``first <= seq < end`` in order.
        open_at: Gives the matters that were open when a record was decided (``audit.matter_history``).

    Returns:
        By seq of the body: what happened to it, or why it must not be erased.

    Raises:
        LedgerCorrupt: A record that matters cannot be read.
    """
    results: dict[int, Removed | str] = {row.seq: "its removal does not come after its creation" for row in rows}
    removals: dict[int, list[GarbageRow]] = {}
    for row in rows:
        removals.setdefault(row.by, []).append(row)
    made: dict[int, _Record] = {}
    locks: dict[_Name, Lock] = {}
    for seq, record in read(min(results), max(removals) + 1):
        changes = any(op in record for op in _LOCK_OPS)
        if not changes and seq not in results and seq not in removals:
            continue
        head, tail, lock = _decode(seq, record)
        name = _name(head, tail)
        if seq in results:
            made[seq] = (head, tail)
            locks[name] = lock
        elif changes and head.outcome == SUCCESS and name in locks:
            locks[name] = lock
        for row in removals.get(seq, ()):
            if row.seq in made:
                results[row.seq] = _judge(row, made[row.seq], (head, tail), locks, open_at)
    return results


def living(domains: Collection[str], records: Iterable[tuple[int, bytes]], gone: Collection[int]) -> set[str]:
    """Which of these key domains are still needed: some bytes under them were stored and not erased.

    An upload's own document is not needed once the upload has ended; its parts go with the version that they became.

    Args:
        domains: Ids; at least one.
        records: All records, in order.
        gone: Seqs of bodies that were just removed, of which no record tells yet.

    Raises:
        LedgerCorrupt: A record that matters cannot be read.
    """
    ids = b"|".join(re.escape(domain.encode()) for domain in domains)
    matters = re.compile(b'"domain":"(?:%b)"|"op":"(?:object\\.erased|multipart\\.complete|multipart\\.abort)"' % ids)
    under: dict[int, str] = {}
    opened: dict[str, int] = {}
    parts: dict[str, list[int]] = {}
    for seq, record in records:
        if matters.search(record) is None:
            continue
        head, tail, _ = _decode(seq, record)
        if head.outcome != SUCCESS:
            continue
        upload = tail.object.upload_id if tail.object is not None else ""
        if tail.op == "object.erased":
            for erased in (tail.ref, *parts.pop(upload, ())):
                under.pop(erased, None)
        elif tail.op in _UPLOAD_ENDS:
            under.pop(opened.pop(upload, -1), None)
        elif tail.op == "multipart.create":
            opened[upload] = seq
        elif tail.op == "multipart.part":
            parts.setdefault(upload, []).append(seq)
        if tail.storage is not None and tail.storage.domain in domains:
            under[seq] = tail.storage.domain
    return {domain for seq, domain in under.items() if seq not in gone}


def _judge(
    row: GarbageRow,
    made: _Record,
    removal: _Record,
    locks: dict[_Name, Lock],
    open_at: Callable[[int], Sequence[OpenMatter]],
) -> Removed | str:
    head, tail = made
    named = tail.object
    if head.outcome != SUCCESS or named is None or (named.bucket, named.key) != (row.bucket, row.key):
        return f"record {row.seq} did not make it"
    if tail.storage is None or tail.storage != row.storage:
        return f"record {row.seq} says it is kept elsewhere"
    if not _removes(removal, made, named):
        return f"record {row.by} did not remove it"
    asked = removal[1].request
    lock = Lock()
    if tail.op in _VERSIONS:
        times = parse_rfc3339(head.time), parse_rfc3339(head.clock)
        version = Stored(named.bucket, named.key, *times, tail.actor.id)
        lock = locks[_name(head, tail)]._replace(matters=holding(open_at(row.by), version))
    return Removed(tail.storage, named.upload_id, lock, asked is not None and asked.bypass)


def _removes(removal: _Record, made: _Record, named: ObjectRef) -> bool:
    """Whether one record removed what another made; ``named`` is the latter's object."""
    (by, what), (head, tail) = removal, made
    target = what.object
    if by.outcome != SUCCESS or target is None or (target.bucket, target.key) != (named.bucket, named.key):
        return False
    if tail.op == "multipart.create":
        return what.op in _UPLOAD_ENDS and target.upload_id == named.upload_id
    if tail.op == "multipart.part":
        same = target.upload_id == named.upload_id
        return same and (what.op == "multipart.abort" or (what.op == "multipart.part" and target.part == named.part))
    if tail.op not in _VERSIONS or head.version is None or by.version is None:
        return False
    if by.version.replaced == head.version.ordinal:
        return what.op in _VERSIONS or what.op == "object.delete"
    return what.op == "object.delete" and by.version.version_id == head.version.version_id


def _decode(seq: int, record: bytes) -> tuple[Head, Tail, Lock]:
    try:
        head, tail = decode(record)
        return head, tail, from_ref(head.lock)
    except ValueError as error:
        raise LedgerCorrupt(f"record {seq}", str(error)) from error


def _name(head: Head, tail: Tail) -> _Name:
    bucket, key = (tail.object.bucket, tail.object.key) if tail.object is not None else ("", "")
    return bucket, key, head.version.ordinal if head.version is not None else 0
