"""Questions about the state that decisions and effects share: pure reads through :class:`vault.ports.State`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.matters import Stored, holding
from vault.record import VersionRef
from vault.retention import Lock
from vault.state import rows
from vault.state.other_rows import MatterRow, MattersRow
from vault.state.rows import BucketRow, KeyRow, PartRow, PrincipalRow, UploadRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vault.matters import OpenMatter
    from vault.ports import State

_AFTER_ORDINALS: Final = b"\xff" * 9


def bucket(state: State, name: str) -> BucketRow:
    """The bucket.

    Raises:
        S3Error: NoSuchBucket.
    """
    row = state.get(rows.bucket_key(name))
    if not isinstance(row, BucketRow):
        raise S3Error("NoSuchBucket", BucketName=name)
    return row


def key_row(state: State, bucket_name: str, key: str) -> KeyRow | None:
    """The key's row, also when none of its versions is left."""
    row = state.get(rows.key_key(bucket_name, key))
    return row if isinstance(row, KeyRow) else None


def version_by_ordinal(state: State, bucket_name: str, key: str, ordinal: int) -> VersionRow | None:
    """One version of a key."""
    row = state.get(rows.version_key(bucket_name, key, ordinal))
    return row if isinstance(row, VersionRow) else None


def versions(state: State, bucket_name: str, key: str) -> Iterator[VersionRow]:
    """All versions of a key that are left, newest first."""
    prefix = rows.versions_prefix(bucket_name, key)
    for _, row in state.scan(prefix, prefix + _AFTER_ORDINALS):
        if isinstance(row, VersionRow):
            yield row


def null_version(state: State, bucket_name: str, key: str) -> VersionRow | None:
    """The key's null version, if it has one."""
    found = key_row(state, bucket_name, key)
    if found is None or not found.null:
        return None
    return version_by_ordinal(state, bucket_name, key, found.null)


def invalid_version_id(version_id: str) -> S3Error:
    """What S3 answers where this can be no version id."""
    message = "Invalid version id specified"
    return S3Error("InvalidArgument", message, ArgumentName="versionId", ArgumentValue=version_id[:64])


def version_by_id(state: State, bucket_name: str, key: str, version_id: str) -> VersionRow | None:
    """The version a client names.

    Raises:
        S3Error: InvalidArgument where this can be no version id.
    """
    if version_id == "null":
        return null_version(state, bucket_name, key)
    ordinal = rows.ordinal_of(version_id)
    if not ordinal:
        raise invalid_version_id(version_id)
    row = version_by_ordinal(state, bucket_name, key, ordinal)
    return row if row is not None and row.version_id == version_id else None


def resolve(state: State, bucket_name: str, key: str, version_id: str, *, markers: bool = False) -> VersionRow:
    """The version a request means: the one named, else the current one.

    A delete marker may come back where it is named, and with ``markers`` where it hides the key.

    Raises:
        S3Error: NoSuchKey (with the marker's headers where one hides the key), NoSuchVersion, InvalidArgument.
    """
    if version_id:
        row = version_by_id(state, bucket_name, key, version_id)
        if row is None:
            raise S3Error("NoSuchVersion", Key=key, VersionId=version_id)
        return row
    found = key_row(state, bucket_name, key)
    if found is None or found.current is None:
        raise S3Error("NoSuchKey", Key=key)
    if found.current.marker and not markers:
        raise S3Error("NoSuchKey", headers=marker_headers(found.current), Key=key)
    return found.current


def marker_headers(row: VersionRow) -> dict[str, str]:
    """What S3 says beside an error that a delete marker caused."""
    return {"x-amz-delete-marker": "true", "x-amz-version-id": "null" if row.null else row.version_id}


def upload(state: State, bucket_name: str, key: str, upload_id: str) -> UploadRow:
    """A multipart upload under way.

    Raises:
        S3Error: NoSuchUpload.
    """
    row = state.get(rows.upload_key(bucket_name, key, upload_id))
    if not isinstance(row, UploadRow):
        raise S3Error("NoSuchUpload", UploadId=upload_id[:64])
    return row


def parts(state: State, upload_id: str) -> Iterator[PartRow]:
    """The latest part of each number, in order."""
    for _, row in state.scan(rows.part_key(upload_id, 0), rows.part_key(upload_id, 0xFFFF)):
        if isinstance(row, PartRow):
            yield row


def principal(state: State, principal_id: str) -> PrincipalRow | None:
    """A principal by id, disabled or not."""
    row = state.get(rows.principal_key(principal_id))
    return row if isinstance(row, PrincipalRow) else None


def matter(state: State, matter_id: str) -> MatterRow | None:
    """A matter by id, open or closed."""
    row = state.get(rows.matter_key(matter_id))
    return row if isinstance(row, MatterRow) else None


def open_matters(state: State) -> tuple[OpenMatter, ...]:
    """The matters that are open, in the order in which they were opened."""
    row = state.get(rows.OPEN_MATTERS)
    return row.open if isinstance(row, MattersRow) else ()


def stored(bucket_name: str, key: str, row: VersionRow) -> Stored:
    """A version as a matter's query sees it."""
    return Stored(bucket_name, key, row.created, row.clock, row.actor)


def lock_of(state: State, bucket_name: str, key: str, row: VersionRow) -> Lock:
    """A version's lock: its own, and the matters that hold it. A delete marker has none."""
    matters = open_matters(state)
    held = holding(matters, stored(bucket_name, key, row)) if matters and not row.marker else ()
    return Lock(row.mode, row.until, row.hold, held)


def version_ref(row: VersionRow) -> VersionRef:
    """A stored version as later records name it (its place in the chain is in the record that made it)."""
    return VersionRef(row.ordinal, row.version_id, row.manifest, marker=row.marker, null=row.null)
