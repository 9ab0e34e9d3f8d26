"""Operations on multipart uploads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.s3 import documents, extract, upload, xml
from vault.s3.buckets import instant, owner
from vault.s3.claims import checksum_header, read_upload
from vault.s3.listing import common_prefixes, echoed, encoder, page_size
from vault.s3.objects import checksum, encryption, part_number, version
from vault.s3.responses import Response, document
from vault.service.context import CompletedPart, UploadSpec
from vault.service.limits import MAX_PUT_BYTES

if TYPE_CHECKING:
    from vault.s3.request import Request
    from vault.service import Service

#: A CompleteMultipartUpload document, bytes: 10,000 parts with ETag and the longest checksum.
MAX_COMPLETION_BYTES: Final = 4 * 1024 * 1024
#: Documents up to this size are read on the event loop, bytes.
BRIEF: Final = 64 * 1024
_SIZE: Final = "x-amz-mp-object-size"
_NO_ARCHIVE: Final = "An archive to be extracted is sent by one PUT, not in parts."


async def create_upload(service: Service, request: Request) -> Response:
    """CreateMultipartUpload: headers, metadata and lock are fixed here."""
    fields = request.fields
    if extract.asked(fields):
        raise S3Error("NotImplemented", _NO_ARCHIVE, Header=extract.EXTRACT)
    lock, hold = upload.lock(fields)
    asked = read_upload(request.raw)
    spec = UploadSpec(
        bucket=request.bucket,
        key=request.key,
        headers=upload.stored_headers(fields),
        metadata=upload.metadata(fields),
        lock=lock,
        hold=hold,
        algorithm=asked[0].name if asked else "",
        checksum_type=asked[1].value if asked else "",
    )
    made = await service.uploads.create(request.caller, spec)
    body = xml.document(
        "InitiateMultipartUploadResult",
        xml.tag("Bucket", request.bucket),
        xml.tag("Key", request.key),
        xml.tag("UploadId", made.upload_id),
    )
    response = document(made.record, body)
    if made.algorithm:
        response.headers.append((b"x-amz-checksum-algorithm", made.algorithm.encode()))
        response.headers.append((b"x-amz-checksum-type", made.checksum_type.encode()))
    response.headers += encryption(fields)
    return response


async def upload_part(service: Service, request: Request) -> Response:
    """UploadPart."""
    body = request.body
    number = part_number(request)
    length = body.length(MAX_PUT_BYTES)
    checks = body.check()
    made = await service.uploads.part(
        request.caller, request.bucket, request.key, request.query["uploadId"], number, length, checks, body.pieces()
    )
    return Response(made.record, headers=[(b"etag", f'"{made.etag}"'.encode()), *checksum(made.checksum)[:1]])


async def complete_upload(service: Service, request: Request) -> Response:
    """CompleteMultipartUpload. Its ``x-amz-checksum-*`` header is the object's, not the document's."""
    claimed = checksum_header(request.raw)
    if_none_match, if_match = upload.preconditions(request.fields)
    data = await request.body.document(MAX_COMPLETION_BYTES, required=False, apart=True)
    # 10,000 parts take a tenth of a second to read: not while everybody else waits.
    named = await asyncio.to_thread(documents.completion, data) if len(data) > BRIEF else documents.completion(data)
    made = await service.uploads.complete(
        request.caller,
        request.bucket,
        request.key,
        request.query["uploadId"],
        [CompletedPart(part.number, part.etag, part.checksum) for part in named],
        if_none_match=if_none_match,
        if_match=if_match,
        checksum=(claimed[0].name, claimed[1]) if claimed else None,
        checksum_type=request.fields.get("x-amz-checksum-type", ""),
        size=_whole_size(request),
    )
    told = ""
    if made.checksum is not None:
        told = xml.tag(f"Checksum{made.checksum.algorithm}", made.checksum.value) + xml.tag(
            "ChecksumType", made.checksum.type
        )
    body = xml.document(
        "CompleteMultipartUploadResult",
        xml.tag("Location", f"/{request.bucket}/{request.key}"),
        xml.tag("Bucket", request.bucket),
        xml.tag("Key", request.key),
        xml.tag("ETag", f'"{made.etag}"'),
        told,
    )
    response = document(made.record, body)
    response.headers += version(made.version_id)
    return response


def _whole_size(request: Request) -> int | None:
    """The size that the client takes the object to have; None where it does not say."""
    text = request.fields.get(_SIZE)
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise S3Error("InvalidRequest", f"Value for {_SIZE} header is invalid.", reason="object_size")
    return None if text is None else int(text)


async def abort_upload(service: Service, request: Request) -> Response:
    """AbortMultipartUpload."""
    done = await service.uploads.abort(request.caller, request.bucket, request.key, request.query["uploadId"])
    return Response(done.record, 204)


async def list_uploads(service: Service, request: Request) -> Response:
    """ListMultipartUploads."""
    encode = encoder(request)
    message = "Provided max-uploads not an integer or within integer range"
    size = page_size(request, "max-uploads", message)
    query = request.query
    page = await service.uploads.list(
        request.caller,
        request.bucket,
        query.get("prefix", ""),
        query.get("delimiter", ""),
        query.get("key-marker", ""),
        query.get("upload-id-marker", ""),
        size,
    )
    uploads = (
        f"<Upload>{xml.tag('Key', encode(each.row.key))}{xml.tag('UploadId', each.row.upload_id)}"
        f"{_initiator(each.row.owner)}{owner(each.row.owner)}<StorageClass>STANDARD</StorageClass>"
        f"<Initiated>{instant(each.row.created)}</Initiated>{_kind(each.algorithm, each.checksum_type)}</Upload>"
        for each in page.uploads
    )
    body = xml.document(
        "ListMultipartUploadsResult",
        xml.tag("Bucket", request.bucket),
        xml.tag("KeyMarker", encode(query.get("key-marker", ""))),
        xml.tag("UploadIdMarker", query.get("upload-id-marker", "")),
        xml.tag("NextKeyMarker", encode(page.next_key)) if page.truncated else "",
        xml.tag("NextUploadIdMarker", page.next_upload) if page.truncated else "",
        xml.tag("Prefix", encode(query.get("prefix", ""))),
        echoed(request, encode, Delimiter="delimiter"),
        echoed(request, encode, EncodingType="encoding-type"),
        xml.tag("MaxUploads", size),
        xml.flag("IsTruncated", page.truncated),
        *uploads,
        common_prefixes(page.prefixes, encode),
    )
    return document(page.record, body)


async def list_parts(service: Service, request: Request) -> Response:
    """ListParts."""
    message = "Provided max-parts not an integer or within integer range"
    size = page_size(request, "max-parts", message)
    message = "Provided part-number-marker not an integer or within integer range"
    marker = request.number("part-number-marker", "0", 0, 2**31 - 1, message)
    page = await service.uploads.parts(
        request.caller, request.bucket, request.key, request.query["uploadId"], marker, size
    )
    parts = []
    for each in page.parts:
        found = each.document.checksum
        parts.append(
            f"<Part><PartNumber>{each.row.number}</PartNumber><LastModified>{instant(each.row.created)}</LastModified>"
            f"<ETag>&quot;{each.document.etag}&quot;</ETag><Size>{each.row.size}</Size>"
            f"{xml.tag(f'Checksum{found.algorithm}', found.value) if found else ''}</Part>"
        )
    body = xml.document(
        "ListPartsResult",
        xml.tag("Bucket", request.bucket),
        xml.tag("Key", request.key),
        xml.tag("UploadId", request.query["uploadId"]),
        _initiator(page.upload.owner),
        owner(page.upload.owner),
        xml.tag("StorageClass", "STANDARD"),
        xml.tag("PartNumberMarker", marker),
        xml.tag("NextPartNumberMarker", page.next_number) if page.truncated else "",
        xml.tag("MaxParts", size),
        xml.flag("IsTruncated", page.truncated),
        _kind(page.algorithm, page.checksum_type),
        *parts,
    )
    return document(page.record, body)


def _initiator(principal_id: str) -> str:
    return f"<Initiator>{xml.tag('ID', principal_id)}{xml.tag('DisplayName', principal_id)}</Initiator>"


def _kind(algorithm: str, checksum_type: str) -> str:
    return xml.tag("ChecksumAlgorithm", algorithm) + xml.tag("ChecksumType", checksum_type) if algorithm else ""
