"""Decisions about objects: put, read, delete, retention, legal hold (S3 semantics, DESIGN §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault import retention
from vault.errors import S3Error
from vault.manifest import manifest_digest
from vault.record import LockRef, VersionRef
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.rows import ENABLED, KeyRow, VersionRow
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from vault.retention import Lock
    from vault.state.decision import Case
    from vault.state.rows import BucketRow

_NO_LOCK_CONFIGURATION = "Bucket is missing Object Lock Configuration"


def put(case: Case) -> Decision:
    """PutObject: preconditions, strictness, lock, and the next place in the key's chain."""
    bucket, lock = placed(case)
    return new_version(case, bucket, lock, case.object.content)


def placed(case: Case) -> tuple[BucketRow, Lock]:
    """Where a new object goes and the lock it gets, whatever its key.

    Raises:
        S3Error: NoSuchBucket, InvalidRequest, InvalidArgument.
    """
    bucket = lookup.bucket(case.state, case.object.bucket)
    return bucket, retention.at_creation(asked_lock(case, bucket), bucket.default, case.now)


def asked_lock(case: Case, bucket: BucketRow) -> LockRef | None:
    """The lock the request's headers name, allowed only where the bucket can lock.

    Raises:
        S3Error: InvalidRequest, InvalidArgument.
    """
    asked = case.asked
    if not asked.mode and not asked.until and asked.hold is None:
        return None
    if not bucket.lock:
        raise S3Error("InvalidRequest", _NO_LOCK_CONFIGURATION)
    if bool(asked.mode) != bool(asked.until):
        raise S3Error(
            "InvalidArgument",
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ArgumentName="x-amz-object-lock-retain-until-date" if asked.mode else "x-amz-object-lock-mode",
        )
    if asked.mode and asked.mode not in retention.MODES:
        raise S3Error("InvalidArgument", "Unknown wormMode directive.", ArgumentName="x-amz-object-lock-mode")
    try:
        until = rfc3339(parse_rfc3339(asked.until)) if asked.mode else ""
    except ValueError as error:
        raise S3Error(
            "InvalidArgument",
            "The retain until date must be provided in ISO 8601 format",
            ArgumentName="x-amz-object-lock-retain-until-date",
            ArgumentValue=asked.until[:64],
        ) from error
    return LockRef(asked.mode, until, bool(asked.hold))


def always_made(case: Case, bucket: BucketRow, *, exists: bool) -> bool:
    """Whether a PUT makes a version whatever its key, and replaces none: what :func:`new_version` can refuse.

    Args:
        case: An operation that is admitted.
        bucket: Where its lock was :func:`placed`.
        exists: Its key has, or had, versions.
    """
    if case.asked.if_match:
        return False
    return not exists or (bucket.versioning == ENABLED and not bucket.strict and not case.asked.if_none_match)


def new_version(case: Case, bucket: BucketRow, lock: Lock, content: str) -> Decision:
    """Give out the next ordinal of a key, after preconditions and strictness.

    Raises:
        S3Error: PreconditionFailed, NoSuchKey, AccessDenied.
    """
    found = lookup.key_row(case.state, bucket.name, case.object.key)
    return version_after(case, bucket, found, lock, content)


def version_after(case: Case, bucket: BucketRow, found: KeyRow | None, lock: Lock, content: str) -> Decision:
    """As :func:`new_version`, of a key whose row was looked up: None where it never had a version.

    Raises:
        S3Error: PreconditionFailed, NoSuchKey, AccessDenied.
    """
    current = found.current if found is not None else None
    if current is not None and current.marker:
        current = None
    _preconditions(case, current)
    if bucket.strict and current is not None:
        _found(case, current)
        raise S3Error("AccessDenied", "A strict bucket does not overwrite objects.", reason="strict")
    return _next_version(case, bucket, found, lock, content=content, marker=False)


def _preconditions(case: Case, current: VersionRow | None) -> None:
    asked = case.asked
    if asked.if_none_match and current is not None:
        case.version = lookup.version_ref(current)
        raise S3Error("PreconditionFailed", Condition="If-None-Match")
    if asked.if_match:
        if current is None:
            raise S3Error("NoSuchKey", Key=case.object.key)
        if asked.if_match != str(current.ordinal):
            case.version = lookup.version_ref(current)
            raise S3Error("PreconditionFailed", Condition="If-Match")


def _next_version(
    case: Case, bucket: BucketRow, found: KeyRow | None, lock: Lock, *, content: str, marker: bool
) -> Decision:
    key = case.object.key
    ordinal = found.ordinal + 1 if found is not None else 1
    previous = found.manifest if found is not None else ""
    null = bucket.versioning != ENABLED
    there = found.null if found is not None and null else 0
    replaced = lookup.version_by_ordinal(case.state, bucket.name, key, there) if there else None
    if replaced is not None:  # the null version is removed by the one that takes its place
        retention.decide_removal(_found(case, replaced), case.now, bypass=case.bypass)
    ref = lock.ref()
    manifest = manifest_digest(
        bucket=bucket.name,
        key=key,
        ordinal=ordinal,
        time=rfc3339(case.now.wall),
        content=content,
        lock=ref,
        marker=marker,
        null=null,
        prev=previous,
    )
    version = VersionRef(
        ordinal,
        rows.version_id(ordinal, manifest),
        manifest,
        previous,
        marker=marker,
        null=null,
        replaced=replaced.ordinal if replaced is not None else 0,
    )
    return Decision(version=version, lock=ref)


