"""The effect of a record on the index: the same function live, at recovery and when the index is rebuilt.

Only a successful record has an effect, and everything it needs is in the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vault.record import OPS, SUCCESS, VERSION
from vault.retention import from_ref
from vault.state import backups, custody, ingest, lookup, matters, relaying, rows, tokens, verified
from vault.state.rows import (
    ENABLED,
    BucketRow,
    GarbageRow,
    KeyRow,
    PartRow,
    PrincipalRow,
    UploadRow,
    VersionRow,
)
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.ports import State
    from vault.record import Head, ObjectRef, Tail, VersionRef
    from vault.retention import Lock
    from vault.state.rows import Row

Changes = list[tuple[bytes, "Row | None"]]


def apply(head: Head, tail: Tail, state: State) -> Changes:
    """What a record changes.

    Args:
        head: Its head, with its position as ``seq`` (``vault.state.rows``).
        tail: Its tail.
        state: Everything applied before it.

    Returns:
        Rows to set, or to remove (None), in order.

    Raises:
        ValueError: It cannot be a record that this software wrote: what is not understood may be what protects a
            version, so it must not be passed over.
    """
    if head.outcome != SUCCESS:
        return []
    reserved = (tail.record_class, tail.event_hold, tail.matters, tail.approvals)
    if tail.op not in OPS or reserved != _NOTHING_RESERVED:
        msg = f"record {head.seq} ({tail.op[:64]}) was written by a newer version of this software"
        raise ValueError(msg)
    effect = _EFFECTS.get(tail.op)
    return effect(head, tail, state) if effect is not None else []


def changes_nothing(record: bytes) -> bool:
    """Whether :func:`apply` surely makes nothing of a record, told without decoding it: a replay is mostly reads.

    A quote inside a JSON string is escaped, so no name that a client chose looks like a field.
    """
    start = record.find(_OP) + len(_OP)
    if record[start : record.find(b'"', start)] not in _WITHOUT_EFFECT:
        return False
    # Spelt out, because a generator for each record would cost more than the four searches.
    return record.startswith(_VERSION) and not (
        b'"class":' in record or b'"event_hold":' in record or b'"matters":' in record or b'"approvals":' in record
    )


def version_row(head: Head, tail: Tail, *, held: bool = False) -> VersionRow:
    """The row of the version that a record makes; ``held`` is its upload's."""
    version, named = head.version, tail.object
    if version is None or named is None:
        msg = f"record {head.seq} makes a version but names none"
        raise ValueError(msg)
    created, clock = parse_rfc3339(head.time), parse_rfc3339(head.clock)
    held = held or speaks_of_hold(tail)
    return version_row_of(version, tail, from_ref(head.lock), seq=head.seq, created=created, clock=clock, held=held)


def version_row_of(
    version: VersionRef, tail: Tail, lock: Lock, *, seq: int, created: int, clock: int, held: bool
) -> VersionRow:
    """The row of a version, of what its record says, read: fields as in :class:`vault.state.rows.VersionRow`."""
    named = _named(tail)
    return VersionRow(
        ordinal=version.ordinal,
        version_id=version.version_id,
        seq=seq,
        created=created,
        clock=clock,
        size=max(named.size, 0),
        manifest=version.manifest,
        content=named.content,
        marker=version.marker,
        null=version.null,
        mode=lock.mode,
        until=lock.until,
        hold=lock.hold,
        storage=tail.storage,
        upload=named.upload_id,
        held=held,
        actor=tail.actor.id,
    )


def speaks_of_hold(tail: Tail) -> bool:
    """Whether the request asked for a legal hold, on or off."""
    return tail.request is not None and tail.request.hold is not None


def _named(tail: Tail) -> ObjectRef:
    if tail.object is None:
        msg = f"a record of {tail.op} names no object"
        raise ValueError(msg)
    return tail.object


def _add_version(head: Head, tail: Tail, state: State, *, held: bool = False) -> Changes:
    named, row = _named(tail), version_row(head, tail, held=held)
    where = rows.key_key(named.bucket, named.key)
    found = state.get(where)
    changes = version_changes(where, found if isinstance(found, KeyRow) else None, row)
    if head.version is not None and head.version.replaced:
        old = lookup.version_by_ordinal(state, named.bucket, named.key, head.version.replaced)
        if old is not None:
            changes += _drop(named, old, head.seq)
    return changes


