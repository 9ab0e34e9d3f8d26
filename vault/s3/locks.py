"""Operations on locks: retention and legal hold of a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.s3 import documents, xml
from vault.s3.buckets import instant
from vault.s3.responses import Response, document
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.s3.request import Request
    from vault.service import Service

#: A lock's document, bytes; the largest legitimate one has some 300.
MAX_LOCK_BYTES: Final = 4096
BYPASS: Final = "x-amz-bypass-governance-retention"


def bypass(fields: Mapping[str, str]) -> bool:
    """Whether the caller asks to bypass GOVERNANCE.

    Raises:
        S3Error: InvalidArgument.
    """
    value = fields.get(BYPASS, "false")
    if value.lower() not in {"true", "false"}:
        raise S3Error("InvalidArgument", ArgumentName=BYPASS, ArgumentValue=value[:64])
    return value.lower() == "true"


async def get_retention(service: Service, request: Request) -> Response:
    """GetObjectRetention."""
    found = await service.locks.get_retention(request.caller, request.bucket, request.key, request.version_id)
    mode, until = xml.tag("Mode", found.lock.mode), instant(parse_rfc3339(found.lock.until))
    return document(found.record, xml.document("Retention", mode, xml.tag("RetainUntilDate", until)))


async def put_retention(service: Service, request: Request) -> Response:
    """PutObjectRetention; an empty document removes the retention."""
    allowed = bypass(request.fields)
    lock = documents.retention(await request.body.document(MAX_LOCK_BYTES))
    done = await service.locks.put_retention(
        request.caller, request.bucket, request.key, request.version_id, lock=lock, bypass=allowed
    )
    return Response(done.record)


async def get_hold(service: Service, request: Request) -> Response:
    """GetObjectLegalHold."""
    found = await service.locks.get_hold(request.caller, request.bucket, request.key, request.version_id)
    status = xml.tag("Status", "ON" if found.lock.held else "OFF")
    return document(found.record, xml.document("LegalHold", status))


async def put_hold(service: Service, request: Request) -> Response:
    """PutObjectLegalHold."""
    on = documents.legal_hold(await request.body.document(MAX_LOCK_BYTES))
    done = await service.locks.put_hold(request.caller, request.bucket, request.key, request.version_id, on=on)
    return Response(done.record)
