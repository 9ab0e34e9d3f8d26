"""Operations that list: ListObjects in both versions, ListObjectVersions.

Parameters are echoed as S3 does. With ``encoding-type=url`` every name is percent-encoded, so that keys with
characters that XML forbids can be listed.

Not handled here: listings of uploads and parts (``vault.s3.multipart``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from vault.errors import S3Error
from vault.s3 import xml
from vault.s3.buckets import instant, owner
from vault.s3.responses import Response, document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vault.s3.request import Request
    from vault.service import Service
    from vault.service.results import ListedVersion

#: S3's bound on one page; larger wishes get this many.
MAX_KEYS: Final = 1000

_RANGE: Final = "Provided max-keys not an integer or within integer range"


def encoder(request: Request) -> Callable[[str], str]:
    """How names are written in the answer.

    Raises:
        S3Error: InvalidArgument for an encoding that S3 does not have.
    """
    encoding = request.query.get("encoding-type")
    if encoding is None:
        return _plain
    if encoding != "url":
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=encoding[:64],
        )
    return _url


def _plain(name: str) -> str:
    return name


def _url(name: str) -> str:
    return quote(name, safe="/")


def page_size(request: Request, name: str = "max-keys", message: str = _RANGE) -> int:
    """How many entries a page may have.

    Raises:
        S3Error: InvalidArgument.
    """
    return min(request.number(name, str(MAX_KEYS), 0, 2**31 - 1, message), MAX_KEYS)


def echoed(request: Request, encode: Callable[[str], str], **names: str) -> str:
    """Parameters of the request, as elements where the request had them.

    Args:
        request: The request.
        encode: How names are written.
        names: Element to parameter.
    """
    found = ((element, request.query.get(name)) for element, name in names.items())
    return "".join(xml.tag(element, encode(value)) for element, value in found if value)


def head(request: Request, encode: Callable[[str], str], size: int, *, truncated: bool) -> str:
    """What every listing of a bucket begins with; Prefix stands there even when empty."""
    encoding = xml.tag("EncodingType", "url") if encode is _url else ""
    return (
        f"{xml.tag('Name', request.bucket)}{xml.tag('Prefix', encode(request.query.get('prefix', '')))}"
        f"{echoed(request, encode, Delimiter='delimiter')}{xml.tag('MaxKeys', size)}{encoding}"
        f"{xml.flag('IsTruncated', truncated)}"
    )


def common_prefixes(prefixes: Iterable[str], encode: Callable[[str], str]) -> str:
    """The CommonPrefixes elements."""
    return "".join(f"<CommonPrefixes>{xml.tag('Prefix', encode(each))}</CommonPrefixes>" for each in prefixes)


def _stored(entry: ListedVersion) -> str:
    """What a listing says of a version's bytes."""
    found = entry.document
    if found is None:
        return ""
    checksum = ""
    if found.checksum is not None:
        algorithm = xml.tag("ChecksumAlgorithm", found.checksum.algorithm)
        checksum = f"{algorithm}{xml.tag('ChecksumType', found.checksum.type)}"
    return (
        f"<ETag>&quot;{found.etag}&quot;</ETag>{checksum}<Size>{entry.row.size}</Size>"
        "<StorageClass>STANDARD</StorageClass>"
    )


def _contents(entries: Iterable[ListedVersion], encode: Callable[[str], str], owned: str) -> str:
    return "".join(
        f"<Contents>{xml.tag('Key', encode(entry.key))}"
        f"<LastModified>{instant(entry.row.created)}</LastModified>{_stored(entry)}{owned}</Contents>"
        for entry in entries
    )


async def list_objects(service: Service, request: Request) -> Response:
    """ListObjects, version 1."""
    encode, size = encoder(request), page_size(request)
    query = request.query
    page = await service.objects.list(
        request.caller,
        request.bucket,
        query.get("prefix", ""),
        query.get("delimiter", ""),
        query.get("marker", ""),
        size,
    )
    # S3 names where to go on only where the last key shown does not say it.
    following = page.next_marker if page.truncated and query.get("delimiter") else ""
    body = xml.document(
        "ListBucketResult",
        head(request, encode, size, truncated=page.truncated),
        xml.tag("Marker", encode(query.get("marker", ""))),
        xml.tag("NextMarker", encode(following)) if following else "",
        _contents(page.entries, encode, owner(page.bucket.owner)),
        common_prefixes(page.prefixes, encode),
    )
    return document(page.record, body)


async def list_objects_v2(service: Service, request: Request) -> Response:
    """ListObjectsV2."""
    encode, size = encoder(request), page_size(request)
    query = request.query
    if query["list-type"] != "2":
        raise S3Error("InvalidArgument", "Invalid List Type specified in Request", ArgumentName="list-type")
    token = query.get("continuation-token")
    if token == "":
        raise S3Error(
            "InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token"
        )
    fetch_owner = query.get("fetch-owner", "false") == "true"
    page = await service.objects.list_v2(
        request.caller,
        request.bucket,
        query.get("prefix", ""),
        query.get("delimiter", ""),
        query.get("start-after", ""),
        token or "",
        size,
    )
    body = xml.document(
        "ListBucketResult",
        head(request, encode, size, truncated=page.truncated),
        xml.tag("KeyCount", len(page.entries) + len(page.prefixes)),
        echoed(request, _plain, ContinuationToken="continuation-token"),
        xml.tag("NextContinuationToken", page.next_token) if page.truncated else "",
        echoed(request, encode, StartAfter="start-after"),
        _contents(page.entries, encode, owner(page.bucket.owner) if fetch_owner else ""),
        common_prefixes(page.prefixes, encode),
    )
    return document(page.record, body)


async def list_versions(service: Service, request: Request) -> Response:
    """ListObjectVersions: versions and delete markers, newest first within a key."""
    encode, size = encoder(request), page_size(request)
    query = request.query
    key_marker, version_marker = query.get("key-marker", ""), query.get("version-id-marker")
    if version_marker is not None and (not key_marker or not version_marker):
        raise S3Error(
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker."
            if version_marker
            else "A version-id marker cannot be empty.",
            ArgumentName="version-id-marker",
        )
    page = await service.objects.list_versions(
        request.caller,
        request.bucket,
        query.get("prefix", ""),
        query.get("delimiter", ""),
        key_marker,
        version_marker or "",
        size,
    )
    body = xml.document(
        "ListVersionsResult",
        head(request, encode, size, truncated=page.truncated),
        xml.tag("KeyMarker", encode(key_marker)),
        xml.tag("VersionIdMarker", version_marker or ""),
        xml.tag("NextKeyMarker", encode(page.next_marker)) if page.truncated else "",
        xml.tag("NextVersionIdMarker", page.next_version) if page.truncated and page.next_version else "",
        "".join(_version(entry, encode, owner(page.bucket.owner)) for entry in page.entries),
        common_prefixes(page.prefixes, encode),
    )
    return document(page.record, body)


def _version(entry: ListedVersion, encode: Callable[[str], str], owned: str) -> str:
    name = "DeleteMarker" if entry.row.marker else "Version"
    return (
        f"<{name}>{xml.tag('Key', encode(entry.key))}{xml.tag('VersionId', entry.version_id or 'null')}"
        f"{xml.flag('IsLatest', entry.latest)}<LastModified>{instant(entry.row.created)}</LastModified>"
        f"{_stored(entry)}{owned}</{name}>"
    )
