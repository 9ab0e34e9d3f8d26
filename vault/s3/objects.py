"""Operations on objects: put, get, head, delete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from vault import policy
from vault.errors import S3Error
from vault.s3 import documents, extract, upload, xml
from vault.s3.buckets import instant
from vault.s3.conditions import byte_range, conditions, http_time
from vault.s3.documents import MAX_PARTS
from vault.s3.headers import as_header
from vault.s3.locks import BYPASS, bypass
from vault.s3.request import MAX_NAME
from vault.s3.responses import Response, document, header
from vault.service.context import PutSpec
from vault.service.limits import MAX_PUT_BYTES, check_key
from vault.service.reading import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.manifest import Checksum
    from vault.s3.request import Request
    from vault.s3.responses import Headers
    from vault.service import Service
    from vault.service.results import DeleteResult, GetResult

#: A DeleteObjects document, bytes: 1,000 keys of 1,024 bytes, escaped, and S3's own bound.
MAX_DELETE_BYTES: Final = 2 * 1024 * 1024
#: Parameters that replace a header of the answer.
OVERRIDES: Final = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}


async def put_object(service: Service, request: Request) -> Response:
    """PutObject, or where the body is an archive to be extracted, one of each member."""
    fields, body = request.fields, request.body
    if extract.asked(fields):
        return await extract.put_archive(service, request)
    length = body.length(MAX_PUT_BYTES)
    checks = body.check()
    lock, hold = upload.checked_lock(fields, claimed=checks.claimed)
    if_none_match, if_match = upload.preconditions(fields)
    spec = PutSpec(
        bucket=request.bucket,
        key=request.key,
        length=length,
        checks=checks,
        headers=upload.stored_headers(fields),
        metadata=upload.metadata(fields),
        lock=lock,
        hold=hold,
        if_none_match=if_none_match,
        if_match=if_match,
    )
    made = await service.objects.put(request.caller, spec, body.pieces())
    headers = [
        (b"etag", f'"{made.etag}"'.encode()),
        *version(made.version_id),
        *checksum(made.checksum),
        *encryption(fields),
    ]
    return Response(made.record, headers=headers)


def version(version_id: str) -> Headers:
    """The header that names a version; none in a bucket without versioning."""
    return [(b"x-amz-version-id", version_id.encode())] if version_id else []


def checksum(found: Checksum | None) -> Headers:
    """The headers that tell a checksum."""
    if found is None:
        return []
    return [
        (f"x-amz-checksum-{found.algorithm.lower()}".encode(), found.value.encode()),
        (b"x-amz-checksum-type", found.type.encode()),
    ]


def encryption(fields: Mapping[str, str]) -> Headers:
    """The server-side encryption that was asked for, and done."""
    asked = fields.get("x-amz-server-side-encryption")
    return [] if asked is None else [(b"x-amz-server-side-encryption", asked.encode())]


async def get_object(service: Service, request: Request) -> Response:
    """GetObject: the read is recorded before the first byte, and the first piece authenticated before the status."""
    overrides = _overrides(request)
    found = await service.objects.get(request.caller, _wanted(request))
    response = _read(request, found, overrides)
    if found.body is not None:
        response.body = await anext(found.body, b"")
        if len(response.body) == response.length:
            await found.body.aclose()
        else:
            response.stream = found.body
    return response


async def head_object(service: Service, request: Request) -> Response:
    """HeadObject."""
    overrides = _overrides(request)
    return _read(request, await service.objects.head(request.caller, _wanted(request)), overrides)


def part_number(request: Request) -> int:
    """The part that a request is about.

    Raises:
        S3Error: InvalidArgument.
    """
    message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
    return request.number("partNumber", "", 1, MAX_PARTS, message)


def _wanted(request: Request) -> Wanted:
    fields = request.fields
    # With If-Range the whole object is always a right answer (RFC 9110 §13.1.5).
    wanted = byte_range(fields.get("range")) if "if-range" not in fields else None
    part = part_number(request) if "partNumber" in request.query else None
    if part is not None and wanted is not None:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    return Wanted(
        bucket=request.bucket,
        key=request.key,
        version_id=request.version_id,
        range=wanted,
        part_number=part,
        conditions=conditions(fields),
    )


def _overrides(request: Request) -> dict[str, str]:
    """The headers of the answer that the request replaces."""
    query = request.query
    return {
        name: as_header(query[parameter], parameter) for parameter, name in OVERRIDES.items() if query.get(parameter)
    }


def _read(request: Request, found: GetResult, overrides: dict[str, str]) -> Response:
    """The headers of a read."""
    row, known = found.row, found.document
    headers = [
        (b"accept-ranges", b"bytes"),
        (b"last-modified", http_time(row.created).encode()),
        (b"etag", f'"{known.etag}"'.encode()),
        *version(found.version_id),
        *(header(name, value) for name, value in (known.headers | overrides).items()),
        *(header(f"x-amz-meta-{name}", value) for name, value in known.metadata.items()),
    ]
    roles = request.caller.actor.roles  # who may read in a bucket only as its owner does own it
    if row.mode and policy.allowed(roles, "object.retention.get", owns=True):
        headers.append((b"x-amz-object-lock-mode", row.mode.encode()))
        headers.append((b"x-amz-object-lock-retain-until-date", instant(row.until).encode()))
    if found.held and policy.allowed(roles, "object.hold.get", owns=True):
        headers.append((b"x-amz-object-lock-legal-hold", b"ON"))
    partial = found.partial and found.total > 0  # of no bytes there is no part
    if partial:
        headers.append((b"content-range", f"bytes {found.first}-{found.last}/{found.total}".encode()))
    elif request.fields.get("x-amz-checksum-mode") == "ENABLED":
        headers += checksum(known.checksum)
    if found.parts and "partNumber" in request.query:
        headers.append((b"x-amz-mp-parts-count", b"%d" % found.parts))
    return Response(found.record, 206 if partial else 200, headers, length=found.last - found.first + 1)


async def delete_object(service: Service, request: Request) -> Response:
    """DeleteObject: 204 also where there was nothing."""
    done = await service.objects.delete(
        request.caller,
        request.bucket,
        request.key,
        request.version_id,
        bypass=bypass(request.fields),
        bypass_sent=BYPASS in request.fields,
    )
    headers = version(done.version_id)
    if done.marker:
        headers.append((b"x-amz-delete-marker", b"true"))
    return Response(done.record, 204, headers)


async def delete_objects(service: Service, request: Request) -> Response:
    """DeleteObjects: each member is decided, recorded and answered on its own."""
    asked = bypass(request.fields)
    wanted = documents.deletion(await request.body.document(MAX_DELETE_BYTES))
    refused = {index: error for index, member in enumerate(wanted.members) if (error := _unnameable(*member))}
    await asyncio.gather(
        *(
            service.refuse(request.caller, "object.delete", request.bucket, wanted.members[index][0][:MAX_NAME], error)
            for index, error in refused.items()
        )
    )
    members = [member for index, member in enumerate(wanted.members) if index not in refused]
    done = await service.objects.delete_many(
        request.caller, request.bucket, members, bypass=asked, bypass_sent=BYPASS in request.fields
    )
    if members and all(isinstance(result, S3Error) and result.s3_code == "NoSuchBucket" for result in done):
        raise next(result for result in done if isinstance(result, S3Error))  # each is recorded already
    left = iter(done)
    told = (
        _deleted(key, version_id, refused.get(index) or next(left), quiet=wanted.quiet)
        for index, (key, version_id) in enumerate(wanted.members)
    )
    return document("", xml.document("DeleteResult", *told))


def _unnameable(key: str, version_id: str) -> S3Error | None:
    """Why no version can have these names: what a path and a query could not carry does not reach the service."""
    try:
        check_key(key)
    except S3Error as error:
        return error
    if len(version_id) > MAX_NAME:
        return S3Error("InvalidArgument", "Invalid version id specified", ArgumentName="versionId")
    return None


def _deleted(key: str, version_id: str, result: DeleteResult | S3Error, *, quiet: bool) -> str:
    named = xml.tag("Key", key) + (xml.tag("VersionId", version_id) if version_id else "")
    if isinstance(result, S3Error):
        return f"<Error>{named}{xml.tag('Code', result.s3_code)}{xml.tag('Message', result.message)}</Error>"
    if quiet:
        return ""
    marker = ""
    if result.marker:
        marker = f"{xml.flag('DeleteMarker', value=True)}{xml.tag('DeleteMarkerVersionId', result.version_id)}"
    return f"<Deleted>{named}{marker}</Deleted>"
