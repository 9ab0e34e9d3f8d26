"""What comes out of the service: values that the wire layer answers with. Each names the record of its operation.

Version ids stand here as S3 shows them: ``null``, an opaque id, or empty in a bucket without versioning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from vault.errors import S3Error
    from vault.manifest import Checksum, ContentDocument
    from vault.record import DefaultRetention, LockRef
    from vault.state.rows import BucketRow, PartRow, UploadRow, VersionRow


@dataclass(frozen=True, slots=True)
class Done:
    """It is done; ``record`` is ``stream/seq/leaf``, as in every result."""

    record: str


@dataclass(frozen=True, slots=True)
class BucketResult:
    """A bucket as of the record."""

    row: BucketRow
    record: str


@dataclass(frozen=True, slots=True)
class BucketsResult:
    """The buckets the caller may see, by name."""

    rows: list[BucketRow]
    record: str


@dataclass(frozen=True, slots=True)
class DefaultResult:
    """A bucket's Object Lock configuration; ``default`` is None without a rule."""

    default: DefaultRetention | None
    record: str


@dataclass(frozen=True, slots=True)
class PutResult:
    """A version that was made; ``version_id`` as S3 shows it: ``null``, an id, or empty in an unversioned bucket."""

    version_id: str
    etag: str
    checksum: Checksum | None
    record: str


class Extracted(NamedTuple):
    """What became of a member of an archive; fields as in :class:`PutResult`, durable unless there is an error.

    Attributes:
        error: Why it was refused, which is recorded, or ServiceUnavailable where nothing was written.
    """

    key: str
    size: int = 0
    version_id: str = ""
    etag: str = ""
    record: str = ""
    error: S3Error | None = None


@dataclass(frozen=True, slots=True)
class GetResult:
    """A version whose release is recorded.

    Attributes:
        row: The version.
        version_id: As S3 shows it.
        document: What is known of its bytes.
        record: The read's record.
        first: Offset of the first byte released.
        last: Offset of the last one; ``first - 1`` where there is none.
        partial: A range or a part was asked for: 206.
        parts: Of a multipart object, their number; else 0.
        held: Its legal hold is on, or a matter holds it.
        body: The bytes, in pieces of at most 1 MiB; the first is in memory already. To be exhausted or closed
            (``aclose``): that ends the lease. Raises IntegrityError where the rest does not authenticate. None of HEAD.
    """

    row: VersionRow
    version_id: str
    document: ContentDocument
    record: str
    first: int
    last: int
    partial: bool
    parts: int
    held: bool
    body: AsyncGenerator[bytes, None] | None

    @property
    def total(self) -> int:
        """Bytes of the whole version."""
        return self.row.size


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What a delete did: ``marker`` says that ``version_id`` (as S3 shows it) is a marker made or removed."""

    version_id: str
    marker: bool
    record: str


@dataclass(frozen=True, slots=True)
class LockResult:
    """A version's lock."""

    lock: LockRef
    record: str


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A line of a listing; ``document`` is None for a delete marker, ``owner`` of the bucket."""

    key: str
    row: VersionRow
    version_id: str
    document: ContentDocument | None
    latest: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing.

    Attributes:
        bucket: The bucket listed.
        entries: Versions, in key order.
        prefixes: Common prefixes, in order.
        truncated: More follow.
        next_token: For ListObjectsV2; empty at the end.
        next_marker: Name to go on after: ListObjects' NextMarker, ListObjectVersions' NextKeyMarker.
        next_version: ListObjectVersions' NextVersionIdMarker.
        record: The listing's record.
    """

    bucket: BucketRow
    entries: list[ListedVersion]
    prefixes: list[str]
    truncated: bool
    next_token: str
    next_marker: str
    next_version: str
    record: str


@dataclass(frozen=True, slots=True)
class UploadResult:
    """An upload that was begun; algorithm and type as they will be used, empty for none."""

    upload_id: str
    algorithm: str
    checksum_type: str
    record: str


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part that was stored."""

    etag: str
    checksum: Checksum | None
    record: str


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """A line of a listing of uploads."""

    row: UploadRow
    algorithm: str
    checksum_type: str


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """A page of uploads under way, by key and upload id."""

    uploads: list[ListedUpload]
    prefixes: list[str]
    truncated: bool
    next_key: str
    next_upload: str
    record: str


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A line of a listing of parts."""

    row: PartRow
    document: ContentDocument


@dataclass(frozen=True, slots=True)
class PartsPage:
    """A page of an upload's parts, by number; ``next_number`` goes on after the last one shown."""

    upload: UploadRow
    parts: list[ListedPart]
    algorithm: str
    checksum_type: str
    truncated: bool
    next_number: int
    record: str
