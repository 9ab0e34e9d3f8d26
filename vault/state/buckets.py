"""Decisions about buckets (S3 CreateBucket, DeleteBucket, PutBucketVersioning, PutObjectLockConfiguration)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault import retention
from vault.errors import S3Error
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.rows import ENABLED, SUSPENDED, BucketRow, UploadRow, VersionRow

if TYPE_CHECKING:
    from vault.state.decision import Case


def look(case: Case) -> Decision:
    """Whatever only needs the bucket to exist."""
    return Decision(row=lookup.bucket(case.state, case.object.bucket))


def create(case: Case) -> Decision:
    """CreateBucket: names are unique in the vault; lock-enabled buckets are versioned for good."""
    name = case.object.bucket
    if not name or "\0" in name:  # row keys end a bucket's name with NUL; all else is the front end's to refuse
        raise S3Error("InvalidBucketName", BucketName=name)
    found = case.state.get(rows.bucket_key(name))
    if isinstance(found, BucketRow):
        mine = found.owner == case.tail.actor.id
        raise S3Error("BucketAlreadyOwnedByYou" if mine else "BucketAlreadyExists", BucketName=name)
    return Decision()


def delete(case: Case) -> Decision:
    """DeleteBucket: only when no version, marker or upload is left."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    for kind, what in ((b"v", VersionRow), (b"u", UploadRow)):
        start = rows.listing_prefix(kind, bucket.name, "")
        if any(isinstance(row, what) for _, row in case.state.scan(start, start + b"\xff" * 4)):
            raise S3Error("BucketNotEmpty", BucketName=bucket.name)
    return Decision(row=bucket)


def put_versioning(case: Case) -> Decision:
    """PutBucketVersioning: never suspended where locks or strictness depend on it."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    wanted = case.tail.bucket.versioning if case.tail.bucket else ""
    if wanted not in {ENABLED, SUSPENDED}:
        raise S3Error("MalformedXML")
    if wanted == SUSPENDED and bucket.lock:
        raise S3Error(
            "InvalidBucketState",
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        )
    if wanted == SUSPENDED and bucket.strict:
        raise S3Error("AccessDenied", "A strict bucket does not suspend versioning.", reason="strict")
    return Decision(row=bucket)


def get_lock(case: Case) -> Decision:
    """GetObjectLockConfiguration."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    if not bucket.lock:
        raise S3Error("ObjectLockConfigurationNotFoundError", BucketName=bucket.name)
    return Decision(row=bucket)


def put_lock(case: Case) -> Decision:
    """PutObjectLockConfiguration: for good; the default applies to versions made later only."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    if bucket.versioning != ENABLED:
        raise S3Error(
            "InvalidBucketState",
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
        )
    if case.tail.bucket is not None and case.tail.bucket.default is not None:
        retention.check_default(case.tail.bucket.default)
    return Decision(row=bucket)