def version_changes(where: bytes, found: KeyRow | None, row: VersionRow) -> Changes:
    """What a new version changes, beside what it replaces; ``found`` is its key's row, which stands at ``where``."""
    null = row.ordinal if row.null else found.null if found is not None else 0
    return [
        (rows.version_key_beside(where, row.ordinal), row),
        (where, KeyRow(row.ordinal, row.manifest, row, null)),
    ]


def _drop(named: ObjectRef, row: VersionRow, by: int) -> Changes:
    """A version that nobody sees any more; its bytes wait for the eraser."""
    changes: Changes = [(rows.version_key(named.bucket, named.key, row.ordinal), None)]
    if row.storage is not None:
        changes.append((rows.garbage_key(row.seq), garbage(row, by, named.bucket, named.key)))
    return changes


def garbage(row: VersionRow, by: int, bucket: str, key: str) -> GarbageRow:
    """What the eraser has to know of a version that record ``by`` removed."""
    return GarbageRow(by, bucket, key, row.seq, row.ordinal, row.version_id, row.storage)


def _delete(head: Head, tail: Tail, state: State) -> Changes:
    named = _named(tail)
    if head.version is None:  # there was nothing to delete
        return []
    if head.version.marker and not named.version_id:
        return _add_version(head, tail, state)
    row = lookup.version_by_ordinal(state, named.bucket, named.key, head.version.ordinal)
    found = lookup.key_row(state, named.bucket, named.key)
    if row is None or found is None:
        return []
    changes, left = _drop(named, row, head.seq), found
    if row.null:
        left = msgspec.structs.replace(left, null=0)
    if found.current is not None and found.current.ordinal == row.ordinal:
        others = (other for other in lookup.versions(state, named.bucket, named.key) if other.ordinal != row.ordinal)
        left = msgspec.structs.replace(left, current=next(others, None))
    if left is not found:
        changes.append((rows.key_key(named.bucket, named.key), left))
    return changes


def _set_lock(head: Head, tail: Tail, state: State) -> Changes:
    named = _named(tail)
    if head.version is None:
        return []
    row = lookup.version_by_ordinal(state, named.bucket, named.key, head.version.ordinal)
    found = lookup.key_row(state, named.bucket, named.key)
    if row is None or found is None:
        return []
    lock = from_ref(head.lock)
    held = row.held or speaks_of_hold(tail)
    new = msgspec.structs.replace(row, mode=lock.mode, until=lock.until, hold=lock.hold, held=held)
    changes: Changes = [(rows.version_key(named.bucket, named.key, row.ordinal), new)]
    if found.current is not None and found.current.ordinal == row.ordinal:
        changes.append((rows.key_key(named.bucket, named.key), msgspec.structs.replace(found, current=new)))
    return changes


def _create_bucket(head: Head, tail: Tail, _state: State) -> Changes:
    name, config = _named(tail).bucket, tail.bucket
    lock, strict = config is not None and config.lock, config is not None and config.strict
    row = BucketRow(name, tail.actor.id, parse_rfc3339(head.time), lock, strict, ENABLED if lock else "")
    return [(rows.bucket_key(name), row)]


def _delete_bucket(_head: Head, tail: Tail, _state: State) -> Changes:
    # Key rows stay: a bucket of that name made again goes on with the ordinals and the chain of each key.
    return [(rows.bucket_key(_named(tail).bucket), None)]


def _set_bucket(_head: Head, tail: Tail, state: State) -> Changes:
    row = lookup.bucket(state, _named(tail).bucket)
    if tail.op == "bucket.versioning.put" and tail.bucket is not None:
        new = msgspec.structs.replace(row, versioning=tail.bucket.versioning)
    else:
        default = tail.bucket.default if tail.bucket is not None else None
        new = msgspec.structs.replace(row, lock=True, default=default)
    return [(rows.bucket_key(row.name), new)]


def _create_upload(head: Head, tail: Tail, _state: State) -> Changes:
    named, lock = _named(tail), from_ref(head.lock)
    if tail.storage is None:
        msg = f"record {head.seq} opens an upload without a content document"
        raise ValueError(msg)
    row = UploadRow(
        upload_id=named.upload_id,
        bucket=named.bucket,
        key=named.key,
        seq=head.seq,
        created=parse_rfc3339(head.time),
        owner=tail.actor.id,
        content=named.content,
        storage=tail.storage,
        mode=lock.mode,
        until=lock.until,
        hold=lock.hold,
        held=speaks_of_hold(tail),
    )
    return [(rows.upload_key(named.bucket, named.key, named.upload_id), row)]


def _piece_garbage(named: ObjectRef, old: PartRow | UploadRow, by: int) -> tuple[bytes, Row]:
    return rows.garbage_key(old.seq), GarbageRow(by, named.bucket, named.key, old.seq, 0, "", old.storage)


