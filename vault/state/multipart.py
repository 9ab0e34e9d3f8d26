"""Decisions about multipart uploads. The lock asked for is fixed when the upload is created."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from vault import retention
from vault.errors import S3Error
from vault.record import LockRef
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.objects import asked_lock, new_version
from vault.state.rows import PartRow

if TYPE_CHECKING:
    from vault.state.decision import Case

#: S3's limit.
MAX_PARTS: Final = 10_000


def create(case: Case) -> Decision:
    """CreateMultipartUpload: the lock must be good now; the object is made at completion."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    asked = asked_lock(case, bucket)
    return Decision(lock=retention.at_creation(asked, None, case.now).ref())


def part(case: Case) -> Decision:
    """UploadPart."""
    if not 1 <= case.object.part <= MAX_PARTS:
        raise S3Error(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            ArgumentName="partNumber",
            ArgumentValue=str(case.object.part),
        )
    lookup.bucket(case.state, case.object.bucket)
    return Decision(row=lookup.upload(case.state, case.object.bucket, case.object.key, case.object.upload_id))


def listed(case: Case) -> Decision:
    """ListParts."""
    lookup.bucket(case.state, case.object.bucket)
    return Decision(row=lookup.upload(case.state, case.object.bucket, case.object.key, case.object.upload_id))


def complete(case: Case) -> Decision:
    """CompleteMultipartUpload: every part named must still be the latest of its number."""
    bucket = lookup.bucket(case.state, case.object.bucket)
    upload = lookup.upload(case.state, bucket.name, case.object.key, case.object.upload_id)
    numbers = [number for number, _ in case.parts]
    if not numbers:
        raise S3Error("MalformedXML")
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise S3Error("InvalidPartOrder")
    for number, seq in case.parts:
        row = case.state.get(rows.part_key(upload.upload_id, number)) if 1 <= number <= MAX_PARTS else None
        if not isinstance(row, PartRow) or row.seq != seq:
            raise S3Error("InvalidPart", PartNumber=str(number))
    lock = retention.Lock(upload.mode, upload.until, upload.hold)  # was judged when the upload was created
    if not upload.mode or (bucket.default is not None and upload.until <= retention.started(case.now)):
        # What was asked for is over before the object exists: it protects nothing, and no default lapses for it.
        lock = retention.at_creation(LockRef(hold=upload.hold), bucket.default, case.now)
    return new_version(case, bucket, lock, case.object.content)


def abort(case: Case) -> Decision:
    """AbortMultipartUpload."""
    lookup.bucket(case.state, case.object.bucket)
    upload = lookup.upload(case.state, case.object.bucket, case.object.key, case.object.upload_id)
    return Decision(lock=retention.Lock(upload.mode, upload.until, upload.hold).ref(), row=upload)
