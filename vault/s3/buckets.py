"""Operations on buckets."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.s3 import documents, xml
from vault.s3.responses import Response, document, header
from vault.s3.target import check_new_bucket
from vault.times import rfc3339

if TYPE_CHECKING:
    from vault.s3.request import Request
    from vault.service import Service

#: The documents that configure a bucket, bytes; the largest legitimate one has some 500.
MAX_CONFIGURATION_BYTES: Final = 4096
#: S3's limit for one page of buckets.
MAX_BUCKETS: Final = 10_000
#: The region whose name S3 leaves out.
DEFAULT_REGION: Final = "us-east-1"


def instant(ns: int) -> str:
    """An instant as S3 writes it in documents and headers: ISO 8601, UTC, milliseconds."""
    return f"{rfc3339(ns)[:23]}Z"


def owner(principal_id: str) -> str:
    """The Owner element."""
    return f"<Owner>{xml.tag('ID', principal_id)}{xml.tag('DisplayName', principal_id)}</Owner>"


async def list_buckets(service: Service, request: Request) -> Response:
    """ListBuckets: all of them, or a page where one is asked for."""
    query = request.query
    most = request.number("max-buckets", str(MAX_BUCKETS), 1, MAX_BUCKETS, "max-buckets must be from 1 to 10000")
    after, prefix = _after(query.get("continuation-token")), query.get("prefix", "")
    here = query.get("bucket-region", request.region) == request.region
    found = await service.buckets.list(request.caller)
    rows = [row for row in found.rows if here and row.name > after and row.name.startswith(prefix)]
    shown = rows[:most] if query.keys() & {"max-buckets", "continuation-token"} else rows
    each = (
        f"<Bucket>{xml.tag('Name', row.name)}{xml.tag('CreationDate', instant(row.created))}"
        f"{xml.tag('BucketRegion', request.region)}</Bucket>"
        for row in shown
    )
    inner = f"<Buckets>{''.join(each)}</Buckets>"
    if len(shown) < len(rows):
        inner += xml.tag("ContinuationToken", b64encode(shown[-1].name.encode()).decode())
    if prefix:
        inner += xml.tag("Prefix", prefix)
    return document(found.record, xml.document("ListAllMyBucketsResult", owner(request.caller.actor.id), inner))


def _after(token: str | None) -> str:
    """The name that a page goes on after.

    Raises:
        S3Error: InvalidArgument for a token that is none of ours.
    """
    try:
        return b64decode(token or "", validate=True).decode("ascii")
    except ValueError as error:
        message = "The continuation token provided is incorrect"
        raise S3Error("InvalidArgument", message, ArgumentName="continuation-token") from error


async def create_bucket(service: Service, request: Request) -> Response:
    """CreateBucket; ``x-strongroom-bucket-strict: true`` makes it strict for good."""
    check_new_bucket(request.bucket)
    lock = _flag(request, "x-amz-bucket-object-lock-enabled")
    strict = request.fields.get("x-strongroom-bucket-strict")
    if strict not in {None, "true"}:
        raise S3Error(
            "InvalidArgument",
            "A bucket is strict for good or not at all: the only value is true.",
            ArgumentName="x-strongroom-bucket-strict",
            ArgumentValue=(strict or "")[:64],
        )
    region = documents.location(await request.body.document(MAX_CONFIGURATION_BYTES, required=False))
    if region not in {"", request.region}:
        raise S3Error("InvalidLocationConstraint", LocationConstraint=region[:64])
    done = await service.buckets.create(request.caller, request.bucket, lock=lock, strict=strict is not None)
    return Response(done.record, headers=[header("location", f"/{request.bucket}")])


def _flag(request: Request, name: str) -> bool:
    value = request.fields.get(name)
    if value is None:
        return False
    if value.lower() not in {"true", "false"}:
        raise S3Error("InvalidArgument", ArgumentName=name, ArgumentValue=value[:64])
    return value.lower() == "true"


async def head_bucket(service: Service, request: Request) -> Response:
    """HeadBucket."""
    found = await service.buckets.head(request.caller, request.bucket)
    return Response(found.record, headers=[header("x-amz-bucket-region", request.region)])


async def delete_bucket(service: Service, request: Request) -> Response:
    """DeleteBucket."""
    done = await service.buckets.delete(request.caller, request.bucket)
    return Response(done.record, 204)


async def get_location(service: Service, request: Request) -> Response:
    """GetBucketLocation."""
    found = await service.buckets.location(request.caller, request.bucket)
    region = "" if request.region == DEFAULT_REGION else xml.escape(request.region)
    return document(found.record, xml.document("LocationConstraint", region))


async def get_versioning(service: Service, request: Request) -> Response:
    """GetBucketVersioning: empty where versioning was never set."""
    found = await service.buckets.get_versioning(request.caller, request.bucket)
    status = xml.tag("Status", found.row.versioning) if found.row.versioning else ""
    return document(found.record, xml.document("VersioningConfiguration", status))


async def put_versioning(service: Service, request: Request) -> Response:
    """PutBucketVersioning."""
    status = documents.versioning(await request.body.document(MAX_CONFIGURATION_BYTES))
    done = await service.buckets.put_versioning(request.caller, request.bucket, status)
    return Response(done.record)


async def get_lock(service: Service, request: Request) -> Response:
    """GetObjectLockConfiguration: exactly what was put."""
    found = await service.buckets.get_lock(request.caller, request.bucket)
    rule = ""
    if found.default is not None:
        default = found.default
        period = xml.tag("Days", default.days) if default.days else xml.tag("Years", default.years)
        rule = f"<Rule><DefaultRetention>{xml.tag('Mode', default.mode)}{period}</DefaultRetention></Rule>"
    enabled = xml.tag("ObjectLockEnabled", "Enabled")
    return document(found.record, xml.document("ObjectLockConfiguration", enabled, rule))


async def put_lock(service: Service, request: Request) -> Response:
    """PutObjectLockConfiguration."""
    default = documents.lock_configuration(await request.body.document(MAX_CONFIGURATION_BYTES))
    done = await service.buckets.put_lock(request.caller, request.bucket, default)
    return Response(done.record)