def _found(case: Case, row: VersionRow) -> Lock:
    """A version that the operation is about: from here on a refusal names it, and its lock."""
    lock = lookup.lock_of(case.state, case.object.bucket, case.object.key, row)
    case.version, case.lock = lookup.version_ref(row), lock.ref()
    return lock


def read(case: Case) -> Decision:
    """GetObject, HeadObject: which version's bytes may be released."""
    row, _ = _named(case)
    return Decision(version=case.version, lock=case.lock, row=row)


def _named(case: Case, *, changes: bool = False) -> tuple[VersionRow, Lock]:
    """The version the request means, which is no delete marker: S3 answers reads of a hidden key 404, changes 405."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    _check_version_id(case, bucket)
    row = lookup.resolve(case.state, bucket.name, case.object.key, case.object.version_id, markers=changes)
    lock = _found(case, row)
    if row.marker:
        headers = {"allow": "DELETE"} | lookup.marker_headers(row)
        raise S3Error("MethodNotAllowed", headers=headers, ResourceType="DeleteMarker")
    return row, lock


def _check_version_id(case: Case, bucket: BucketRow) -> None:
    """A bucket that never had versioning has no version ids but ``null``."""
    version_id = case.object.version_id
    if version_id and version_id != "null" and not bucket.versioning:
        raise lookup.invalid_version_id(version_id)


def delete(case: Case) -> Decision:
    """DeleteObject: a marker where versions are kept, a removal through the gate where one is named or replaced."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    if case.asked.bypass_sent and not bucket.lock:
        raise S3Error(
            "InvalidArgument",
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
            ArgumentName="x-amz-bypass-governance-retention",
        )
    key = case.object.key
    if case.object.version_id:
        _check_version_id(case, bucket)
        row = lookup.version_by_id(case.state, bucket.name, key, case.object.version_id)
        return _remove(case, row)
    if bucket.strict:  # without versioning, too: what is gone by its name could be put again with other bytes
        raise S3Error("AccessDenied", "A strict bucket takes no delete markers: name the version.", reason="strict")
    if not bucket.versioning:
        return _remove(case, lookup.null_version(case.state, bucket.name, key))
    found = lookup.key_row(case.state, bucket.name, key)
    return _next_version(case, bucket, found, retention.Lock(), content="", marker=True)


def _remove(case: Case, row: VersionRow | None) -> Decision:
    if row is None:  # S3 answers 204 for a version that is not there
        return Decision()
    retention.decide_removal(_found(case, row), case.now, bypass=case.bypass)
    return Decision(version=case.version, lock=case.lock, row=row)


def _lockable(case: Case, *, changes: bool = False) -> tuple[VersionRow, Lock]:
    bucket = lookup.bucket(case.state, case.object.bucket)
    if not bucket.lock:
        raise S3Error("InvalidRequest", _NO_LOCK_CONFIGURATION)
    return _named(case, changes=changes)


def get_retention(case: Case) -> Decision:
    """GetObjectRetention."""
    row, _ = _lockable(case)
    if not row.mode:
        raise S3Error("NoSuchObjectLockConfiguration", Key=case.object.key)
    return Decision(version=case.version, lock=case.lock, row=row)


def put_retention(case: Case) -> Decision:
    """PutObjectRetention, and its removal by an empty Retention."""
    row, old = _lockable(case, changes=True)
    new = None if case.asked.remove else _retention_asked(case)
    lock = retention.decide_retention(old, new, case.now, bypass=case.bypass)
    return Decision(version=case.version, lock=lock.ref(), row=row)


def _retention_asked(case: Case) -> Lock:
    asked = case.asked
    try:
        if asked.mode in retention.MODES:
            return retention.Lock(asked.mode, parse_rfc3339(asked.until))
    except ValueError as error:
        raise S3Error("MalformedXML") from error
    raise S3Error("MalformedXML")


def get_hold(case: Case) -> Decision:
    """GetObjectLegalHold: an error where nobody ever spoke of a hold, though what was switched off is told."""
    row, lock = _lockable(case)
    if not row.held and not lock.matters:
        raise S3Error("NoSuchObjectLockConfiguration", Key=case.object.key)
    return Decision(version=case.version, lock=case.lock, row=row)


def put_hold(case: Case) -> Decision:
    """PutObjectLegalHold: independent of retention, and of matters, which no S3 request releases."""
    row, old = _lockable(case, changes=True)
    if case.asked.hold is None:
        raise S3Error("MalformedXML")
    lock = old._replace(hold=case.asked.hold)
    return Decision(version=case.version, lock=lock.ref(), row=row)