def _add_part(head: Head, tail: Tail, state: State) -> Changes:
    named = _named(tail)
    if tail.storage is None:
        msg = f"record {head.seq} adds a part without bytes"
        raise ValueError(msg)
    where = rows.part_key(named.upload_id, named.part)
    row = PartRow(named.part, head.seq, max(named.size, 0), parse_rfc3339(head.time), named.content, tail.storage)
    changes: Changes = [(where, row)]
    old = state.get(where)
    if isinstance(old, PartRow):
        changes.append(_piece_garbage(named, old, head.seq))
    return changes


def _complete(head: Head, tail: Tail, state: State) -> Changes:
    # Part rows stay: the version reads through them. Parts that the list leaves out go when the version goes.
    named = _named(tail)
    upload = state.get(rows.upload_key(named.bucket, named.key, named.upload_id))
    held = isinstance(upload, UploadRow) and upload.held
    return [*_add_version(head, tail, state, held=held), *_end_upload(named, head.seq, state)]


def _end_upload(named: ObjectRef, by: int, state: State) -> Changes:
    """The upload is over; its content document has been made that of the version, or is of no use."""
    where = rows.upload_key(named.bucket, named.key, named.upload_id)
    upload = state.get(where)
    gone: Changes = [(where, None)]
    return [*gone, _piece_garbage(named, upload, by)] if isinstance(upload, UploadRow) else gone


def _abort(head: Head, tail: Tail, state: State) -> Changes:
    named = _named(tail)
    changes = _end_upload(named, head.seq, state)
    for part in lookup.parts(state, named.upload_id):
        changes.append((rows.part_key(named.upload_id, part.number), None))
        changes.append(_piece_garbage(named, part, head.seq))
    return changes


def _erased(_head: Head, tail: Tail, state: State) -> Changes:
    named = _named(tail)
    row = state.get(rows.garbage_key(tail.ref))
    changes: Changes = [(rows.garbage_key(tail.ref), None)]
    if isinstance(row, GarbageRow) and row.storage is not None and row.storage.kind == "parts":
        changes += [
            (rows.part_key(named.upload_id, part.number), None) for part in lookup.parts(state, named.upload_id)
        ]
    return changes


def _add_principal(_head: Head, tail: Tail, _state: State) -> Changes:
    if tail.principal is None:
        return []
    who = tail.principal
    row = PrincipalRow(who.id, who.name, who.access_key, who.roles)
    return [(rows.principal_key(who.id), row), (rows.access_key_key(who.access_key), row)]


def _disable_principal(_head: Head, tail: Tail, state: State) -> Changes:
    found = lookup.principal(state, tail.principal.id) if tail.principal is not None else None
    if found is None:
        return []
    row = msgspec.structs.replace(found, enabled=False)
    return [(rows.principal_key(row.id), row), (rows.access_key_key(row.access_key), row)]


def _keep_keys(head: Head, tail: Tail, state: State) -> Changes:
    row = custody.after(head, tail, state)
    return [(rows.CUSTODY_KEY, row)] if row is not None else []


_EFFECTS: Final[dict[str, Callable[[Head, Tail, State], Changes]]] = {
    "bucket.create": _create_bucket,
    "bucket.delete": _delete_bucket,
    "bucket.versioning.put": _set_bucket,
    "bucket.lock.put": _set_bucket,
    "object.put": _add_version,
    "object.delete": _delete,
    "object.retention.put": _set_lock,
    "object.hold.put": _set_lock,
    "object.erased": _erased,
    "multipart.create": _create_upload,
    "multipart.part": _add_part,
    "multipart.complete": _complete,
    "multipart.abort": _abort,
    "principal.add": _add_principal,
    "principal.disable": _disable_principal,
    "token.add": tokens.added,
    "token.revoke": tokens.revoked,
    "key.backup": _keep_keys,
    "key.restore": _keep_keys,
    "key.rotate": _keep_keys,
    "ingest.batch": ingest.noted,
    "ledger.backup": backups.after,
    "ledger.verified": verified.after,
    "relay.assign": relaying.assigned,
    "matter.open": matters.opened,
    "matter.close": matters.closed,
}
_NOTHING_RESERVED: Final = (None, None, None, None)
_WITHOUT_EFFECT: Final = frozenset(op.encode() for op in OPS - _EFFECTS.keys())
_VERSION: Final = b'{"v":%d,' % VERSION
_OP: Final = b'"op":"'
